"""What `Training(diagnose=True)` collects: right numbers, and a training that takes the very same steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recurra as rc
from recurra import kernels
from recurra.spec import CELLS
from recurra.training import diagnosing, loop, probing
from tasks.made import signals, texts
from training.saboteurs import meddling_probe
from training.toy import StopAfter, fitted_to_compare

TRAINING = rc.Training(epochs=3, batch_size=8, learning_rate=0.01, diagnose=True)


def classifier(cell: str = "gru", training: rc.Training = TRAINING, **network: Any) -> rc.Classifier:
    net = rc.Network(**{"cell": cell, "hidden_size": 6, "num_layers": 1, "embedding_size": 5, **network})
    return rc.Classifier(net, training, rc.Words(min_count=1), pooling="last")


def steps_of(model: rc.Classifier) -> dict[str, Any]:
    """Everything that a training leaves but the clock and the probes."""
    found = fitted_to_compare(model.fitted_)
    found["history"].pop("probes")
    return found


def same_with_and_without(**options: Any) -> bool:
    data = texts(60)
    with_probes = classifier(**options).fit(*data)
    assert with_probes.history_.probes
    without = classifier(**options, training=TRAINING.replace(diagnose=False)).fit(*data)
    return steps_of(with_probes) == steps_of(without)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "options",
    [
        {"recurrent_dropout": 0.3, "output_dropout": 0.2},
        {"bidirectional": True, "num_layers": 2},
        {"layer_norm": True},
        {"initial_state": "learnt"},
    ],
    ids=lambda options: "-".join(options),
)
def test_diagnosing_changes_no_bit_of_the_training(cell: str, options: dict[str, Any]) -> None:
    assert same_with_and_without(cell=cell, **options)


def test_a_probe_that_meddles_is_noticed() -> None:
    with meddling_probe():
        assert not same_with_and_without()


def test_probes_come_when_they_are_due() -> None:
    model = classifier(training=TRAINING.replace(epochs=10)).fit(*texts(60))
    assert [probe["step"] for probe in model.history_.probes] == [1, 11, 51]
    assert all(set(probe["updates"]) == {"embed", "recur.l0", "head"} for probe in model.history_.probes)


def test_a_resumed_training_has_the_probes_of_one_that_was_not_interrupted(tmp_path: Path) -> None:
    data = texts(60)
    whole = classifier().fit(*data, folder=tmp_path / "whole")
    classifier().fit(*data, folder=tmp_path / "parts", callbacks=[StopAfter(5)])
    resumed = classifier().fit(*data, folder=tmp_path / "parts", resume=True)
    assert fitted_to_compare(resumed.fitted_) == fitted_to_compare(whole.fitted_)
    assert len(whole.history_.probes) == 2
    lines = [
        [json.loads(line) for line in (tmp_path / run / "history.jsonl").read_text().splitlines()]
        for run in ("whole", "parts")
    ]
    probes = [[line for line in found if line["kind"] == "probe"] for found in lines]
    assert probes[0] == probes[1] == [{"kind": "probe", **probe} for probe in whole.history_.probes]


def test_the_reach_is_the_gradient_of_the_loss_at_the_states() -> None:
    """Against torch's own recurrence and autograd, step by step."""
    model = classifier("rnn", training=TRAINING.replace(epochs=1)).fit(*texts(60))
    problem = _problem(model)
    index = np.array([0, 1, 2])
    parameters = {name: torch.tensor(value) for name, value in problem.parameters.items()}
    found = probing.probe(problem, parameters, index)["layers"]["l0"]
    curves = []
    for row in index:
        batch = problem.train.batch.select(np.array([row]))
        w = {name.partition(".")[2]: value for name, value in parameters.items()}
        h, states = torch.zeros(6), []
        for token in batch.values:
            x = (
                parameters["embed.weight"][int(token)]
                if "embed.weight" in parameters
                else _row(parameters, token)
            )
            h = torch.tanh(w["weight_ih_l0"] @ x + w["bias_ih_l0"] + w["weight_hh_l0"] @ h + w["bias_hh_l0"])
            h.requires_grad_() if not h.requires_grad else None
            h.retain_grad()
            states.append(h)
        outputs = kernels.dense(h[None], parameters["head.weight"], parameters["head.bias"])
        loss = problem.probe_losses(parameters, outputs, np.array([row])).sum()
        loss.backward()
        norms = np.array([float(state.grad.norm()) for state in states])[::-1]
        curves.append(norms / norms[0])
    for lag, value in zip(found["lags"], found["reach"], strict=True):
        expected = np.mean([curve[lag] for curve in curves if len(curve) > lag])
        assert value == pytest.approx(expected, rel=1e-4)


def _row(parameters: dict[str, torch.Tensor], token: Any) -> torch.Tensor:
    (table,) = [value for name, value in parameters.items() if name.startswith("embed.")]
    return table[int(token)]


