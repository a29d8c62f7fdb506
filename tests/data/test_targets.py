from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recurra.data.tables import Table
from recurra.data.targets import read_targets
from recurra.errors import DataError


def read(cells: Any, *, task: str | None = None, multilabel: Any = None, **more: Any) -> Any:
    table = Table(columns={"y": cells, **more}, source="data.csv")
    return read_targets(table, ["y", *more], task=task, multilabel=multilabel)


@pytest.mark.parametrize(
    ("cells", "task", "expected"),
    [
        (["a", "b"], None, ["a", "b"]),
        (["0", "1"], None, ["0", "1"]),
        ([0, 1], None, ["0", "1"]),
        (["0", "1"], "regressor", [0.0, 1.0]),
        (["0.5", "1"], None, [0.5, 1.0]),
        (["0.5", "1"], "classifier", ["0.5", "1"]),
        ([1.0, 2.0], None, [1.0, 2.0]),
        ([1.0, 2.0], "classifier", ["1", "2"]),
        (np.array([True, False]), None, ["True", "False"]),
    ],
)
def test_targets_are_labels_or_numbers(cells: Any, task: str | None, expected: list[Any]) -> None:
    found = read(cells, task=task)
    assert (found.tolist() if isinstance(found, np.ndarray) else found) == expected


def test_no_target_column_gives_none() -> None:
    assert read_targets(Table(columns={}, source="x"), (), task=None, multilabel=None) is None


def test_several_columns_are_a_vector_of_numbers() -> None:
    assert read(["1", "2"], z=["3", "4.5"]).tolist() == [[1.0, 3.0], [2.0, 4.5]]


def test_lists_of_numbers_are_a_vector_and_lists_of_texts_are_labels() -> None:
    assert read([[1, 2.5], [3, 4]]).tolist() == [[1.0, 2.5], [3.0, 4.0]]
    assert read([["b", "a"], [], None]) == [("a", "b"), (), ()]


def test_several_labels_stand_between_separators() -> None:
    assert read(["b|a", "a", "", None, "a| b |a"], multilabel="|") == [("a", "b"), ("a",), (), (), ("a", "b")]


def test_columns_of_zero_and_one_are_labels_by_their_names() -> None:
    assert read(["1", "0"], z=[1, 0], multilabel=True) == [("y", "z"), ()]
    with pytest.raises(
        DataError, match=r"data.csv, row 2: with multilabel=True column 'z' must be 0 or 1, got 2"
    ):
        read(["1", "0"], z=[1, 2], multilabel=True)


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        (["1.5", ""], {}, "data.csv, row 2: target 'y' is missing"),
        (["1.5", "inf"], {}, "row 2: target 'y' must be finite, got 'inf'"),
        (["1.5", "x"], {"task": "regressor"}, "row 2: column 'y' must be a number, got 'x'"),
        (["a", ""], {}, "row 2: target 'y' is empty"),
        ([["a"], "b"], {}, "row 2: target 'y' must be a list of labels, got 'b'"),
    ],
)
def test_targets_that_are_missing_or_wrong_are_refused(cells: Any, options: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(cells, **options)


def test_a_separator_needs_one_column() -> None:
    with pytest.raises(DataError, match="a separator of labels needs one target column, got 2"):
        read(["a"], z=["b"], multilabel="|")
