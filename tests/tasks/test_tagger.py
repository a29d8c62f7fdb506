"""A label or a number per step: learning, answers that do not depend on the batch, rules, unknown tags, errors."""

from __future__ import annotations

import json
from functools import partialmethod
from typing import Any

import numpy as np
import pytest

import recurra as rc
from recurra.data.sentences import Sentence
from recurra.data.step_targets import UNSEEN, StepLabels
from recurra.errors import DataError, SpecError
from recurra.kernels import UNKNOWN_TAG
from recurra.ragged import Ragged

NET = rc.Network(hidden_size=16, num_layers=1, bidirectional=True, embedding_size=12)
INPUTS = rc.Tokens(min_count=1, character_size=6, units=5)


def sentences(count: int = 80, seed: int = 0) -> tuple[list[list[str]], list[list[str]]]:
    """Nouns end in "o" and verbs in "i", behind letters that tell nothing; "el" is a determiner."""
    generator = np.random.default_rng(seed)
    ends = {"NOUN": "o", "VERB": "i", "DET": ""}
    inputs, targets = [], []
    for _ in range(count):
        tags = generator.choice(list(ends), size=generator.integers(1, 8)).tolist()
        stems = ["".join(generator.choice(list("abcdegmrst"), size=3)) for _ in tags]
        inputs.append(
            [stem + ends[tag] if ends[tag] else "el" for stem, tag in zip(stems, tags, strict=True)]
        )
        targets.append(tags)
    return inputs, targets


def spans(count: int = 80, seed: int = 0) -> tuple[list[list[str]], list[list[str]]]:
    """ "mr" begins a name of one or two words."""
    generator = np.random.default_rng(seed)
    inputs, targets = [], []
    for _ in range(count):
        words, tags = [], []
        for _ in range(int(generator.integers(1, 4))):
            words += ["the", "dog"][: int(generator.integers(0, 3))]
            tags += ["O"] * (len(words) - len(tags))
            more = int(generator.integers(1, 3))
            words += ["Mr", "Li", "Bo"][: 1 + more]
            tags += ["B-PER", *["I-PER"] * more]
        inputs.append(words)
        targets.append(tags)
    return inputs, targets


def is_legal(tags: list[str]) -> bool:
    return all(
        tag == "O" or tag[0] == "B" or before[2:] == tag[2:]
        for before, tag in zip(["O", *tags], tags, strict=False)
    )


def trained(**options: Any) -> rc.Tagger:
    """Options of `Tags`, or of the tagger."""
    tags = rc.Tags(**{name: options.pop(name) for name in rc.Tags.names() if name in options})
    training = rc.Training(epochs=15, learning_rate=0.03, batch_size=16)
    return rc.Tagger(NET, training, INPUTS, tags=tags, **options)


@pytest.fixture(scope="module")
def tagger() -> rc.Tagger:
    return trained().fit(*sentences())


@pytest.fixture(scope="module")
def chained() -> rc.Tagger:
    return trained().fit(*spans())


def test_few_sentences_are_read_more_often(monkeypatch):
    monkeypatch.setattr(rc.Training, "planned", partialmethod(rc.Training.planned, steps=60))
    found = {}
    for count in (40, 120):
        training = rc.Tagger.default("training").replace(batch_size=10, learning_rate=0.01)
        model = rc.Tagger(NET, training, INPUTS).fit(*sentences(count), validation_data=sentences(10, seed=1))
        found[count] = len(model.history_.epochs)
        assert model.training_.epochs == found[count]
        assert model.notes_ == (f"{found[count]} epochs for {count} training sequences (epochs='auto')",)
    assert found == {40: 15, 120: 12}


def test_epochs_by_the_data_are_within_bounds():
    training = rc.Training(epochs="auto", batch_size=32)
    assert [training.planned(n).epochs for n in (1, 1051, 3394, 100_000)] == [40, 40, 19, 12]
    assert rc.Training(epochs=7).planned(5).epochs == 7
    with pytest.raises(SpecError, match="epochs must be a whole number or 'auto', got 'many'"):
        rc.Training(epochs="many")
    with pytest.raises(SpecError, match="epochs='auto' has no effect here"):
        _ = training.passes


