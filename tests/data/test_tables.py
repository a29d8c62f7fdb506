from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.tables import (
    Table,
    delimited_table,
    first_row,
    frame_table,
    join,
    json_lines_table,
    line_table,
    parquet_table,
)
from recurra.errors import DataError, MissingExtraError

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=20))
def test_what_is_quoted_comes_back_as_it_was(rows: list[tuple[str, str]]) -> None:
    def quoted(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"'

    text = "a,b\r\n" + "".join(f"{quoted(x)},{quoted(y)}\r\n" for x, y in rows)
    table = delimited_table(text, "x.csv")
    assert list(zip(table.columns["a"], table.columns["b"], strict=True)) == rows


def test_line_feeds_inside_of_cells_are_kept_and_lines_are_counted() -> None:
    table = delimited_table('text,label\n"one\ntwo",a\n\nthree,b\n', "x.csv")
    assert list(table.columns["text"]) == ["one\ntwo", "three"]
    assert [table.where(row) for row in range(2)] == ["x.csv, line 2", "x.csv, line 5"]


def test_a_cell_may_be_ten_megabytes_and_the_limit_of_csv_is_left_as_it_was() -> None:
    before = csv.field_size_limit()
    table = delimited_table("text\n" + "word " * 2_000_000 + "\n", "x.csv")
    assert len(table.columns["text"][0]) == 10_000_000
    assert csv.field_size_limit() == before


def test_rows_of_another_width_are_refused_with_their_line() -> None:
    with pytest.raises(
        DataError, match=r"x.csv, line 3 has 3 cells and the first has 2; is the separator ','"
    ):
        delimited_table("a,b\n1,2\n1,2,3\n", "x.csv")


@pytest.mark.parametrize("text", ['a,b\n"open,1\n', 'a,b\n"x"y,1\n'])
def test_quotes_that_do_not_fit_are_refused(text: str) -> None:
    with pytest.raises(
        DataError, match=r"x.csv, line 2 is not proper CSV: .*; is a quote left open.*quote=''"
    ):
        delimited_table(text, "x.csv")


def test_quotes_may_be_plain_characters() -> None:
    table = delimited_table('a\tb\n"open\t1\n', "x.tsv", separator="\t", quote="")
    assert list(table.columns["a"]) == ['"open']


def test_names_that_stand_twice_are_refused_and_nameless_columns_get_their_position() -> None:
    with pytest.raises(DataError, match="two columns named 'a'"):
        delimited_table("a,b,a\n1,2,3\n", "x.csv")
    assert delimited_table(",text\n0,x\n", "x.csv").names == ["0", "text"]


def test_without_a_header_columns_are_called_by_position() -> None:
    table = delimited_table("1,x\n2,y\n", "x.csv", header=False)
    assert table.columns == {"0": ("1", "2"), "1": ("x", "y")}


def test_words_are_cut_as_often_as_asked_and_the_last_takes_the_rest() -> None:
    table = delimited_table("1 a fine , film\n0   a bad one\n", "x", separator=" ", header=False, columns=2)
    assert list(table.columns["1"]) == ["a fine , film", "a bad one"]
    wide = delimited_table(" 1.0  2.0\n 3.0  4.0\n", "x", separator=" ", header=False)
    assert wide.names == ["0", "1"]


def test_the_first_row_is_found_behind_empty_lines_and_through_quotes() -> None:
    assert first_row('\n"a\nb",c\n1,2\n', ",") == ["a\nb", "c"]
    assert first_row("\n x  y\n", " ") == ["x", "y"]
    assert first_row("", ",") == []


def test_lines_are_split_at_line_feeds_only() -> None:
    table = line_table("one\x85still one\u2028\r\n\n  \ntwo", "x.txt")
    assert table.columns["text"] == ["one\x85still one\u2028", "two"]
    assert table.where(1) == "x.txt, line 4"


def test_json_lines_keep_types_and_absent_keys_are_none() -> None:
    table = json_lines_table('{"text": "a", "n": 1}\n\n{"text": "b", "x": [1, null]}\n', "x.jsonl")
    assert table.columns == {"text": ["a", "b"], "n": [1, None], "x": [None, [1, None]]}
    assert table.where(1) == "x.jsonl, line 3"


def test_one_json_list_is_read_as_lines_are() -> None:
    assert json_lines_table('[{"text": "a"},\n {"text": "b"}]', "x.json").columns == {"text": ["a", "b"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": \n', "x.jsonl, line 2 is not JSON: Expecting value"),
        ('{"a": 1}\n[1, 2]\n', "x.jsonl, line 2 must be an object"),
        ('"text"\n', "line 1 must be an object"),
        ("[" * 100_000, r"nested too deeply|is not JSON"),
        ('{"a": ' + "[" * 100_000, "line 1 is (JSON nested too deeply|not JSON)"),
    ],
)
def test_what_is_not_json_lines_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        json_lines_table(text, "x.jsonl")


def test_frames_of_pandas_and_polars_and_dicts_are_one() -> None:
    columns = {"text": ["a", None, "c"], "n": [1.0, None, 3.0], "k": [1, 2, 3]}
    for frame in (columns, pd.DataFrame(columns), pl.DataFrame(columns)):
        table = frame_table(frame, "frame")
        assert list(table.columns["text"]) == ["a", None, "c"]
        assert [x if x == x else None for x in table.columns["n"]] == [1.0, None, 3.0]
        assert list(table.columns["k"]) == [1, 2, 3]


def test_pandas_types_are_understood() -> None:
    frame = pd.DataFrame(
        {
            "nullable": pd.array([1, None], dtype="Int64"),
            "category": pd.Categorical(["x", None]),
            "when": pd.to_datetime(["2024-01-01", None]),
            "string": pd.array(["a", None], dtype="string"),
        }
    )
    columns = frame_table(frame, "frame").columns
    assert np.isnan(columns["nullable"]).tolist() == [False, True]
    assert list(columns["category"]) == ["x", None]
    assert columns["when"][1] is None
    assert list(columns["string"]) == ["a", None]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([1, 2], "frame must be a pandas or polars frame or a dict of columns, got list"),
        ({"a": [1], "b": [1, 2]}, "must have columns of one length"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns of one name"),
    ],
)
def test_what_is_no_frame_is_refused(frame: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        frame_table(frame, "frame")


def test_parquet_that_is_none_is_refused() -> None:
    with pytest.raises(DataError, match=r"x.parquet is not a Parquet file that can be read"):
        parquet_table(b"PAR1 not really PAR1", "x.parquet")


def test_parquet_without_polars_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(
        MissingExtraError, match=r"reading Parquet needs polars.*pip install 'recurra\[train\]'"
    ):
        parquet_table(b"", "x.parquet")


def test_joined_and_chosen_rows_still_know_where_they_stood() -> None:
    first = delimited_table("a\n1\n2\n", "x.csv")
    second = delimited_table("a\n\n3\n", "y.csv")
    table = join([first, second], "both")
    assert [table.where(row) for row in range(3)] == ["x.csv, line 2", "x.csv, line 3", "y.csv, line 3"]
    assert table.rows(np.array([2, 0])).where(0) == "y.csv, line 3"
    assert Table(columns={"a": [1]}, source="frame").where(0) == "frame, row 1"


def test_tables_of_other_columns_cannot_be_joined() -> None:
    first, second = delimited_table("a,b\n1,2\n", "x.csv"), delimited_table("a,c\n1,2\n", "y.csv")
    with pytest.raises(DataError, match=r"x.csv and y.csv do not have the same columns \('b', 'c'\)"):
        join([first, second], "both")


def test_columns_of_the_same_names_in_another_order_are_joined_by_name() -> None:
    first, second = delimited_table("a,b\n1,2\n", "x.csv"), delimited_table("b,a\n4,3\n", "y.csv")
    assert join([first, second], "both").columns == {"a": ["1", "3"], "b": ["2", "4"]}
