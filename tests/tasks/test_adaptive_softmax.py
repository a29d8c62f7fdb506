"""The adaptive softmax: exact probabilities, torch's losses and gradients, the same bits in every way of asking."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

import recurra as rc
from recurra import kernels
from recurra.cli.app import run
from recurra.errors import SpecError
from recurra.graph.adaptive import AdaptiveDense, usual_cutoffs
from recurra.graph.run import Flow, Run
from recurra.kernels import shaping
from recurra.runtime.verify import verify
from recurra.training import Callback
from shared import assert_noticed
from tasks.test_language_model import losses_in_training

OUTPUTS, CUTOFFS, INPUTS = 60, (6, 20), 128
TEXT = "the cat sat on a mat ; dog log bird sang to and fish swam by near no one . then they went home"
NETWORK = rc.Network(hidden_size=8, num_layers=1, embedding_size=5, dropout=0.0)
TRAINING = rc.Training(epochs=2, batch_size=3, sequence_length=7, learning_rate=0.01)


def made_texts() -> list[str]:
    random, words = np.random.default_rng(4), TEXT.split()
    share = 1.0 / np.arange(1, len(words) + 1)
    return [" ".join(random.choice(words, 60, p=share / share.sum())) for _ in range(8)]


@pytest.fixture(scope="module")
def model() -> rc.LanguageModel:
    kind = rc.LanguageModel(NETWORK, TRAINING, rc.Words(min_count=1), softmax="adaptive", cutoffs=(5, 12))
    return kind.fit(made_texts())


def made_head() -> tuple[AdaptiveDense, dict[str, np.ndarray]]:
    node = AdaptiveDense("head", inputs=INPUTS, outputs=OUTPUTS, cutoffs=CUTOFFS)
    random = np.random.default_rng(0)
    return node, {f"head.{n}": random.normal(size=p.shape) * 0.2 for n, p in node.parameters().items()}


def torchs(parameters: dict[str, torch.Tensor]) -> torch.nn.AdaptiveLogSoftmaxWithLoss:
    """torch's own, with our weights: there the last id is no frequent one, and rare ids have no bias."""
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(
        INPUTS, OUTPUTS, [cut + 1 for cut in CUTOFFS], div_value=4.0, head_bias=True
    ).double()
    theirs.head.weight = torch.nn.Parameter(parameters["head.weight"])
    theirs.head.bias = torch.nn.Parameter(parameters["head.bias"])
    for place, (down, up) in enumerate(theirs.tail):
        down.weight = torch.nn.Parameter(parameters[f"head.reduce_{place}"])
        up.weight = torch.nn.Parameter(parameters[f"head.weight_{place}"])
    return theirs


def in_their_order(ids: np.ndarray) -> np.ndarray:
    return np.where(ids == OUTPUTS - 1, CUTOFFS[0], np.where(ids < CUTOFFS[0], ids, ids + 1))


