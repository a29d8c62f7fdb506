from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.tables import Table
from recurra.data.timestamps import seconds, unreadable
from recurra.errors import DataError

DAY = 86_400.0


def read(*cells: Any, time_format: str | None = None) -> list[float]:
    return seconds(table(*cells), "when", time_format).tolist()


def table(*cells: Any) -> Table:
    return Table(
        columns={"when": list(cells)}, source="log.csv", lines=[row + 2 for row in range(len(cells))]
    )


@given(st.datetimes(min_value=datetime(1800, 1, 1), max_value=datetime(2200, 1, 1)))
def test_iso_dates_count_from_1970_in_utc(moment: datetime) -> None:
    expected = moment.replace(tzinfo=UTC).timestamp()
    assert read(moment.isoformat(), moment) == pytest.approx([expected, expected], abs=1e-5)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1970-01-02", DAY),
        ("1970-01", 0.0),
        ("1970-01-01 01:00:00", 3600.0),
        ("1970-01-01T00:00:01.5", 1.5),
        (" 1970-01-02 ", DAY),
        (date(1970, 1, 2), DAY),
        (np.datetime64("1970-01-01T00:00:02"), 2.0),
        ("1970-01-01T02:00:00+02:00", 0.0),
        ("1970-01-01T00:00:00Z", 0.0),
        (datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), 0.0),
    ],
)
def test_dates_are_read_in_many_forms(cell: Any, expected: float) -> None:
    assert read(cell) == [expected]


def test_numbers_are_taken_as_seconds() -> None:
    assert read("1396860669.277", "0", 5) == [1396860669.277, 0.0, 5.0]


def test_slashed_dates_are_read_where_one_shows_the_order() -> None:
    assert read("1/2/1970", "1/13/1970") == [DAY, 12 * DAY]
    assert read("1/2/1970", "13/1/1970") == [31 * DAY, 12 * DAY]
    assert read("01/13/1970 06:00") == [12.25 * DAY]


def test_slashed_dates_are_never_guessed() -> None:
    with pytest.raises(
        DataError, match=r"dates in 'when' such as '1/2/1970' are ambiguous; give time_format='%d/%m/%Y'"
    ):
        read("1/2/1970", "3/4/1970")
    with pytest.raises(DataError, match="contradict each other"):
        read("13/1/1970", "1/13/1970")


def test_a_format_is_followed() -> None:
    assert read("02.01.1970 06h", time_format="%d.%m.%Y %Hh") == [1.25 * DAY]
    with pytest.raises(DataError, match=r"log.csv, line 3: time 'when' must fit time_format='%d', got 'x'"):
        read("01", "x", time_format="%d")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["2024-01-01", ""], "log.csv, line 3: time 'when' is empty"),
        (
            ["2024-01-01", "soon"],
            "line 3: time 'when' must be a number or an ISO 8601 date, got 'soon'; give its",
        ),
        (["1", "2", "964982224a"], "line 4: column 'when' must be a number, got '964982224a'"),
        (["2024-01-01", "2024-01-01T00:00:00Z"], "has a zone in log.csv, line 3 and none in log.csv, line 2"),
        (["1", "inf"], "line 3: time 'when' must be finite"),
        (["2024-02-30"], "line 2: time 'when' must be a number or an ISO 8601 date"),
    ],
)
def test_times_that_cannot_be_read_are_refused_with_their_row(cells: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(*cells)


def test_unreadable_rows_are_found() -> None:
    assert sorted(unreadable(table("1", "x", "", "4"), "when")) == [1, 2]
    assert sorted(unreadable(table("2024-01-01", "x", None), "when")) == [1, 2]
