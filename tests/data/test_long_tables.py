from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.leaks import neighbours_mixed_up
from recurra.data.dataset import Dataset
from recurra.errors import DataError
from recurra.ragged import Ragged
from shared import assert_noticed


def calls(**changed: Any) -> dict[str, Any]:
    return {
        "who": ["ann", "bob", "ann", "bob", "ann"],
        "when": [3, 1, 1, 2, 2],
        "amount": ["1.5", "2", "", "4", "5"],
        "code": [10, 20, 10, 30, 20],
        "city": ["Oslo", "Bern", "Oslo", None, "Riga"],
        "age": [30, 40, 30, 40, 30],
        "label": ["left", "stayed", "left", "stayed", "left"],
        **changed,
    }


def read(frame: Any = None, **options: Any) -> Dataset:
    known = {"sequence_id": "who", "time": "when", "static": "age", "categories": "code"}
    return Dataset.from_frame(calls() if frame is None else frame, **{**known, **options})


def steps(made: Dataset) -> Ragged:
    assert isinstance(made.inputs, Ragged)
    return made.inputs


def test_rows_become_sequences_in_the_order_of_time() -> None:
    made = read()
    assert (made.kind, made.features) == ("events", ("amount",))
    assert steps(made).offsets.tolist() == [0, 3, 5]
    assert steps(made).columns["time"].tolist() == [1, 2, 3, 1, 2]
    assert steps(made).columns["code"].tolist() == ["10", "20", "10", "20", "30"]
    assert steps(made).columns["city"].tolist() == ["Oslo", "Riga", "Oslo", "Bern", ""]
    np.testing.assert_array_equal(steps(made).values[:, 0], [np.nan, 5, 1.5, 2, 4])


def test_what_is_of_the_sequence_stands_beside_it() -> None:
    made = read()
    assert made.targets == ["left", "stayed"]
    assert made.static is not None
    assert made.static.tolist() == [[30.0], [40.0]]
    assert made.columns["who"].tolist() == ["ann", "bob"]


def test_columns_that_change_are_not_kept_and_constant_ones_are() -> None:
    made = read(
        calls(home=["N", "S", "N", "S", "N"], noise=[1, 2, 3, 4, 5]), input=["amount"], categories=None
    )
    assert sorted(made.columns) == ["home", "who"]
    assert made.kind == "signal"


def test_rows_out_of_order_are_sorted_and_counted() -> None:
    made = read(calls(when=[3, 1, 1, 1, 1]))
    assert made.notes == (
        "the rows were sorted by time: 1 went back in time inside of their sequence",
        "2 rows repeat a time of their sequence; they were kept in the order of the file",
    )
    assert steps(made).columns["city"].tolist()[:2] == ["Oslo", "Riga"]


def test_rows_out_of_order_or_repeated_are_refused_where_asked() -> None:
    with pytest.raises(
        DataError, match="frame, row 3 goes back in time inside of a sequence, as 1 rows do; put"
    ):
        read(time_order="refuse")
    with pytest.raises(DataError, match="row 4 repeats a time inside of a sequence, as 1 rows do"):
        read(calls(when=[1, 1, 2, 1, 3]), time_order="refuse")
    assert read(calls(when=[1, 1, 2, 2, 3]), time_order="refuse").notes == ()


def test_without_time_the_order_of_the_file_stays() -> None:
    made = read(time=None, input=["amount"], categories=None)
    np.testing.assert_array_equal(steps(made).values[:, 0], [1.5, np.nan, 5, 2, 4])
    assert "time" not in steps(made).columns


def test_one_id_in_two_parts_is_two_sequences() -> None:
    made = read(calls(split=["train", "train", "test", "train", "test"]))
    assert made.columns["who"].tolist() == ["ann", "bob", "ann"]
    assert made.split is not None
    assert made.split.tolist() == ["train", "train", "test"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"label": ["a", "b", "a", "b", "c"]},
            r"row 5: 'label' must be the same in all rows .* got 'c' after 'a' in frame, row 1",
        ),
        (
            {"age": [30, 40, 31, 40, 30]},
            "row 3: 'age' must be the same in all rows of a sequence, got 31 after 30",
        ),
        ({"who": ["ann", "", "ann", "bob", "ann"]}, "row 2: sequence id 'who' is empty"),
        ({"when": [1, None, 2, 3, 4]}, "row 2: time 'when' is empty"),
        ({"amount": ["1", "x", "3", "4", "5"]}, "row 2: column 'amount' must be a number, got 'x'"),
        ({"amount": ["", None, "N/A", "nan", ""]}, "column 'amount' has no value in any of 5 rows"),
    ],
)
def test_rows_that_do_not_fit_are_refused(changed: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(calls(**changed))


def test_rows_that_cannot_be_read_are_left_out_where_asked() -> None:
    made = read(calls(amount=["1", "x", "3", "4", "5"], when=[1, 2, 3, 4, None]), bad_rows="drop")
    assert made.notes[0] == "2 of 5 rows cannot be read and were left out, the first is frame, row 2"
    assert steps(made).lengths.tolist() == [2, 1]
    with pytest.raises(DataError, match="has no row that can be read"):
        read(calls(label=[None] * 5), bad_rows="drop")


def test_without_an_id_all_rows_are_one_sequence() -> None:
    made = Dataset.from_frame({"x": [1.0, 2.0], "y": [3.0, 4.0]}, rows="steps")
    assert steps(made).values.tolist() == [[1, 3], [2, 4]]
    assert len(made) == 1


def test_a_table_without_columns_for_steps_is_refused() -> None:
    with pytest.raises(DataError, match="has no column left for the steps"):
        Dataset.from_frame({"who": ["a"], "when": [1]}, sequence_id="who", time="when")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=60))
def test_every_sequence_has_its_own_rows_in_order(rows: list[tuple[int, int]]) -> None:
    check_sequences_hold_their_own_rows(rows)


def check_sequences_hold_their_own_rows(rows: list[tuple[int, int]]) -> None:
    frame = {"who": [who for who, _ in rows], "when": [when for _, when in rows], "n": list(range(len(rows)))}
    made = Dataset.from_frame(frame, sequence_id="who", time="when")
    expected: dict[int, list[tuple[int, int]]] = {}
    for number, (who, when) in enumerate(rows):
        expected.setdefault(who, []).append((when, number))
    found = [sequence[:, 0].astype(int).tolist() for sequence in steps(made)]
    assert found == [[number for _, number in sorted(own)] for own in expected.values()]


def test_a_mix_up_of_neighbours_is_noticed() -> None:
    rows = [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0)]
    assert_noticed(neighbours_mixed_up(), lambda: check_sequences_hold_their_own_rows(rows))