def check_against_torch() -> None:
    node, values = made_head()
    values = {name: value * (not name.startswith("head.bias_")) for name, value in values.items()}
    random = np.random.default_rng(1)
    ids = np.concatenate([random.integers(0, OUTPUTS, 40), [OUTPUTS - 1, 0, 6, 20, 19]])
    x, dloss = random.normal(size=(len(ids), INPUTS)), torch.from_numpy(random.normal(size=len(ids)))
    ours = {name: torch.from_numpy(value).requires_grad_() for name, value in values.items()}
    entering = torch.from_numpy(x).requires_grad_()
    losses = node.losses(ours, entering, ids)
    losses.backward(dloss)
    theirs = torchs({name: torch.from_numpy(value) for name, value in values.items()})
    other = torch.from_numpy(x).requires_grad_()
    expected = theirs(other, torch.from_numpy(in_their_order(ids))).output
    (-expected).backward(dloss)
    np.testing.assert_allclose(losses.detach(), -expected.detach(), rtol=1e-12)
    np.testing.assert_allclose(entering.grad, other.grad, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(ours["head.weight"].grad, theirs.head.weight.grad, rtol=1e-10, atol=1e-13)
    for place, (down, up) in enumerate(theirs.tail):
        for part, mine in ((down, f"head.reduce_{place}"), (up, f"head.weight_{place}")):
            np.testing.assert_allclose(ours[mine].grad, part.weight.grad, rtol=1e-10, atol=1e-13)


def test_losses_and_gradients_are_those_of_torch() -> None:
    check_against_torch()


def test_losses_put_at_the_wrong_tokens_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    spread = shaping.spread
    monkeypatch.setattr(shaping, "spread", lambda v, rows, n: spread(v, np.arange(len(rows)), n))
    with pytest.raises(AssertionError):
        check_against_torch()


def check_smoothing_is_over_each_softmax() -> None:
    """Against the definition: both choices of a rare id, each with its share spread over what may be chosen there."""
    node, values = made_head()
    ids, share = np.arange(OUTPUTS), 0.2
    x = np.random.default_rng(3).normal(size=(OUTPUTS, INPUTS))

    def smooth(scores: np.ndarray, chosen: int) -> float:
        logs = scores - np.log(np.exp(scores).sum())
        return float(-(1 - share) * logs[chosen] - share * logs.mean())

    expected = []
    for row, rare in zip(x, ids, strict=True):
        first = values["head.weight"] @ row + values["head.bias"]
        tail = next((tail for tail in node.tails if tail.low <= rare < tail.high), None)
        chosen = min(rare, node.frequent) if tail is None else node.frequent + 1 + tail.place
        loss = smooth(first, chosen)
        if tail is not None:
            reduced = values[f"head.reduce_{tail.place}"] @ row
            within = values[f"head.weight_{tail.place}"] @ reduced + values[f"head.bias_{tail.place}"]
            loss += smooth(within, rare - tail.low)
        expected.append(loss)
    np.testing.assert_allclose(node.losses(values, x, ids, share), expected, rtol=1e-10)


def test_smoothing_is_over_each_softmax_that_is_computed() -> None:
    """A share that were spread in the first softmax alone would be noticed."""
    whole, calls = kernels.cross_entropy, []

    def first_alone(scores: Any, targets: Any, weight: Any = None, smoothing: float = 0.0) -> Any:
        calls.append(scores)
        return whole(scores, targets, weight, smoothing if len(calls) == 1 else 0.0)

    assert_noticed(
        mock.patch.object(kernels, "cross_entropy", first_alone), check_smoothing_is_over_each_softmax
    )


def test_smoothing_changes_what_is_learnt_and_little_else(model) -> None:
    words = rc.Words(min_count=1)
    training = TRAINING.replace(label_smoothing=0.2)
    made = rc.LanguageModel(NETWORK, training, words, softmax="adaptive", cutoffs=(5, 12)).fit(made_texts())
    assert made.parameters_["head.weight_1"].tobytes() != model.parameters_["head.weight_1"].tobytes()
    losses = [-np.asarray(each.log_probabilities(made_texts()).values).mean() for each in (made, model)]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_are_bit_for_bit_those_of_all_probabilities_which_sum_to_one(dtype: type) -> None:
    node, values = made_head()
    values = {name: value.astype(dtype) for name, value in values.items()}
    x = np.random.default_rng(2).normal(size=(OUTPUTS, INPUTS)).astype(dtype)
    every = node.forward(values, Flow(values=x, offsets=np.array([0, OUTPUTS])), Run()).values
    np.testing.assert_allclose(np.exp(every).sum(1), 1.0, atol=1e-5 if dtype is np.float32 else 1e-13)
    ids = np.arange(OUTPUTS)
    losses = node.losses(values, x, ids)
    assert losses.tobytes() == (-every[ids, ids]).tobytes()
    assert node.losses(values, x[7:9], ids[7:9]).tobytes() == losses[7:9].tobytes()
    tensors = {name: torch.from_numpy(value) for name, value in values.items()}
    assert node.losses(tensors, torch.from_numpy(x), ids).numpy().tobytes() == losses.tobytes()
    flow = Flow(values=torch.from_numpy(x), offsets=np.array([0, OUTPUTS]))
    assert node.forward(tensors, flow, Run()).values.numpy().tobytes() == every.tobytes()


def test_windows_with_carried_state_give_the_bits_of_whole_documents(model, tmp_path: Path) -> None:
    texts = made_texts()
    whole = -np.asarray(model.log_probabilities(texts).values)
    assert losses_in_training(model, tmp_path, texts).tobytes() == whole.tobytes()


def test_it_is_verified_in_every_engine_stored_and_taken_up_again(model, tmp_path: Path) -> None:
    found = verify(model.predictor_)
    assert found.passed, [check for check in found.checks if not check.passed]
    names = " ".join(check.name for check in found.checks)
    assert all(engine in names for engine in ("torch.nn", "ONNX Runtime", "streamed"))
    model.save(tmp_path / "m")
    texts = made_texts()
    again = rc.load(tmp_path / "m")
    assert again.log_probabilities(texts).values.tobytes() == model.log_probabilities(texts).values.tobytes()
    assert again.generate("the", length=5, seed=3) == model.generate("the", length=5, seed=3)
    workshop = rc.LanguageModel.load(tmp_path / "m")
    assert (workshop.softmax, tuple(workshop.cutoffs)) == ("adaptive", (5, 12))


def test_it_is_learnt_and_a_resumed_run_gives_the_same_bits(model, tmp_path: Path) -> None:
    losses = [epoch["train_loss"] for epoch in model.history_.epochs]
    assert losses[-1] < losses[0]

    class Stop(Callback):
        def on_step(self, event) -> bool:
            return event.total == 5

    again = rc.LanguageModel(NETWORK, TRAINING, rc.Words(min_count=1), softmax="adaptive", cutoffs=(5, 12))
    again.fit(made_texts(), folder=tmp_path, callbacks=[Stop()])
    again.fit(made_texts(), folder=tmp_path, resume=True)
    assert all(again.parameters_[n].tobytes() == value.tobytes() for n, value in model.parameters_.items())


def test_training_it_needs_less_memory_than_a_full_softmax() -> None:
    full = AdaptiveDense("head", inputs=256, outputs=50_001, cutoffs=usual_cutoffs(50_000))
    assert full.width == 50_001
    assert full.held() < full.width / 3
    assert full.operations() < 256 * 50_001 / 5


@pytest.mark.parametrize(
    ("network", "training", "options", "message"),
    [
        (NETWORK, TRAINING, {"cutoffs": (5,)}, "cutoffs has no effect with softmax='full'"),
        (NETWORK, TRAINING, {"softmax": "sampled"}, "softmax must be 'full' or 'adaptive', got 'sampled'"),
        (NETWORK, TRAINING, {"softmax": "adaptive", "cutoffs": (9, 5)}, "cutoffs must be rising ids"),
        (NETWORK, TRAINING, {"softmax": "adaptive", "cutoffs": (5, 500)}, "below the vocabulary of 2"),
        (NETWORK, TRAINING, {"softmax": "adaptive", "cutoffs": ()}, "cutoffs must be rising ids"),
        (NETWORK, TRAINING, {"softmax": "adaptive"}, "pays for large vocabularies, and this one has 2"),
        (
            NETWORK.replace(tied_embedding=True),
            TRAINING,
            {"softmax": "adaptive", "cutoffs": (5,)},
            "tied_embedding needs one vector per token",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(network, training, options, message) -> None:
    with pytest.raises(SpecError, match=message):
        rc.LanguageModel(network, training, rc.Words(min_count=1), **options).fit(made_texts())


def test_the_command_line_fits_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, folder = tmp_path / "corpus.txt", tmp_path / "m"
    corpus.write_text("\n".join(made_texts()))
    argv = f"fit language-model {corpus} --unit words -o {folder} --epochs 1 --hidden-size 8".split()
    sets = ["--set", "task.softmax=adaptive", "--set", "task.cutoffs=[5, 12]", "--set", "input.min_count=1"]
    assert run([*argv, *sets]) == 0, capsys.readouterr().err
    assert rc.load(folder).head.cutoffs == (5, 12)
