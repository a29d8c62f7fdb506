from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.cells import (
    all_numbers,
    categories,
    clean,
    is_missing,
    label,
    labels,
    mostly_numbers,
    numbers,
    parsed,
    texts,
    whole_numbers,
)
from recurra.data.tables import Table
from recurra.errors import DataError


def table(*cells: Any) -> Table:
    return Table(columns={"x": list(cells)}, source="data.csv", lines=[row + 2 for row in range(len(cells))])


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_come_back_exactly_from_their_text(values: list[float]) -> None:
    found, bad = parsed([repr(value) for value in values])
    assert found.tolist() == values
    assert not [row for row in bad if abs(values[row]) < 2**53]


@pytest.mark.parametrize(
    "cell", ["", " ", "NA", "N/A", "n/a", "nan", "NaN", "null", "None", "?", None, float("nan")]
)
def test_missing_values_are_nan(cell: Any) -> None:
    assert is_missing(cell)
    assert np.isnan(numbers(table(1.0, cell), "x")).tolist() == [False, True]


def test_texts_among_numbers_are_refused_with_row_and_column() -> None:
    with pytest.raises(
        DataError, match=r"data.csv, line 3: column 'x' must be a number, got 'abc'; name the column in"
    ):
        numbers(table("1", "abc", "3"), "x")


@pytest.mark.parametrize(
    "cell", [2**53 + 1, "9007199254740993", str(-(2**60) - 1), Decimal(2**70 + 1), np.int64(2**62 + 1)]
)
def test_whole_numbers_that_would_lose_digits_are_refused(cell: Any) -> None:
    with pytest.raises(DataError, match=r"line 3.*a whole number beyond 2\^53 that would lose digits"):
        numbers(table(1, cell), "x")


def test_large_integer_arrays_are_checked_too() -> None:
    with pytest.raises(DataError, match=r"beyond 2\^53"):
        numbers(Table(columns={"x": np.array([1, 2**53 + 1])}, source="frame"), "x")


@pytest.mark.parametrize(
    "cell", ["1e300", 1e300, "-1e308", 2**53, str(2**53), 2**60, "inf", "-Infinity", Decimal("1.5")]
)
def test_large_magnitudes_and_exact_powers_are_numbers(cell: Any) -> None:
    assert numbers(table(1, cell), "x")[1] == float(cell)


@pytest.mark.parametrize("cell", ["1e999", "9" * 400, 10**400])
def test_numbers_too_large_for_float64_are_refused(cell: Any) -> None:
    with pytest.raises(DataError, match="line 3: column 'x' must be a number"):
        numbers(table(1, cell), "x")


def test_identifiers_with_underscores_are_no_numbers() -> None:
    assert not all_numbers(["1_2", "3_4"])
    assert parsed(["1", "1_2"])[1] == [1]


def test_a_column_without_any_number_is_refused() -> None:
    with pytest.raises(DataError, match="column 'x' has no value in any of 3 rows; leave it out"):
        numbers(table("", "N/A", None), "x")


def test_a_column_counts_as_numeric_where_half_of_it_is() -> None:
    assert mostly_numbers(["1", "2", "x"])
    assert not mostly_numbers(["1", "x", "y"])
    assert not mostly_numbers(["", "", "", "x"])
    assert mostly_numbers(["", "", "1"])
    assert not all_numbers(["", None])


def test_labels_are_texts_and_whole_numbers_have_no_point() -> None:
    assert labels(table(1, 1.0, "1", " a ", np.int64(2), True), "x") == ["1", "1", "1", "a", "2", "True"]
    assert label(1.5) == "1.5"


@pytest.mark.parametrize("cell", [None, "", "  ", float("nan")])
def test_a_missing_label_is_refused_with_its_row(cell: Any) -> None:
    with pytest.raises(DataError, match=r"data.csv, line 3: target 'x' is empty"):
        labels(table("a", cell), "x")


def test_none_is_a_label_and_a_text() -> None:
    assert labels(table("none", "some"), "x") == ["none", "some"]
    assert texts(table("none"), "x")[0] == ["none"]


def test_whole_numbers_are_told_from_numbers_with_a_point() -> None:
    assert whole_numbers(["1", "-2", 3, np.int32(4)])
    assert not whole_numbers(["1", "2.0"])
    assert not whole_numbers([1.0])
    assert whole_numbers(np.array([1, 2]))


@given(st.text())
def test_texts_without_nul_are_kept_as_they_are(text: str) -> None:
    if "\0" not in text:
        assert clean(text) is text


def test_nul_and_lone_surrogates_are_replaced_and_counted() -> None:
    made, notes = texts(table("a\0b", "x\ud800y", "\ud83d\ude00", "good", None), "x")
    assert made == ["a\ufffdb", "x\ufffdy", "\U0001f600", "good", ""]
    assert notes == [
        "1 missing texts in 'x' were read as empty",
        "3 texts in 'x' held NUL or lone surrogates, replaced by U+FFFD",
    ]


def test_categories_are_texts_and_empty_where_missing() -> None:
    assert categories(table(1, "b", None, "", 2.0, "N/A"), "x").tolist() == ["1", "b", "", "", "2", "N/A"]
