"""Language models that begin from a condition: a label or a vector per text makes the initial states."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

import recurra as rc
from recurra.cli.app import run
from recurra.data.corpus import Corpus
from recurra.data.told import Told
from recurra.errors import DataError, SpecError
from recurra.graph.recur import Recur
from recurra.graph.run import CONDITION, Flow, Run
from recurra.runtime.export import export_onnx
from recurra.runtime.verify import verify
from recurra.spec import CELLS
from recurra.training import Callback

NETWORK = rc.Network(hidden_size=8, num_layers=2, embedding_size=5, dropout=0.0)
TRAINING = rc.Training(epochs=2, batch_size=3, sequence_length=7, learning_rate=0.02)
SAYS = {"cat": "miau mio miaou", "dog": "wuff wau wow", "owl": "huhu uhu schuhu"}
LABELS = [list(SAYS)[row % 3] for row in range(24)]
TEXTS = [SAYS[label] + " " * (row % 4) + SAYS[label][: row % 7] for row, label in enumerate(LABELS)]
VECTORS = np.array([[0.0, 5.0], [1.0, -5.0], [2.0, 5.0]])[[list(SAYS).index(label) for label in LABELS]]


def fitted(conditions=LABELS, network=NETWORK, training=TRAINING, **options) -> rc.LanguageModel:
    return rc.LanguageModel(network, training, rc.Characters(), validation=0.0).fit(
        TEXTS, conditions, **options
    )


@pytest.fixture(scope="module")
def model() -> rc.LanguageModel:
    return fitted(training=TRAINING.replace(epochs=25))


def test_it_writes_and_scores_what_its_condition_says(model) -> None:
    for label, said in SAYS.items():
        assert model.generate(condition=label, temperature=0.0, length=4) == said[:4]
        others = [other for other in SAYS if other != label]
        right, *wrong = model.predict([said] * 3, [label, *others])
        assert right < min(wrong)


def test_a_condition_that_is_ignored_would_be_seen(model) -> None:
    honest = Recur.start

    def ignoring(self, parameters, place, rows, condition=None):
        return honest(self, parameters, place, rows, None if condition is None else condition * 0)

    with mock.patch.object(Recur, "start", ignoring), pytest.raises(AssertionError):
        test_it_writes_and_scores_what_its_condition_says(model)


@pytest.mark.parametrize("cell", CELLS)
def test_initial_states_are_the_affine_map_with_its_gradients(cell: str) -> None:
    node = Recur("recur", network=NETWORK.replace(cell=cell, initial_state="learnt"), inputs=3, conditions=4)
    random = np.random.default_rng(0)
    values = {f"recur.{name}": random.normal(size=p.shape) * 0.3 for name, p in node.parameters().items()}
    x, condition, offsets = random.normal(size=(6, 3)), random.normal(size=(2, 4)), np.array([0, 4, 6])
    ours = {name: torch.from_numpy(value).requires_grad_() for name, value in values.items()}
    given = torch.from_numpy(condition)
    flow = Flow(values=torch.from_numpy(x), offsets=offsets, columns={CONDITION: given})
    made = node.forward(ours, flow, Run()).values
    made.square().sum().backward()
    plain = Recur("recur", network=node.network, inputs=3)
    starts = {}
    for place in plain.places():
        starts[place.suffix] = tuple(
            given @ torch.from_numpy(values[f"recur.{kind}0_of_{place.suffix}"]).T
            + torch.from_numpy(values[f"recur.{kind}0_{place.suffix}"])
            for kind in plain.kinds
        )
    pairs = {suffix: (pair[0], pair[1] if plain.has_cells else None) for suffix, pair in starts.items()}
    leaves = [part.requires_grad_() for pair in starts.values() for part in pair]
    expected = plain.forward(
        {name: torch.from_numpy(value) for name, value in values.items()},
        Flow(values=torch.from_numpy(x), offsets=offsets),
        Run(states={"recur": pairs}),
    ).values
    gradients = torch.autograd.grad(expected.square().sum(), leaves)
    torch.testing.assert_close(made, expected)
    names = [(kind, suffix) for suffix in starts for kind in plain.kinds]
    for (kind, suffix), gradient in zip(names, gradients, strict=True):
        torch.testing.assert_close(ours[f"recur.{kind}0_of_{suffix}"].grad, gradient.T @ given)
        torch.testing.assert_close(ours[f"recur.{kind}0_{suffix}"].grad, gradient.sum(0))


def losses_in_training(model: rc.LanguageModel, folder: Path, conditions) -> np.ndarray:
    """Losses of every token as training sees them, window after window, without updates."""
    from recurra.data.corpus import Corpus
    from recurra.data.token_file import write_tokens
    from recurra.graph.run import tensors

    tokens = write_tokens(folder / "ids", Corpus.of(TEXTS), model.encoder_)
    told = model.head_.condition.rows(conditions, len(TEXTS))
    model.training_ = model.training_.replace(batch_size=1)
    problem = model._problem(tokens, None, model.training_, told)
    parameters, state, found = tensors(model.parameters_), None, []
    for window in range(problem.windows(np.array([0]))):
        losses, _, state = problem.loss(parameters, np.array([0]), seed=window, window=window, state=state)
        found.append(losses.detach().numpy())
    return np.concatenate(found)


@pytest.mark.parametrize(
    "conditions",
    [LABELS, VECTORS, VECTORS.tolist(), [float(row[0]) for row in VECTORS]],
    ids=["labels", "vectors", "lists", "numbers"],
)
def test_training_scoring_and_one_condition_alone_give_the_same_bits(conditions, tmp_path: Path) -> None:
    made = fitted(conditions)
    whole = made.log_probabilities(TEXTS, conditions)
    trained = losses_in_training(made, tmp_path, conditions)
    assert trained.tobytes() == (-np.asarray(whole.values)).tobytes()
    for row in (0, 4, 23):
        alone = made.predictor_.given(conditions[row]).log_probabilities([TEXTS[row]])
        assert np.asarray(alone.values).tobytes() == np.asarray(whole[row]).tobytes()


def test_conditions_of_the_wrong_documents_would_be_seen(tmp_path: Path) -> None:
    made = fitted()
    whole = -np.asarray(made.log_probabilities(TEXTS, LABELS).values)
    assert losses_in_training(made, tmp_path, LABELS[1:] + LABELS[:1]).tobytes() != whole.tobytes()


def test_it_is_stored_and_a_member_is_verified_streamed_and_exported(model, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    again = rc.load(tmp_path / "m")
    every = model.log_probabilities(TEXTS, LABELS).values
    assert again.log_probabilities(TEXTS, conditions=LABELS).values.tobytes() == every.tobytes()
    member = again.given("owl")
    found = verify(member, [SAYS["owl"], "hu", "", "huhu huhu"])
    assert found.passed, [check for check in found.checks if not check.passed]
    stream = again.stream(condition="owl")
    stream.push("hu")
    batch = member.encode(["hu"])
    assert stream.outputs().tobytes() == np.concatenate(list(member.walk(batch)))[-1].tobytes()
    assert export_onnx(member, tmp_path / "onnx").difference < 1e-5
    assert rc.LanguageModel.load(tmp_path / "m").generate(condition="dog", seed=1) == model.generate(
        condition="dog", seed=1
    )


def test_states_of_streams_under_two_conditions_are_not_mixed_up(model) -> None:
    first, second = (model.predictor_.stream(condition=label) for label in ("owl", "cat"))
    first.push("hu")
    with pytest.raises(rc.RecurraError, match="another model"):
        second.restore(first.state)


def test_a_resumed_run_gives_the_same_bits(tmp_path: Path) -> None:
    class Stop(Callback):
        def on_step(self, event) -> bool:
            return event.total == 7

    whole = fitted()
    fitted(folder=tmp_path, callbacks=[Stop()])
    again = fitted(folder=tmp_path, resume=True)
    assert again.history_.steps["loss"] == whole.history_.steps["loss"]
    assert all(again.parameters_[n].tobytes() == value.tobytes() for n, value in whole.parameters_.items())
    with pytest.raises(SpecError, match="other data"):
        fitted(LABELS[1:] + LABELS[:1], folder=tmp_path, resume=True)


def test_a_corpus_that_is_told_its_conditions_is_learnt_as_the_two_are(model) -> None:
    told = Told.of(Corpus.of([*TEXTS, ""]), [*LABELS, "cat"])
    made = rc.LanguageModel(NETWORK, TRAINING, rc.Characters(), validation=0.0).fit(told)
    again = fitted()
    assert all(made.parameters_[n].tobytes() == value.tobytes() for n, value in again.parameters_.items())
    assert made.scores(told) == again.scores(TEXTS, LABELS)


def test_empty_texts_leave_with_their_conditions() -> None:
    made = rc.LanguageModel(NETWORK, TRAINING, rc.Characters(), validation=0.3)
    texts = [text for pair in zip(TEXTS, [""] * len(TEXTS), strict=True) for text in pair]
    labels = [label for pair in zip(LABELS, ["owl"] * len(LABELS), strict=True) for label in pair]
    made.fit(texts, labels)
    expected = rc.LanguageModel(NETWORK, TRAINING, rc.Characters(), validation=0.3).fit(TEXTS, LABELS)
    assert made.history_.steps["loss"] == expected.history_.steps["loss"]
    assert made.history_.epochs[-1]["validation_loss"] == expected.history_.epochs[-1]["validation_loss"]
    assert made.score(TEXTS, LABELS) == -made.scores(TEXTS, LABELS)["nats_per_token"]


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda m: m.generate(), SpecError, "give a condition, one of 3 labels"),
        (lambda m: m.predictor_.stream(), SpecError, "give a condition"),
        (lambda m: verify(m.predictor_), SpecError, "give a condition"),
        (lambda m: m.scores(TEXTS), SpecError, "give each text one of 3 labels"),
        (lambda m: m.scores(TEXTS, LABELS[1:]), DataError, "got 23 for 24 texts"),
        (lambda m: m.generate(condition="cow"), DataError, "cow"),
        (lambda m: m.predictor_.given("cat").given("cat"), SpecError, "has no effect"),
        (lambda m: m.predictor_.given("cat").scores(TEXTS, LABELS), SpecError, "have no effect"),
    ],
)
def test_what_has_no_meaning_is_refused(model, ask, error, message) -> None:
    with pytest.raises(error, match=message):
        ask(model)


def test_unusable_conditions_are_refused() -> None:
    with pytest.raises(DataError, match="one label or vector per text, got 3 for 24 texts"):
        fitted(LABELS[:3])
    with pytest.raises(DataError, match="at least two classes"):
        fitted(["cat"] * len(TEXTS))
    with pytest.raises(DataError, match="finite numbers"):
        fitted(np.where(VECTORS == 1.0, np.inf, VECTORS))


def test_the_command_line_fits_evaluates_and_writes(tmp_path: Path, capsys) -> None:
    table, folder = tmp_path / "said.csv", str(tmp_path / "m")
    table.write_text("text,who\n" + "".join(f"{t.strip()},{w}\n" for t, w in zip(TEXTS, LABELS, strict=True)))
    fit = ["fit", "language-model", str(table), "--input", "text", "--target", "who", "-o", folder]
    assert run([*fit, "--epochs", "1", "--hidden-size", "8", "--quiet"]) == 0
    capsys.readouterr()
    assert run(["evaluate", folder, str(table), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["documents"] == 24
    assert run(["predict", folder, str(table)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 24
    generate = ["generate", folder, "--length", "5", "--json"]
    assert run([*generate, "--condition", "owl"]) == 0
    assert json.loads(capsys.readouterr().out)["texts"][0]["tokens"] <= 5
    assert run(generate) == 2
    assert "give a condition, one of 3 labels ('cat', 'dog', 'owl')" in capsys.readouterr().err
    assert run(["stream", folder, "--condition", "cow"]) == 2
    assert "'cow', a label that training had not" in capsys.readouterr().err
    assert run(["export", folder, "--condition", "cat", "-o", str(tmp_path / "o")]) == 0
    assert run(["export", folder, "-o", str(tmp_path / "p")]) == 2
    assert not (tmp_path / "p").exists()


def test_the_command_line_takes_numbers_as_conditions(tmp_path: Path, capsys) -> None:
    table, folder = tmp_path / "said.csv", str(tmp_path / "m")
    numbers = [f"{row + 0.5}" for row in range(len(TEXTS))]
    table.write_text("text,much\n" + "".join(f"{t},{n}\n" for t, n in zip(TEXTS, numbers, strict=True)))
    fit = ["fit", "language-model", str(table), "--input", "text", "--target", "much", "-o", folder]
    assert run([*fit, "--epochs", "1", "--hidden-size", "8", "--quiet"]) == 0
    for condition, code in (("2.5", 0), ("[2.5]", 0), ("[1, 2]", 2), ("cat", 2), ("{}", 2)):
        assert run(["generate", folder, "--length", "3", "--condition", condition]) == code
    capsys.readouterr()
