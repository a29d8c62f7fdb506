from __future__ import annotations

import numpy as np

from recurra.data.duplicates import duplicate_count, duplicates_across, sequence_keys
from recurra.data.splits import Split
from recurra.ragged import Ragged


def split_of(*parts: list[int]) -> Split:
    train, validation, test = (np.array(part, dtype=int) for part in parts)
    return Split(train=train, validation=validation, test=test, total=sum(map(len, parts)))


def test_texts_are_compared_without_case_and_in_one_normal_form() -> None:
    keys = sequence_keys(["Caf\u00e9", "cafe\u0301", " CAFÉ\n", "cafe", "Straße", "STRASSE"])
    assert keys[0] == keys[1] == keys[2]
    assert keys[3] != keys[0]
    assert keys[4] == keys[5]


def test_duplicates_across_parts_are_counted_by_pairs() -> None:
    texts = ["one", "two", "One", "three", "two", "THREE"]
    found = duplicates_across(texts, split_of([0, 1], [2, 3], [4, 5]))
    assert (found.train_validation, found.train_test, found.validation_test) == (1, 1, 1)
    assert found.total == 3
    assert found.warning == (
        "1 validation and 1 test sequences also stand in train, and 1 test sequences in validation, "
        "such as 'One': scores on them are too good"
    )


def test_no_duplicates_give_no_warning() -> None:
    found = duplicates_across(["a", "b", "c"], split_of([0], [1], [2]))
    assert found.total == 0
    assert found.warning == ""
    assert found.to_dict() == {"train_validation": 0, "train_test": 0, "validation_test": 0, "example": ""}


def test_signals_are_duplicates_where_all_numbers_are_equal() -> None:
    inputs = Ragged.from_lists([[[1.0], [2.0]], [[1.0], [2.0]], [[1.0], [2.5]], [[1.0]]], np.float64)
    assert duplicate_count(inputs) == 1
    assert duplicate_count(list(inputs)) == 1


def test_events_count_their_categories_and_their_times_from_the_first_step() -> None:
    offsets, values = np.array([0, 2, 4, 6]), np.zeros((6, 0))
    items = np.array(["a", "b", "a", "b", "a", "c"], dtype=object)
    times = np.array([0.0, 5.0, 100.0, 105.0, 0.0, 5.0])
    same = Ragged(values=values, offsets=offsets, columns={"item": items, "time": times})
    assert duplicate_count(same) == 1
    later = times.copy()
    later[3] = 106.0
    assert (
        duplicate_count(Ragged(values=values, offsets=offsets, columns={"item": items, "time": later})) == 0
    )


def test_lone_surrogates_and_empty_texts_have_keys_too() -> None:
    assert duplicate_count(["\ud800", "\ud800", "", ""]) == 2
