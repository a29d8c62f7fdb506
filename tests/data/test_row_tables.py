from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recurra.data.dataset import Dataset
from recurra.errors import DataError
from recurra.ragged import Ragged


def steps(made: Dataset) -> Ragged:
    assert isinstance(made.inputs, Ragged)
    return made.inputs


def test_several_texts_are_joined_in_the_order_given() -> None:
    made = Dataset.from_frame({"title": ["A", "B"], "body": ["x", "y"]}, ["body", "title"])
    assert made.inputs == ["x A", "y B"]
    assert made.kind == "text"


def test_numbers_side_by_side_are_steps_and_empty_ends_are_none() -> None:
    made = Dataset.from_frame({"a": [1.0, 4.0, None], "b": [None, 5.0, None], "c": [3.0, None, None]})
    assert made.kind == "signal"
    assert made.features == ("value",)
    assert steps(made).lengths.tolist() == [3, 2, 0]
    np.testing.assert_array_equal(steps(made).values[:, 0], [1.0, np.nan, 3.0, 4.0, 5.0])


def test_lists_of_numbers_are_signals() -> None:
    made = Dataset.from_frame({"x": [[1, 2, None], [3]], "label": ["a", "b"]})
    assert (made.kind, made.features, made.targets) == ("signal", ("x",), ["a", "b"])
    np.testing.assert_array_equal(steps(made).values, [[1], [2], [np.nan], [3]])


def test_rows_of_numbers_are_steps_of_several_features() -> None:
    made = Dataset.from_frame({"x": [[[1, 2], [3, 4]], np.array([[5.0, 6.0]]), []]})
    assert made.features == ("x_0", "x_1")
    assert steps(made).lengths.tolist() == [2, 1, 0]


def test_several_columns_of_lists_are_features_of_one_sequence() -> None:
    frame = {"x": [[1, 2], [3]], "y": [[4, 5], [6]], "item": [["a", "b"], ["c"]], "time": [[0, 1], [0]]}
    made = Dataset.from_frame(frame)
    assert (made.kind, made.features) == ("events", ("x", "y"))
    assert steps(made).columns["item"].tolist() == ["a", "b", "c"]
    assert steps(made).columns["time"].tolist() == [0.0, 1.0, 0.0]
    assert steps(made).values.tolist() == [[1, 4], [2, 5], [3, 6]]


def test_lists_of_texts_are_events_of_ids() -> None:
    made = Dataset.from_frame({"tags": [["a", "b"], [], ["a"]]})
    assert (made.kind, made.features) == ("events", ())
    assert steps(made).lengths.tolist() == [2, 0, 1]
    assert steps(made).columns["tags"].tolist() == ["a", "b", "a"]


def test_lists_of_records_are_events_with_a_column_per_key() -> None:
    rows = [[{"item": "a", "price": 1.5}, {"item": "b"}], [{"price": 2, "item": "c"}]]
    made = Dataset.from_frame({"clicks": rows, "label": ["x", "y"]})
    assert (made.kind, made.features) == ("events", ("price",))
    np.testing.assert_array_equal(steps(made).values[:, 0], [1.5, np.nan, 2.0])
    assert steps(made).columns["item"].tolist() == ["a", "b", "c"]


def test_the_time_of_lists_may_have_any_name() -> None:
    made = Dataset.from_frame({"x": [[1, 2]], "at": [["1970-01-01", "1970-01-02"]]}, "x", time="at")
    assert steps(made).columns["time"].tolist() == [0.0, 86400.0]


def test_static_features_and_other_columns_stay_beside() -> None:
    frame = {"text": ["a", "b"], "age": ["30", "N/A"], "who": ["x", "y"], "label": [1, 2]}
    made = Dataset.from_frame(frame, static="age")
    np.testing.assert_array_equal(made.static, [[30.0], [np.nan]])
    assert made.static_names == ("age",)
    assert made.columns["who"].tolist() == ["x", "y"]


def test_ids_and_dates_of_whole_sequences_are_kept_as_columns() -> None:
    made = Dataset.from_frame({"text": ["a"], "when": ["2024-01-01"]}, "text", time="when", rows="sequences")
    assert made.columns["when"].tolist() == ["2024-01-01"]


def test_numbers_may_be_texts_where_it_is_said() -> None:
    assert Dataset.from_frame({"code": ["12", "13"]}, kind="text").inputs == ["12", "13"]


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        ({"x": [1.0, 2.0]}, {}, "column 'x' holds one number per row, which is no sequence"),
        ({"x": ["a"], "n": [1.0]}, {"input": ["x", "n"]}, "column 'x' holds texts and others hold numbers"),
        (
            {"a": ["1", "x", "2"], "b": ["1", "2", "3"]},
            {"input": ["a", "b"]},
            "row 2: column 'a' must be a number",
        ),
        ({"x": ["a"]}, {"kind": "signal"}, "row 1: kind='signal' needs numbers in column 'x', got 'a'"),
        (
            {"x": [["a", "b"]]},
            {"kind": "signal"},
            "kind='signal' needs numbers, and column 'x' holds categories",
        ),
        (
            {"x": [[1, 2], [[1, 2]]]},
            {},
            "row 2: sequence 'x' has 2 features per step and the ones before have 1",
        ),
        ({"x": [[1, "b"]]}, {}, "row 1: step 2 of 'x' must be a number, got 'b'"),
        ({"x": [[[1, 2], [3]]]}, {}, "row 1: the steps of sequence 'x' have different numbers of features"),
        ({"x": [[1], 5]}, {}, "row 2: sequence 'x' must be a list of numbers or of equally long rows"),
        ({"x": [[1, 2**53 + 1]]}, {}, "row 1: step 2 of 'x' must be a number"),
        ({"x": [np.array([2**53 + 1])]}, {}, "row 1: step 1 of 'x' must be a number"),
        ({"x": [np.zeros((1, 2, 3))]}, {}, "row 1: sequence 'x' must be a list of numbers"),
        ({"x": [[1]], "y": [[1, 2]]}, {}, "row 1: the sequences in 'x', 'y' must be lists of one length"),
        ({"x": [[{"a": 1}, 5]]}, {}, "row 1: step 2 must be an object"),
        (
            {"text": ["a"], "age": ["old"]},
            {"static": "age"},
            "row 1: column 'age' must be a number, got 'old'",
        ),
        (
            {"text": ["a"], "part": ["holdout"]},
            {"split": "part"},
            "split 'part' must be train, validation or test",
        ),
        ({"text": []}, {}, "frame holds no rows"),
    ],
)
def test_what_is_no_sequence_is_refused_with_its_row(frame: Any, options: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset.from_frame(frame, **options)


def test_an_option_of_files_is_refused_for_frames() -> None:
    with pytest.raises(DataError, match="a frame is read without an option 'encoding'"):
        Dataset.from_frame({"text": ["a"]}, encoding="latin-1")
