"""What a training shows is found, with its evidence; a healthy one is left alone. Five seeds of each, so that it is
not luck."""

from __future__ import annotations

import json
from array import array
from typing import Any

import numpy as np
import pytest

import recurra as rc
from insight import trainings
from recurra.errors import NotFittedError, SpecError
from recurra.insight.diagnosis import diagnose, rules
from recurra.insight.diagnosis.evidence import Evidence
from recurra.report.diagnosis import diagnosis_items
from recurra.spec import CELLS
from recurra.training.history import History
from tasks.made import small, texts

SEEDS = range(5)


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (trainings.vanishing, "vanishing gradients"),
        (trainings.exploding, "exploding gradients"),
        (trainings.saturated, "saturated gates"),
        (trainings.converged, "converged"),
        (trainings.overfitting, "overfitting"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.filterwarnings("ignore:overflow")
def test_what_was_made_to_go_wrong_is_found_first(made: Any, name: str, seed: int) -> None:
    found = made(seed)
    assert found.findings[0].name == name, str(found)
    assert found.findings[0].figure in ("reach", "norms", "gates", "loss")


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_found_in_a_healthy_training(cell: str, seed: int) -> None:
    found = trainings.healthy(seed, cell)
    assert found.findings == (), str(found)
    assert found.measures["probes"] >= 2


def test_a_healthy_training_is_alarmed_about_where_thresholds_are_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The saboteur: with a careless threshold the same run is not clean."""
    monkeypatch.setattr(rules, "FAST", 1e-3)
    names = {finding.name for finding in trainings.healthy(0).findings}
    assert names == {"learning rate too high"}


def history_of(
    train: list[float], held: list[float], norms: list[float] | None = None, **probe: Any
) -> History:
    """A history with these losses, ten steps an epoch, and one probe."""
    history = History()
    for epoch, (loss, other) in enumerate(zip(train, held, strict=True)):
        history.add_epoch(
            {"epoch": epoch + 1, "step": 10 * epoch + 10, "train_loss": loss, "validation_loss": other}
        )
    count = 10 * len(train)
    columns = {"epoch": 1.0, "loss": train[0], "learning_rate": 0.01, "gradient_norm": 1.0, "skipped": 0.0}
    history.steps = {name: array("d", [value] * count) for name, value in {**columns, "seconds": 0.0}.items()}
    if norms is not None:
        history.steps["gradient_norm"] = array("d", norms)
    history.add_probe({"step": 1, "epoch": 1, "updates": {"recur.l0": 1e-3}, **probe})
    return history


def found_in(history: History, **training: Any) -> set[str]:
    evidence = Evidence(history, rc.Training(diagnose=True, **training).resolved())
    return {finding.name for rule in rules.RULES if (finding := rule(evidence)) is not None}


FALLING = [1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15]


def test_losses_that_fall_together_are_nothing_to_tell() -> None:
    assert found_in(history_of(FALLING, FALLING)) == set()


@pytest.mark.parametrize(
    ("train", "held", "name"),
    [
        ([1.0, *[0.9] * 8], [1.0] * 9, "underfitting"),
        ([1.0, *[0.1] * 8], [1.0, *[0.1] * 8], "converged"),
        (FALLING, [1.0, 0.8, 0.6, 0.5, 0.5, 0.6, 0.7, 0.8, 0.9], "overfitting"),
        (FALLING, [1.0, 0.9, *[0.8] * 7], "overfitting"),
        ([*FALLING[:8], 1.2], FALLING, "learning rate too high"),
    ],
)
def test_the_course_of_the_losses_is_read(train: list[float], held: list[float], name: str) -> None:
    assert name in found_in(history_of(train, held))


def test_a_loss_that_ends_above_where_it_began_is_not_overfitting() -> None:
    found = found_in(history_of([1.0, 9.0, 8.0, 7.0, 5.0], [1.0, 9.0, 8.0, 9.0, 12.0]))
    assert "learning rate too high" in found
    assert "overfitting" not in found


def test_steps_that_change_much_or_hardly_anything_are_told() -> None:
    assert "learning rate too high" in found_in(history_of(FALLING, FALLING, updates={"head": 0.3}))
    level = [1.0] * 5
    assert "learning rate too low" in found_in(history_of(level, level, updates={"head": 1e-6}))


def test_clipping_of_most_steps_is_a_note() -> None:
    many = history_of(FALLING, FALLING, norms=[2.0] * 90)
    assert found_in(many, gradient_clip=1.0) == {"clipped steps"}
    assert found_in(many, gradient_clip=5.0) == set()


def test_skipped_steps_and_spikes_are_told() -> None:
    history = history_of(FALLING, FALLING)
    history.steps["skipped"][3] = 1.0
    assert {"skipped steps", "exploding gradients"} <= found_in(history)
    spike = history_of(FALLING, FALLING, norms=[1.0] * 89 + [1e4])
    assert "exploding gradients" in found_in(spike, gradient_clip=None)
    assert "exploding gradients" not in found_in(spike, gradient_clip=5.0)
    falling = history_of(FALLING, FALLING, norms=[*[1e4] * 20, *[1.0] * 70])
    assert "exploding gradients" not in found_in(falling)


def layer(**changes: Any) -> dict[str, Any]:
    plain = {"saturated": {}, "dead": 0.0, "radius": [0.9, 1.0], "lags": [0, 1, 2], "reach": [1.0, 0.5, 0.4]}
    return {"cell": "lstm", "reads": "last", "length": 3.0, "layers": {"l0": {**plain, **changes}}}


def test_a_forget_gate_that_stays_open_is_no_fault() -> None:
    gates = {"forget": [0.0, 0.95], "input": [0.1, 0.1]}
    assert found_in(history_of(FALLING, FALLING, **layer(saturated=gates))) == set()
    shut = {"forget": [0.95, 0.0]}
    assert found_in(history_of(FALLING, FALLING, **layer(saturated=shut))) == {"saturated gates"}


def test_dead_units_are_told() -> None:
    assert found_in(history_of(FALLING, FALLING, **layer(dead=0.5))) == {"dead units"}


def test_a_short_memory_is_a_fault_only_where_the_end_is_read_and_something_remains_to_be_learnt() -> None:
    curve = {"lags": list(range(60)), "reach": [0.5**lag for lag in range(60)]}
    record = {**layer(**curve), "length": 60.0}
    level = [1.0, 0.95, 0.9]
    assert "vanishing gradients" in found_in(history_of(level, level, **record))
    assert "vanishing gradients" not in found_in(history_of(level, level, **{**record, "reads": "max"}))
    assert "vanishing gradients" not in found_in(history_of(FALLING, FALLING, **record))


def test_memory_is_the_first_lag_below_a_hundredth() -> None:
    evidence = Evidence(
        history_of([1.0], [1.0], **layer(lags=list(range(20)), reach=[0.5**lag for lag in range(20)])),
        rc.Training(diagnose=True),
    )
    reach = evidence.reach["l0"]
    assert reach.memory == 7  # 0.5^7 is the first below 1%
    weights = 0.5 ** np.arange(20)
    assert reach.mean_lag == pytest.approx(float(np.sum(np.arange(20) * weights) / weights.sum()), rel=1e-6)


def test_a_diagnosis_is_plain_and_shows_itself() -> None:
    found = trainings.vanishing(0)
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert "vanishing gradients" in text
    items = diagnosis_items(found.record())
    kinds = [item.kind for item in items]
    assert kinds[:3] == ["text", "text", "figure"]
    assert items[2].title == "How far back learning reaches"
    assert "table" in kinds
    assert len(found.figures()) == 6
    assert "vanishing gradients" in found._repr_html_()
    assert str(found).startswith("problem: Learning reaches back")


def test_a_training_that_was_not_measured_is_refused() -> None:
    with pytest.raises(NotFittedError, match=r"Training\(diagnose=True\)"):
        diagnose(small())
    with pytest.raises(SpecError, match="--diagnose"):
        diagnose(small(epochs=1).fit(*texts(40)))
