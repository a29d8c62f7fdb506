from __future__ import annotations

from typing import Any

import pytest

from recurra.data.roles import Request, resolve, select
from recurra.data.tables import Table
from recurra.errors import DataError

KNOWN = ["id", "text", "x1", "x2", "x3", "label"]


def table(**columns: Any) -> Table:
    return Table(columns=columns, source="data.csv")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("text", ("text",)),
        (1, ("text",)),
        ("1", ("text",)),
        (-1, ("label",)),
        ("-1", ("label",)),
        (["x1", "text"], ("x1", "text")),
        ("2:5", ("x1", "x2", "x3")),
        ("x1:x3", ("x1", "x2", "x3")),
        ("2:", ("x1", "x2", "x3", "label")),
        ("x3:", ("x3", "label")),
        (":1", ("id",)),
        (["2:4", "x2"], ("x1", "x2")),
        (None, ()),
    ],
)
def test_columns_are_chosen_by_name_position_and_range(wanted: Any, found: tuple[str, ...]) -> None:
    assert select(KNOWN, wanted, "data.csv") == found


def test_a_name_goes_before_a_position() -> None:
    assert select(["a", "0"], "0", "data.csv") == ("0",)


@pytest.mark.parametrize(
    ("known", "wanted", "message"),
    [
        (KNOWN, "txt", "data.csv has no column 'txt'; did you mean 'text'"),
        (KNOWN, "zzz", "no column 'zzz'; known are: id, text, x1"),
        (KNOWN, 6, "no column at position 6; it has 6, counted from 0"),
        (KNOWN, "x1:x9", "no column 'x9'"),
        (KNOWN, "9:", "no columns in the range 9:"),
        (["text;label"], "text", "its only column is 'text;label': is the separator ';'"),
        (["text\tlabel"], "text", r"is the separator '\\t'"),
    ],
)
def test_unknown_columns_are_refused_with_the_nearest(known: list[str], wanted: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        select(known, wanted, "data.csv")


def test_usual_names_are_found_without_being_asked_for() -> None:
    roles = resolve(table(id=[1, 2], Text=["a", "b"], Label=["x", "y"]), Request())
    assert (roles.inputs, roles.targets, roles.others) == (("Text",), ("Label",), ("id",))


def test_the_only_text_column_is_the_input() -> None:
    roles = resolve(table(number=["1", "2"], words=["a", "b"], category=["x", "y"]), Request())
    assert (roles.inputs, roles.targets) == (("words",), ("category",))


def test_numbers_that_are_left_are_the_steps_of_a_row() -> None:
    roles = resolve(table(a=["1"], b=["2"], label=["x"]), Request())
    assert roles.inputs == ("a", "b")


def test_two_texts_without_a_name_are_not_guessed() -> None:
    with pytest.raises(
        DataError, match=r"name the input column with --input \(input=\); the columns are 'a', 'b'"
    ):
        resolve(table(a=["x"], b=["y"]), Request())


def test_a_column_of_sequences_is_the_input() -> None:
    assert resolve(table(name=["n"], series=[[1, 2]], other=["o"]), Request()).inputs == ("series",)


def test_a_named_target_is_no_input() -> None:
    roles = resolve(table(text=["a"], stars=["5"]), Request(target="stars"))
    assert (roles.inputs, roles.targets) == (("text",), ("stars",))


def test_a_column_called_split_is_used_only_where_it_is_one() -> None:
    assert resolve(table(text=["a", "b"], split=["train", "Dev"]), Request()).split == "split"
    assert resolve(table(text=["a", "b"], split=["7-10", "3-7"]), Request()).split is None


def test_steps_take_every_column_that_has_no_other_part() -> None:
    made = table(who=["a"], when=["1"], x=["1"], y=["2"], label=["l"])
    roles = resolve(made, Request(sequence_id="who", time="when"))
    assert (roles.inputs, roles.targets) == (("x", "y"), ("label",))


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"kind": "image"}, "kind must be one of 'text', 'signal', 'events', None, got 'image'"),
        ({"rows": "columns"}, "rows must be one of 'steps', 'sequences', None"),
        ({"time_order": "up"}, "time_order must be one of 'sort', 'refuse'"),
        ({"bad_rows": "skip"}, "bad_rows must be one of 'refuse', 'drop'"),
    ],
)
def test_options_out_of_their_choices_are_refused(known: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Request(**known)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"categories": "label"}, "categories names 'label', which is no input column"),
        ({"time_format": "%Y"}, "time_format has no effect without time="),
    ],
)
def test_options_without_effect_are_refused(known: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        resolve(table(text=["a"], label=["x"]), Request(**known))
