from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.report.wording import (
    columns_of,
    finite,
    is_number,
    listing,
    plain,
    shorten,
    show_number,
    show_seconds,
    show_share,
    title_of,
)


@given(st.text())
def test_plain_text_can_be_stored_as_utf8_and_holds_no_control_character(text: str) -> None:
    kept = plain(text + "\x00\x1b[31m\ud800\u202e\uffff")
    kept.encode("utf-8")
    assert not any(ord(sign) < 32 and sign not in "\t\n\r" for sign in kept)
    assert "\u202e" not in kept


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.8712, "0.871"),
        (1, "1"),
        (1234567, "1,234,567"),
        (np.int64(5000), "5,000"),
        (1.0, "1.000"),
        (0.00025, "0.00025"),
        (2e-9, "2.00e-09"),
        (12.345, "12.3"),
        (4321.7, "4,322"),
        (-0.25, "-0.250"),
        (math.nan, "–"),
        (math.inf, "–"),
        (None, "–"),
        (0, "0"),
    ],
)
def test_numbers_are_shown_as_people_read_them(value: object, shown: str) -> None:
    assert show_number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.8, "0.8 s"),
        (12, "12 s"),
        (59.7, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7800, "2 h 10 min"),
        (None, "–"),
    ],
)
def test_durations_are_shown_in_the_unit_that_fits(seconds: object, shown: str) -> None:
    assert show_seconds(seconds) == shown


def test_a_share_of_nothing_is_absent() -> None:
    assert (show_share(1, 4), show_share(0, 0)) == ("25.0%", "–")


def test_truth_values_and_texts_are_no_numbers() -> None:
    assert [is_number(value) for value in (True, "3", 3, 2.5, np.float32(1), np.array(3.0))] == [
        False, False, True, True, True, True,
    ]  # fmt: skip
    assert finite("3") is None


@given(st.text(max_size=60), st.integers(min_value=2, max_value=30))
def test_a_shortened_text_never_takes_more_columns_than_allowed(text: str, columns: int) -> None:
    assert columns_of(shorten(text, columns)) <= columns


def test_wide_signs_count_two_columns_and_combining_marks_none() -> None:
    assert (columns_of("漢字"), columns_of("e\u0301")) == (4, 1)


def test_keys_become_titles() -> None:
    assert [title_of(key) for key in ("validation_loss", "rmse", "macro_f1")] == [
        "Validation loss",
        "RMSE",
        "F1 (macro)",
    ]


def test_a_listing_is_a_phrase() -> None:
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing(list("abcdef"), most=3) == "a, b and 4 more"