def test_tags_are_learnt_and_unknown_words_are_known_by_their_letters(tagger):
    inputs, targets = sentences(30, seed=1)
    assert tagger.score(inputs, targets) > 0.97
    assert tagger.predict([["caso", "sali"]]) == [["NOUN", "VERB"]]


@pytest.mark.parametrize("which", ["tagger", "chained"])
def test_alone_is_in_a_batch_is_permuted_to_the_bit(which, request):
    model = request.getfixturevalue(which).predictor_
    inputs = [*sentences(12, seed=2)[0], [], *spans(6, seed=2)[0], ["zzz"]]
    batch = model.encode(inputs)
    whole = model.outputs_of(batch)
    alone = [model.outputs_of(model.encode([item])) for item in inputs]
    assert whole.tobytes() == np.concatenate(alone).tobytes()
    order = np.random.default_rng(0).permutation(len(inputs))
    permuted = model.outputs_of(batch.select(order))
    assert permuted.tobytes() == np.concatenate([alone[i] for i in order]).tobytes()
    tags = model.predict(inputs)
    assert [model.predict([item])[0] for item in inputs] == tags
    chances = model.predict_proba(inputs)
    for item, table in zip(inputs, chances, strict=True):
        assert model.predict_proba([item])[0].tobytes() == table.tobytes()
        assert table.shape == (len(item), len(model.classes))
        np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-5)


def test_a_saboteur_that_pads_words_changes_the_bits(tagger, monkeypatch):
    from recurra.data.tokens import TokenEncoder

    honest = TokenEncoder._encoded

    def padded(self: Any, rows: Any) -> Ragged:
        longest = max((len(word) for row in rows for word in row), default=0)
        return honest(self, [[word.ljust(longest) for word in row] for row in rows])

    monkeypatch.setattr(TokenEncoder, "_encoded", padded)
    model = tagger.predictor_
    inputs = [["el", "gato"], ["el", "perroperroperro"]]
    alone = np.concatenate([model.outputs_of(model.encode([item])) for item in inputs])
    assert alone.tobytes() != model.outputs_of(model.encode(inputs)).tobytes()


def test_a_chain_is_chosen_for_spans_and_never_breaks_their_rules(chained):
    assert chained.predictor_.head.chain == (3,)
    assert chained.schemes_ == ("bio",)
    inputs, targets = spans(30, seed=3)
    scores = chained.scores(inputs, targets)
    assert scores["span_f1"] > 0.95
    (only,) = chained.predictor_.scores(inputs, targets, by_type=True)["spans"].values()
    assert only["f1"] == scores["span_f1"]
    assert only["support"] == sum(tag.startswith("B-") for row in targets for tag in row)
    noise = np.random.default_rng(0).standard_normal((4000, 3)).astype(np.float32) * 8
    offsets = np.arange(0, 4001, 8)
    for tags in chained.predictor_.answers_of(noise, offsets):
        assert is_legal(tags)


def test_without_rules_noise_gives_illegal_tags(chained):
    """The test above can fail."""
    import dataclasses

    model = chained.predictor_
    free = dataclasses.replace(model, config={**model.config, "schemes": [None]})
    noise = np.random.default_rng(0).standard_normal((4000, 3)).astype(np.float32) * 8
    found = free.answers_of(noise, np.arange(0, 4001, 8))
    assert not all(is_legal(tags) for tags in found)


def test_softmax_obeys_the_rules_too():
    model = trained(head="softmax").fit(*spans())
    assert model.predictor_.head.chain == ()
    noise = np.random.default_rng(0).standard_normal((800, 3)).astype(np.float32) * 8
    assert all(is_legal(tags) for tags in model.predictor_.answers_of(noise, np.arange(0, 801, 8)))