def _problem(model: rc.Classifier) -> Any:
    """The problem that a model was trained on, as the loop had it."""
    train, held = model._materials(*texts(60), None, None, None, model.training_)
    examples, notes, window = model._examples(train, model.training_, model.network_)
    return model._problem(examples, model._encode(held), model.training_, notes, window)


@pytest.mark.parametrize("cell", CELLS)
def test_the_spectral_radius_is_that_of_the_jacobian(cell: str) -> None:
    """One state; the Jacobian written out in full and its eigenvalues by NumPy."""
    random = np.random.default_rng(0)
    size = 5
    count = kernels.GATES[cell] * size
    w_ih, w_hh = random.normal(size=(count, 3)), random.normal(size=(count, size))
    # A matrix with a leading real eigenvalue, to which the iteration converges.
    w_hh += np.tile(np.ones((size, size)), (kernels.GATES[cell], 1))
    arrays = [torch.tensor(a, dtype=torch.float32) for a in (w_ih, w_hh, np.zeros(count), np.zeros(count))]
    weights = kernels.RecurWeights(cell=cell, w_ih=arrays[0], w_hh=arrays[1], b_ih=arrays[2], b_hh=arrays[3])
    started = [torch.tensor(random.normal(size=(1, size)) * 0.2, dtype=torch.float32).requires_grad_()]
    if cell == "lstm":
        started.append(torch.tensor(random.normal(size=(1, size)), dtype=torch.float32).requires_grad_())
    x = torch.tensor(random.normal(size=(1, 3)) * 0.3, dtype=torch.float32)
    answer = kernels.recur(
        weights, x, np.array([0, 1]), h0=started[0], c0=started[1] if len(started) > 1 else None
    )
    reached = [answer.h] + ([answer.c] if cell == "lstm" else [])

    def back(given: list[torch.Tensor]) -> list[torch.Tensor]:
        return list(torch.autograd.grad(reached, started, given, retain_graph=True))

    rows = []
    for place in range(size * len(started)):
        unit = torch.zeros(size * len(started))
        unit[place] = 1
        rows.append(torch.cat([g[0] for g in back([part[None] for part in unit.split(size)])]).numpy())
    expected = np.abs(np.linalg.eigvals(np.array(rows))).max()
    assert probing._growth(back, started)[0] == pytest.approx(expected, rel=0.05)


def test_updates_are_what_the_step_did() -> None:
    model = classifier(
        training=TRAINING.replace(epochs=1, optimizer="sgd", learning_rate=0.5, gradient_clip=None)
    )
    first = _first_probe(model)
    problem = _problem(model)
    head = {name: value for name, value in problem.parameters.items() if name.startswith("head.")}
    size = np.sqrt(sum(float(np.square(value, dtype=np.float64).sum()) for value in head.values()))
    norm = model.history_.layers["head"][0]
    assert first["updates"]["head"] == pytest.approx(0.5 * norm / size, rel=1e-4)


def _first_probe(model: rc.Classifier) -> dict[str, Any]:
    probe: dict[str, Any] = model.fit(*texts(60)).history_.probes[0]
    return probe


def test_a_share_of_clipped_numbers_is_counted() -> None:
    gradient = torch.zeros(4, requires_grad=True)
    gradient.grad = torch.tensor([0.1, -3.0, 2.0, 0.0])
    assert diagnosing._share_beyond({"w": gradient}, 1.0) == 0.5


def test_saturation_and_dead_units_are_counted() -> None:
    y = torch.tensor([[0.5, 0.0, 1.0], [0.4, 0.0, -1.0]])
    assert probing._dead(y) == pytest.approx(1 / 3)
    recur = rc.Classifier(rc.Network(cell="rnn", hidden_size=3, num_layers=1))
    from recurra.graph.recur import Recur

    node = Recur("recur", network=recur.network, inputs=2)
    shares = dict(probing._saturation(node, kernels.Recurred(y=y, h=y[-1:])))
    assert shares["h"] == pytest.approx([1 / 6, 1 / 6])


def test_long_signals_are_probed_in_their_first_window() -> None:
    inputs, labels = signals(24)
    model = rc.Classifier(
        rc.Network(cell="gru", hidden_size=4, num_layers=1),
        TRAINING.replace(sequence_length=6),
        pooling="last",
    ).fit(inputs, labels)
    assert model.history_.probes[0]["length"] <= 6


def test_lags_are_every_one_at_first_and_end_with_the_last() -> None:
    assert probing.thinned_lags(5) == [0, 1, 2, 3, 4]
    assert probing.thinned_lags(0) == []
    lags = probing.thinned_lags(1000)
    assert lags[:33] == [*range(32), 34]
    assert lags[-1] == 999
    assert len(lags) < 80


def test_the_loop_probes_nothing_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop.Collector, "before", lambda *_: pytest.fail("probed"))
    assert classifier(training=TRAINING.replace(diagnose=False)).fit(*texts(30)).history_.probes == []
