"""A promised coverage where every step has an answer: sets of tags or intervals per step, judged by sequence.

The steps of a sequence depend on each other, so it is sequences that calibration counts: of a new sequence that is
like those of calibration, the share of steps whose set holds the truth is on average at least the coverage. Nothing
is promised of single steps, nor that the sets make a legal sequence of tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.data.step_targets import known_steps
from recurra.errors import DataError
from recurra.kernels import UNKNOWN_TAG
from recurra.ragged import Array, Ragged
from recurra.runtime import promised

if TYPE_CHECKING:
    from recurra.metrics.calibrated import Conformal

METHODS = ("lac", "aps")


def calibrated_tags(
    tables: Sequence[Array], encoded: Ragged, *, coverage: float, method: str = "lac"
) -> Conformal:
    """Calibrate on the probabilities (N, L) of each column's tags; a tag that training had not is in no set."""
    from recurra.metrics.calibrated import conformal_steps
    from recurra.metrics.conformal import class_scores

    truth = np.asarray(encoded.values)
    known, offsets = _known(np.all(truth != UNKNOWN_TAG, axis=1), encoded)
    scores = np.full((len(known), len(tables)), np.inf)
    for place, table in enumerate(tables):
        codes = truth[known, place]
        seen = codes >= 0
        scores[seen, place] = class_scores(codes[seen], table[known[seen]], method=method)
    return conformal_steps(scores, offsets, kind="classes", method=method, coverage=coverage)


def calibrated_numbers(guesses: Array, truth: Array, encoded: Ragged, *, coverage: float) -> Conformal:
    """Calibrate on predicted and true numbers (N,) or (N, K) in their own units; NaN is not known."""
    from recurra.metrics.calibrated import conformal_steps
    from recurra.metrics.conformal import number_scores

    known, offsets = _known(np.isfinite(truth.reshape(len(truth), -1)).all(axis=1), encoded)
    scores = number_scores(truth[known], guesses[known]).reshape(len(known), -1)
    return conformal_steps(scores, offsets, kind="numbers", method="absolute", coverage=coverage)


def chosen_tags(tables: Sequence[Array], calibration: Conformal, coverage: float | None) -> list[Array]:
    """Per column (N, L): which tags are in the set of each step."""
    made: list[Array] = []
    for place, table in enumerate(tables):
        rule: Any = calibration.at(coverage, column=place)
        made.append(rule.sets(table))
    return made


def tag_sets(tables: Sequence[Array], chosen: Sequence[Array], classes: Sequence[Sequence[str]]) -> list[Any]:
    """Per step the tags of its set, most probable first; of several columns a tuple of such tuples."""
    columns = [
        promised.class_sets(held, table, list(names))
        for held, table, names in zip(chosen, tables, classes, strict=True)
    ]
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def tag_set_scores(chosen: Sequence[Array], encoded: Ragged) -> dict[str, float]:
    """`set_coverage` is what is promised: the share of steps whose set holds the truth, averaged over sequences.

    `set_coverage_steps` is that share of all steps, `set_size` the mean number of tags; `_1` of the second column.
    """
    truth = np.asarray(encoded.values)
    known, offsets = _known(np.all(truth != UNKNOWN_TAG, axis=1), encoded)
    found: dict[str, float] = {}
    for place, table in enumerate(chosen):
        codes, more = truth[known, place], f"_{place}" if place else ""
        held = np.where(codes >= 0, table[known, np.maximum(codes, 0)], False)
        found[f"set_coverage{more}"] = _by_sequence(held, offsets)
        found[f"set_coverage_steps{more}"] = float(held.mean())
        found[f"set_size{more}"] = float(table[known].sum(axis=1).mean())
    return found


def interval_scores(limits: Array, truth: Array, encoded: Ragged) -> dict[str, float]:
    """As `tag_set_scores`, of (N, ..., 2) limits of numbers; of several columns their mean."""
    known, offsets = _known(np.isfinite(truth.reshape(len(truth), -1)).all(axis=1), encoded)
    inside = (limits[..., 0] <= truth) & (truth <= limits[..., 1])
    held = inside.reshape(len(inside), -1)[known].mean(axis=1)
    width = limits[..., 1] - limits[..., 0]
    found = {
        "interval_coverage": _by_sequence(held, offsets),
        "interval_coverage_steps": float(held.mean()),
    }
    return {**found, "interval_width": float(width.mean())} if np.isfinite(width).all() else found


def with_sets(records: Sequence[dict[str, Any]], sets: Any) -> list[dict[str, Any]]:
    """The records of steps, each with its "set" of tags or its "interval" of a number."""
    return [
        {**record, "interval": one.tolist()}
        if isinstance(one, np.ndarray)
        else {**record, "set": _plain(one)}
        for record, one in zip(records, sets, strict=True)
    ]


def _plain(found: Any) -> Any:
    return [_plain(item) if isinstance(item, tuple) else item for item in found]


def _by_sequence(held: Array, offsets: Array) -> float:
    lengths = np.diff(offsets)
    weights = np.repeat(1.0 / np.maximum(lengths, 1), lengths)
    return float((held * weights).sum() / np.sum(lengths > 0))


def _known(given: Any, encoded: Ragged) -> tuple[Array, Array]:
    """`known_steps`; raises DataError where none is known."""
    if not given.any():
        raise DataError("targets must hold at least one answer to compare with, got none")
    return known_steps(given, encoded.offsets)