def rare(count: int, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """One word in ten is RARE; a word does not tell, so that the likeliest answer is always COMMON."""
    generator = np.random.default_rng(seed)
    tags = [["RARE" if generator.random() < 0.1 else "COMMON" for _ in range(6)] for _ in range(count)]
    return [["uno"] * 6 for _ in tags], tags


def test_balanced_tags_weigh_the_same_all_together():
    inputs, targets = rare(120, 0)
    plain, balanced = (
        rc.Tagger(NET, rc.Training(epochs=4, learning_rate=0.01, class_weight=weight), INPUTS)
        .fit(inputs, targets)
        .predictor_.predict_proba(inputs[:1])[0][:, 1]
        for weight in (None, "balanced")
    )
    np.testing.assert_allclose(plain, 0.1, atol=0.06)
    np.testing.assert_allclose(balanced, 0.5, atol=0.12)


def test_a_weight_of_a_tag_is_its_inverse_frequency():
    from recurra.tasks.step_problem import balanced_tags

    codes = np.array([[0, 1], [0, 1], [0, 0], [1, UNKNOWN_TAG], [UNSEEN, 1]])
    first, second = balanced_tags(codes, (3, 2))
    np.testing.assert_allclose(first, [4 / (3 * 2), 4 / (1 * 2), 4 / (1 * 2)], rtol=1e-6)
    np.testing.assert_allclose(second, [4 / (1 * 2), 4 / (3 * 2)], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "targets", "message"),
    [
        ({"head": "crf"}, [["A"], ["B"]], "class_weight has no effect with head='crf'"),
        ({}, [[1.5], [2.5]], "class_weight has no effect on numbers"),
    ],
)
def test_weights_of_tags_that_can_do_nothing_are_refused(options, targets, message):
    training = rc.Training(epochs=1, class_weight="balanced")
    with pytest.raises(SpecError, match=message):
        rc.Tagger(NET, training, INPUTS, tags=rc.Tags(**options)).fit(
            [["a"], ["b"]], targets, validation_data=([["a"]], targets[:1])
        )


def test_nothing_is_learnt_from_steps_without_a_tag():
    inputs, targets = sentences()
    holes = [[tag if i % 2 else "_" for i, tag in enumerate(row)] for row in targets]
    wrong = [[tag if i % 2 else "DET" for i, tag in enumerate(row)] for row in targets]
    model = trained(unlabelled="_").fit(inputs, holes)
    assert model.predictor_.classes == ["DET", "NOUN", "VERB"]
    assert (
        model.score(*sentences(30, seed=1)) > 0.9 > trained().fit(inputs, wrong).score(*sentences(30, seed=1))
    )


@pytest.mark.parametrize("head", ["softmax", "crf"])
def test_several_columns_of_tags(head):
    inputs, targets = sentences()
    pairs = [[(tag, str(len(tag))) for tag in row] for row in targets]
    model = trained(head=head).fit(inputs, pairs)
    assert model.predictor_.target.sizes == (3, 2)
    scores = model.scores(inputs, pairs)
    assert min(scores["accuracy"], scores["accuracy_1"]) > 0.97
    assert model.predict([["el"]]) == [[("DET", "3")]]


def test_numbers_per_step_of_a_causal_signal():
    generator = np.random.default_rng(0)
    signals = [generator.standard_normal((int(n), 2)) for n in generator.integers(3, 40, 60)]
    sums = [3.0 + 10 * (signal[:, 0] - signal[:, 1]) for signal in signals]
    sums[0][1] = np.nan
    net = rc.Network(hidden_size=16, num_layers=1)
    training = rc.Training(epochs=25, learning_rate=0.02, sequence_length=10)
    model = rc.Tagger(net, training).fit(signals, sums)
    assert model.score(signals[1:], sums[1:]) > 0.95
    assert [len(row) for row in model.predict(signals[:4])] == [len(row) for row in signals[:4]]
    assert "windows" in model.notes_[0]


def test_a_bundle_answers_with_the_same_bits(chained, tmp_path):
    path = chained.save(tmp_path / "m")
    model = rc.load(path)
    inputs = spans(10, seed=5)[0]
    assert model.outputs(inputs).tobytes() == chained.predictor_.outputs(inputs).tobytes()
    assert model.predict(inputs) == chained.predict(inputs)
    again = rc.Tagger.load(path)
    assert again.predict(inputs) == chained.predict(inputs)
    assert again.scores(*spans(10, seed=5)) == chained.scores(*spans(10, seed=5))


def test_alternatives_begin_with_what_is_predicted_and_are_legal(chained, tagger):
    inputs = [["the", "Mr", "Li", "Bo"], ["dog"], []]
    model = chained.predictor_
    found = model.alternatives(inputs, count=5)
    assert [row[0]["labels"] for row in found] == model.predict(inputs)
    assert [len(row) for row in found] == [5, 2, 1]  # one word is O or B-PER
    for row in found:
        chances = [one["probability"] for one in row]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) <= 1 + 1e-5
        assert all(is_legal(one["labels"]) for one in row)
    assert sum(one["probability"] for one in found[1]) == pytest.approx(1.0, abs=1e-5)
    ((first, second),) = tagger.predictor_.alternatives([["gato"]], count=2)
    assert first["labels"] == ["NOUN"] != second["labels"]


