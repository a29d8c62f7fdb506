"""What a tagger is judged by: right steps, F1 of spans, or errors of numbers, counted sequence by sequence.

Targets are `Ragged`: codes (N,) of the tags of all steps, below 0 where there is none to compare with (-1) or one
that training had not (-2, always an error); or numbers, NaN where there is none.
"""

from __future__ import annotations

import warnings
from functools import partial
from itertools import pairwise

import numpy as np

from recurra.decoding.tags import decode, rules_of
from recurra.evaluation.judge import Judge, f1_of_counts
from recurra.kernels import UNKNOWN_TAG
from recurra.metrics import regression_scores
from recurra.metrics.checks import MetricWarning
from recurra.metrics.spans import span_scores, spans_of
from recurra.ragged import Array, Offsets, Ragged

Tags = tuple[str, ...]


def step_judge(tags: Tags, scheme: str | None) -> Judge:
    """Span F1 where the tags mark spans, else accuracy of steps; without tags RMSE over steps."""
    if not tags:
        return STEP_RMSE
    if scheme is None:
        return STEP_ACCURACY
    return Judge(
        score="span_f1",
        rises=True,
        unit="points of span F1",
        factor=100.0,
        ingredients=partial(_span_counts, tags),
        combine=f1_of_counts,
    )


def decided_tags(shares: Array, offsets: Offsets, tags: Tags, scheme: str | None) -> Array:
    """(N,) codes of the most probable tags; under a scheme of the legal ones with the greatest product."""
    rules = rules_of(tags, scheme)
    if rules is None:
        best: Array = np.argmax(shares, axis=1)
        return best
    logs = np.log(np.maximum(shares, 1e-30)).astype(np.float32)
    found: Array = decode(logs, offsets, None, rules)
    return found


def step_scores(decided: Array, targets: Ragged, tags: Tags, scheme: str | None) -> dict[str, float]:
    """accuracy and sequence_accuracy over steps with a target, and under a scheme span precision, recall and F1.

    Of numbers, without tags: the scores of regression over the steps with a target.
    """
    values = np.asarray(targets.values)
    if not tags:
        known = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        return regression_scores(values[known], decided[known])
    counts = _right(decided, targets)
    some = counts[:, 1] > 0
    found = {
        "accuracy": float(counts[:, 0].sum() / max(counts[:, 1].sum(), 1.0)),
        "sequence_accuracy": float(np.mean(counts[some, 0] == counts[some, 1]))
        if some.any()
        else float("nan"),
    }
    if scheme is None:
        return found
    truth, guess = _named(values, targets.offsets, tags), _named(decided, targets.offsets, tags)
    whole = [place for place, row in enumerate(truth) if "" not in row]
    with warnings.catch_warnings():  # of no span on either side
        warnings.simplefilter("ignore", MetricWarning)
        spans = span_scores([truth[at] for at in whole], [guess[at] for at in whole], warn=False).micro
    return {
        **found,
        **{f"span_{name}": float(getattr(spans, name)) for name in ("precision", "recall", "f1")},
    }


def _named(codes: Array, offsets: Offsets, tags: Tags) -> list[list[str]]:
    """Tags by sequence; "" for one that is not given, and a span of its own kind for one that training had not."""
    names = [*tags, "B-tag not in training", ""]
    row = [names[code] for code in codes.tolist()]
    return [row[begin:end] for begin, end in pairwise(offsets)]


def _span_counts(tags: Tags, decided: Array, targets: Ragged) -> Array:
    """(S, 3) spans found, extra and missed; nothing counts in a sequence that is not tagged throughout."""
    truth = _named(np.asarray(targets.values), targets.offsets, tags)
    guess = _named(decided, targets.offsets, tags)
    counts = np.zeros((len(truth), 3))
    for place, (true, given) in enumerate(zip(truth, guess, strict=True)):
        if "" not in true:
            actual, called = set(spans_of(true)), set(spans_of(given))
            counts[place] = len(actual & called), len(called - actual), len(actual - called)
    return counts


def _right(decided: Array, targets: Ragged) -> Array:
    """(S, 2) right steps and steps with a target."""
    values = np.asarray(targets.values)
    known = values != UNKNOWN_TAG
    return np.stack([_sums(decided == values, targets.offsets), _sums(known, targets.offsets)], axis=1)


def _squares(numbers: Array, targets: Ragged) -> Array:
    """(S, 2) squared errors, the mean over the columns, and steps with a target."""
    values = np.asarray(targets.values, dtype=np.float64).reshape(len(targets.values), -1)
    known: Array = np.asarray(np.isfinite(values).all(axis=1))
    gaps = np.where(
        known[:, None], np.asarray(numbers).reshape(values.shape) - np.where(known[:, None], values, 0), 0
    )
    return np.stack([_sums((gaps**2).mean(axis=1), targets.offsets), _sums(known, targets.offsets)], axis=1)


def _sums(values: Array, offsets: Offsets) -> Array:
    """(S,) sums over the steps of each sequence."""
    before = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    made: Array = before[offsets[1:]] - before[offsets[:-1]]
    return made


def _ratio(means: Array) -> Array:
    made: Array = means[..., 0] / np.maximum(means[..., 1], 1e-12)
    return made


STEP_ACCURACY = Judge(
    score="accuracy", rises=True, unit="points", factor=100.0, ingredients=_right, combine=_ratio
)
STEP_RMSE = Judge(
    score="rmse",
    rises=False,
    unit="in RMSE",
    factor=1.0,
    ingredients=_squares,
    combine=lambda means: np.sqrt(_ratio(means)),
)
