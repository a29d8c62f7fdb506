"""Near-duplicates: planted ones are found, across parts too; unlike sequences are left alone."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.nasty import PIECES as NASTY
from recurra.data import near_duplicates as module
from recurra.data.near_duplicates import near_duplicates
from recurra.ragged import Ragged
from shared import assert_noticed

WORDS = [f"w{number}" for number in range(500)]


def texts(count: int = 300, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, size=generator.integers(15, 40))) for _ in range(count)]


def planted(share: float = 0.1) -> tuple[list[str], np.ndarray]:
    """Copies of train texts with one word changed, in the test part."""
    made = texts()
    copies = [" ".join([*text.split()[:-1], "changed"]) for text in made[: int(share * len(made))]]
    return made + copies, np.array(["train"] * len(made) + ["test"] * len(copies))


def test_planted_near_duplicates_across_parts_are_found():
    def check() -> None:
        inputs, split = planted()
        found = near_duplicates(inputs, split)
        assert found.across["train and test"] >= 29
        assert found.sequences >= 29
        assert found.examples[0][1].endswith("...") or found.examples[0][1].endswith("changed")

    assert_noticed(one_hash_for_all(), check)


@contextmanager
def one_hash_for_all():
    """Saboteur: hashes that say nothing put all texts into one bucket, whose first is compared with the rest."""
    kept, module._minhash = (
        module._minhash,
        lambda items, offsets: np.zeros((len(offsets) - 1, 80), np.uint64),
    )
    try:
        yield
    finally:
        module._minhash = kept


def test_unlike_texts_and_exact_copies_are_not_counted():
    made = texts()
    assert near_duplicates(made + made[:50]).sequences == 0


def test_planted_noisy_copies_of_signals_are_found():
    generator = np.random.default_rng(1)
    rows = [generator.standard_normal((40, 2)) for _ in range(100)]
    copies = [row + 0.001 * generator.standard_normal((40, 2)) for row in rows[:15]]
    split = np.array(["train"] * 100 + ["validation"] * 15)
    found = near_duplicates(Ragged.from_lists(rows + copies), split)
    assert found.sequences == 15
    assert found.across == {"train and validation": 15}
    assert near_duplicates(Ragged.from_lists(rows)).sequences == 0


def test_signals_that_differ_in_a_category_are_no_near_duplicates():
    values = np.concatenate([np.arange(10.0), np.arange(10.0) + 1e-6])[:, None]
    codes = np.array(["a"] * 10 + ["b"] * 10, dtype=object)
    batch = Ragged(values=values, offsets=np.array([0, 10, 20]), columns={"code": codes})
    assert near_duplicates(batch).sequences == 0


@pytest.mark.parametrize("inputs", [[""], ["", " "], ["a"], Ragged.from_lists([[1.0], [np.nan]])])
def test_nothing_to_compare_is_no_error(inputs):
    assert near_duplicates(inputs).sequences == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([*NASTY, "a b c d e f g h i j", "a b c d e f g h i k"]), max_size=8))
def test_any_texts_can_be_compared(inputs):
    found = near_duplicates(inputs or ["x"])
    assert 0 <= found.sequences < max(1, len(inputs)) or not inputs