def test_steps_beyond_the_most_that_are_read_are_not_scored():
    inputs, targets = sentences(30)
    model = rc.Tagger(NET, rc.Training(epochs=1), rc.Tokens(max_length=3)).fit(inputs, targets)
    assert [len(row) for row in model.predict(inputs)] == [min(len(row), 3) for row in inputs]
    cut = [row[:3] for row in inputs], [row[:3] for row in targets]
    assert model.scores(inputs, targets) == model.scores(*cut)
    assert [len(row) for row in model.conformal(inputs, targets).predict_set(inputs)] == [
        len(row) for row in cut[0]
    ]
    with pytest.raises(
        DataError, match=r"targets\[0\] must have one entry per step of its sequence \(3\), got 2"
    ):
        model.scores([["a", "b", "c", "d"]], [["DET", "DET"]])


def test_records_tell_where_words_stand(tagger):
    (record,) = tagger.predictor_.records(["el gato, comi"])
    found = [(step["text"], step["begin"], step["end"]) for step in record["steps"]]
    assert found == [("el", 0, 2), ("gato", 3, 7), (",", 7, 8), ("comi", 9, 13)]
    assert record["steps"][0]["label"] == "DET"
    assert 0 < record["steps"][0]["probability"] <= 1


def test_records_of_a_sentence_tell_where_words_stand_in_what_was_written(tagger):
    sentence = Sentence(["el", "gato", "!"], "el gato!", [(0, 2), (3, 7), (7, 8)])
    (record,) = tagger.predictor_.records([sentence])
    assert record["text"] == "el gato!"
    assert [(step["begin"], step["end"]) for step in record["steps"]] == [(0, 2), (3, 7), (7, 8)]
    (plain,) = tagger.predictor_.records([list(sentence)])
    assert (plain["steps"][2]["begin"], "text" in plain) == (8, False)
    assert [step["label"] for step in plain["steps"]] == [step["label"] for step in record["steps"]]


def test_long_sequences_of_one_direction_are_read_in_stretches(monkeypatch):
    from recurra.runtime import predictor, tagger

    model = rc.Tagger(NET.replace(bidirectional=False), rc.Training(epochs=1), INPUTS).fit(*sentences(20))
    inputs = [sentences(40, seed=9)[0][0] * 9]
    whole = model.predictor_.outputs(inputs)
    monkeypatch.setattr(predictor, "CHUNK_TOKENS", 5)
    monkeypatch.setattr(tagger, "CHUNK_TOKENS", 5)
    assert model.predictor_.outputs(inputs).tobytes() == whole.tobytes()


def test_tags_that_training_had_not_are_errors_that_are_counted(tagger):
    scores = tagger.scores([["el", "gato"]], [["DET", "XX"]])
    assert scores["accuracy"] == 0.5
    assert scores["unseen_tags"] == 0.5
    coded = StepLabels.fit([["a", "b"]]).encode([["a", "x", None, ""]])
    assert coded.values[:, 0].tolist() == [0, UNSEEN, UNKNOWN_TAG, UNKNOWN_TAG]


def test_a_sentence_without_tokens_has_no_tags(tagger):
    assert tagger.predict([[], ["el"], ""]) == [[], ["DET"], []]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([["A", "B"], ["A"]], r"targets\[1\] must have one entry per step of its sequence \(2\), got 1"),
        ([["A", "B"], "AB"], r"targets\[1\] must be a list of tags"),
        ([["A", "A"], ["A", "A"]], "at least two tags to learn from, got only 'A'"),
        (
            [[("A", "B"), ("B", "A")], [("A",), ("B", "A")]],
            r"targets\[1\] must have 2 tags at every step, got 1",
        ),
    ],
)
def test_bad_targets_are_one_clear_error(targets, message):
    with pytest.raises(DataError, match=message):
        trained().fit([["a", "b"], ["c", "d"]], targets, validation_data=([["a", "b"]], [["A", "B"]]))


