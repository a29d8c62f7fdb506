"""Leakage by group: a person, device or document that is in two parts, or that gives the answer away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.cells import Array
from recurra.data.dataset import PARTS, Dataset
from recurra.data.splits import group_codes
from recurra.data.summaries import Record

DRAWS = 199
MOST_CLASSES = 200
GAIN = 0.05
LEVEL = 0.01


@dataclass(frozen=True, kw_only=True)
class GroupSummary(Record):
    """A column that could name groups: several sequences share a value.

    column: its name. groups: distinct values. shared: groups that stand in more than one part. tested: share of the
    test sequences (validation, where there is no test) whose group also stands in train; None without a split.
    score: accuracy (R² for numbers) of guessing the target of each sequence from the *others* of its group.
    chance: the same without the group: of the most frequent class (0 for R²). p_value: one-sided, by permutation.
    """

    column: str
    groups: int
    shared: int
    tested: float | None
    score: float | None
    chance: float | None
    p_value: float | None

    @property
    def tells(self) -> bool:
        """Whether the group alone says much about the target."""
        if self.score is None or self.chance is None or self.p_value is None:
            return False
        return self.score > self.chance + GAIN and self.p_value <= LEVEL

    @property
    def leaks(self) -> bool:
        """Whether the split lets a model know the groups that it is tested on, and knowing them helps."""
        return self.tells and bool(self.tested)


def group_summaries(dataset: Dataset) -> tuple[GroupSummary, ...]:
    """Summarise every further column whose values several sequences share, the most telling first."""
    found = [_summary(name, codes, count, dataset) for name, codes, count in _candidates(dataset.columns)]
    return tuple(sorted(found, key=lambda one: (not one.tells, one.column)))


def _candidates(columns: Mapping[str, Array]) -> Iterator[tuple[str, Array, int]]:
    for name, column in columns.items():
        codes, count = group_codes(column.tolist())
        if 2 <= count <= len(codes) / 2:
            yield name, codes, count


def _summary(name: str, codes: Array, count: int, dataset: Dataset) -> GroupSummary:
    parts = _parts_of(codes, count, dataset.split)
    score, chance, p_value = _tested(codes, count, dataset.targets)
    return GroupSummary(
        column=name,
        groups=count,
        shared=0 if parts is None else int((parts.sum(axis=1) > 1).sum()),
        tested=None if parts is None else _known(codes, parts, dataset.split),
        score=score,
        chance=chance,
        p_value=p_value,
    )


def _parts_of(codes: Array, count: int, split: Array | None) -> Array | None:
    """(groups, 3) whether a group stands in train, validation and test."""
    if split is None:
        return None
    found = np.zeros((count, len(PARTS)), dtype=bool)
    for place, name in enumerate(PARTS):
        found[codes[split == name], place] = True
    return found


def _known(codes: Array, parts: Array, split: Any) -> float:
    held = split == ("test" if (split == "test").any() else "validation")
    return float(parts[codes[held], 0].mean()) if held.any() else 0.0


def _tested(codes: Array, count: int, targets: Any) -> tuple[float | None, float | None, float | None]:
    if targets is None or (
        not isinstance(targets, np.ndarray) and not all(isinstance(t, str) for t in targets)
    ):
        return None, None, None
    if isinstance(targets, np.ndarray):
        answers = targets.astype(np.float64).reshape(len(targets), -1)
        known = np.isfinite(answers).all(axis=1)
        return _against_chance(codes[known], count, answers[known], _explained, 0.0)
    labels, classes = group_codes(targets)
    if not 2 <= classes <= MOST_CLASSES:
        return None, None, None
    return _against_chance(codes, count, labels, _guessed, float(np.bincount(labels).max() / len(labels)))


def _against_chance(
    codes: Array, count: int, answers: Array, score: Any, chance: float
) -> tuple[float, float, float]:
    actual = score(codes, count, answers)
    generator = np.random.default_rng(0)
    drawn = [score(codes, count, answers[generator.permutation(len(answers))]) for _ in range(DRAWS)]
    return actual, chance, float((1 + np.sum(np.array(drawn) >= actual - 1e-12)) / (DRAWS + 1))


def _guessed(codes: Array, count: int, labels: Array) -> float:
    """Accuracy of the most frequent label among the others of the group; alone: of all sequences."""
    classes = int(labels.max()) + 1
    table = np.zeros((count, classes), dtype=np.int64)
    np.add.at(table, (codes, labels), 1)
    overall = int(np.bincount(labels).argmax())
    right = 0
    for own in range(classes):
        held = table[:, own]
        others = table.copy()
        others[:, own] -= 1
        guess = np.where(table.sum(axis=1) > 1, others.argmax(axis=1), overall)
        right += int(held[guess == own].sum())
    return right / len(labels)


def _explained(codes: Array, count: int, numbers: Array) -> float:
    """R² of the mean of the others of the group; alone: the mean of all."""
    sizes = np.bincount(codes, minlength=count)
    sums = np.zeros((count, numbers.shape[1]))
    np.add.at(sums, codes, numbers)
    others = (sums[codes] - numbers) / np.maximum(sizes[codes] - 1, 1)[:, None]
    guess = np.where(sizes[codes][:, None] > 1, others, numbers.mean(axis=0))
    spread = ((numbers - numbers.mean(axis=0)) ** 2).sum()
    return float(1 - ((numbers - guess) ** 2).sum() / spread) if spread > 0 else 0.0
