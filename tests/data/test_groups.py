"""Leakage by group: planted groups that give the answer away are found, harmless columns are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recurra.data.dataset import Dataset
from recurra.data.groups import group_summaries
from recurra.data.inspection import inspect
from recurra.data.splits import grouped


def speakers(*, tells: bool, split: bool = True, count: int = 400, seed: int = 0) -> Dataset:
    """Recordings of 40 people; `tells`: each person nearly always says the same."""
    generator = np.random.default_rng(seed)
    people = generator.integers(0, 40, count)
    habit = generator.integers(0, 2, 40)
    usual = np.where(generator.random(count) < 0.9, habit[people], 1 - habit[people])
    labels = usual if tells else generator.integers(0, 2, count)
    parts = generator.choice(["train", "validation", "test"], count, p=[0.6, 0.2, 0.2])
    return Dataset(
        inputs=[f"text number {row} said" for row in range(count)],
        targets=[("yes", "no")[label] for label in labels],
        columns={
            "person": np.array([f"p{one}" for one in people], dtype=object),
            "row": np.arange(count),
            "weekday": generator.integers(0, 7, count),
        },
        split=parts if split else None,
    )


def test_a_planted_leak_by_group_is_found_and_named():
    report = inspect(speakers(tells=True))
    (person,) = [one for one in report.groups if one.column == "person"]
    assert person.leaks
    assert person.shared == 40
    assert person.tested == 1.0
    assert person.score > 0.8
    assert any(
        text.startswith("leakage by group: 'person' alone") and "--group person" in text
        for text in report.advice
    )
    assert not [one for one in report.groups if one.column == "weekday" and one.tells]
    assert "row" not in [one.column for one in report.groups]


def test_groups_that_say_nothing_are_no_leak():
    report = inspect(speakers(tells=False))
    assert not any(one.tells for one in report.groups)
    assert not any("leakage" in text for text in report.advice)


def test_groups_that_the_split_keeps_apart_are_no_leak():
    data = speakers(tells=True)
    names = grouped(data.columns["person"].tolist()).names()
    found = group_summaries(replace(data, split=names))
    (person,) = [one for one in found if one.column == "person"]
    assert person.tells
    assert not person.leaks
    assert person.shared == 0


def test_without_a_split_the_group_is_advised():
    report = inspect(speakers(tells=True, split=False))
    assert any("a random split lets a model learn it by heart" in text for text in report.advice)


def test_a_group_that_explains_numbers_is_found():
    data = speakers(tells=False, split=False)
    codes = np.unique(data.columns["person"], return_inverse=True)[1]
    noise = np.random.default_rng(3).standard_normal(len(data))
    (person,) = [
        one for one in group_summaries(replace(data, targets=codes + noise)) if one.column == "person"
    ]
    assert person.tells
    assert person.score > 0.9


def test_a_label_by_chance_tells_nothing_at_the_level_of_the_test():
    """Saboteur in reverse: of 30 random columns, at most a few may be taken for telling."""
    data = speakers(tells=False, split=False)
    generator = np.random.default_rng(5)
    noise = {f"c{k}": generator.integers(0, 20, len(data)) for k in range(30)}
    assert sum(one.tells for one in group_summaries(replace(data, columns=noise))) <= 2