@pytest.mark.parametrize(
    ("options", "targets", "message"),
    [
        ({"head": "crff"}, [["A"], ["B"]], "head must be one of"),
        ({"scheme": "biio"}, [["A"], ["B"]], "scheme must be one of"),
        ({"loss": "huber"}, [["A"], ["B"]], "loss='huber' has no effect on labels"),
        ({"head": "crf"}, [[1.5], [2.5]], "head='crf' has no effect on numbers"),
    ],
)
def test_options_without_effect_are_refused(options, targets, message):
    with pytest.raises(SpecError, match=message):
        trained(**options).fit([["a"], ["b"]], targets, validation_data=([["a"]], targets[:1]))


def test_pretrained_vectors_are_where_words_begin(tmp_path):
    (tmp_path / "v.txt").write_text("el 1 2 3\nzzz 4 5 6\n")
    inputs, targets = sentences(20)
    training = rc.Training(epochs=0)
    net = rc.Network(hidden_size=4, num_layers=1)
    model = rc.Tagger(net, training, INPUTS, vectors=str(tmp_path / "v.txt")).fit(inputs, targets)
    table = model.parameters_["spell.words.table"]
    assert table[model.encoder_.words.index("el")].tolist() == [1, 2, 3]
    assert model.network_.embedding_size == 3
    assert not np.isin(table[0], [1, 2, 3]).any()
    with pytest.raises(SpecError, match="embedding_size=12 must be that of the vectors, 3"):
        rc.Tagger(NET, training, INPUTS, vectors=str(tmp_path / "v.txt")).fit(inputs, targets)
    signals = [np.zeros((3, 1)), np.ones((2, 1))] * 5
    with pytest.raises(SpecError, match="vectors has no effect on inputs that are no words"):
        rc.Tagger(net, training, vectors=str(tmp_path / "v.txt")).fit(signals, [["a"] * 3, ["b"] * 2] * 5)


def test_illegal_tags_in_the_truth_are_counted(chained):
    scores = chained.scores([["the", "dog"], ["Mr", "Li"]], [["O", "I-PER"], ["B-PER", "I-PER"]])
    assert scores["illegal_gold_sequences"] == 1
    assert chained.scores([["the", "dog"]], [["O", "B-XX"]])["span_recall"] == 0.0


def test_the_command_line_fits_scores_and_answers(tmp_path):
    from typer.testing import CliRunner

    from recurra.cli.app import app

    inputs, targets = spans(40)
    rows = [zip(*pair, strict=True) for pair in zip(inputs, targets, strict=True)]
    text = "\n\n".join("\n".join(f"{word}\t{tag}" for word, tag in row) for row in rows)
    (tmp_path / "a.conll").write_text(text + "\n")
    small = [
        "--epochs",
        "15",
        "--hidden-size",
        "12",
        "--learning-rate",
        "0.03",
        "--batch-size",
        "8",
        "--json",
    ]
    data = str(tmp_path / "a.conll")
    command = ["fit", "tagger", data, "--input", "0", "--target", "-1", "-o", str(tmp_path / "m")]
    run = CliRunner().invoke(app, [*command, "--conformal", "0.5", *small])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["scores"]["span_f1"] > 0.5
    run = CliRunner().invoke(app, ["evaluate", str(tmp_path / "m"), data, "--json"])
    found = json.loads(run.stdout)
    assert (found["task"], found["rows"]) == ("tagger", 40)
    assert {"accuracy", "span_f1", "sequence_accuracy", "set_coverage"} <= set(found["scores"])
    run = CliRunner().invoke(app, ["predict", str(tmp_path / "m"), "--text", "the dog", "--coverage", "0.5"])
    assert all(set(step["set"]) <= {"O", "B-PER", "I-PER"} for step in json.loads(run.stdout)["steps"])
    run = CliRunner().invoke(app, ["predict", str(tmp_path / "m"), "--text", "the dog"])
    steps = json.loads(run.stdout)["steps"]
    assert [step["text"] for step in steps] == ["the", "dog"]
    for command, message in (
        (
            ["fit", "tagger", data, "-o", str(tmp_path / "n"), "--conformal", "0.9", "--max-error", "0.1"],
            "--max-error has no effect on a tagger",
        ),
    ):
        run = CliRunner().invoke(app, command)
        assert message in f"{run.exception} {run.output}", run.output
