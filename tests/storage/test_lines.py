from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.errors import DataError, StorageError
from recurra.storage import JsonLines, read_json_lines


def test_records_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "log.jsonl"
    with JsonLines(path) as lines:
        lines.append({"epoch": 1, "text": "line\nbreak \u2028 \ud800", "loss": np.float32(0.5)})
        lines.append({"epoch": 2, "nested": {"t": (1, 2)}})
        lines.sync()
        assert lines.count == 2
    assert read_json_lines(path) == [
        {"epoch": 1, "text": "line\nbreak \u2028 \ud800", "loss": 0.5},
        {"epoch": 2, "nested": {"t": [1, 2]}},
    ]


def test_non_finite_numbers_are_null(tmp_path: Path) -> None:
    with JsonLines(tmp_path / "log") as lines:
        lines.append({"a": float("nan"), "b": [float("inf"), np.float64("-inf")], "c": {"d": float("nan")}})
    assert (tmp_path / "log").read_text() == '{"a": null, "b": [null, null], "c": {"d": null}}\n'


def test_opening_again_goes_on(tmp_path: Path) -> None:
    for number in range(3):
        with JsonLines(tmp_path / "log") as lines:
            assert lines.count == number
            lines.append({"n": number})
    assert [r["n"] for r in read_json_lines(tmp_path / "log")] == [0, 1, 2]


@given(cut=st.integers(0, 40))
def test_torn_last_line_is_left_out_and_cut_off(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    whole = b'{"n": 0}\n{"n": 1}\n{"n": 2, "x": "aaaa"}\n'
    path.write_bytes(whole[:cut])
    complete = whole[:cut].count(b"\n")
    assert [r["n"] for r in read_json_lines(path)] == list(range(complete))
    with JsonLines(path) as lines:
        assert lines.count == complete
        lines.append({"n": 9})
    assert [r["n"] for r in read_json_lines(path)] == [*range(complete), 9]


@pytest.mark.parametrize(("keep", "left"), [(0, 0), (1, 1), (3, 3), (9, 3)])
def test_resumed_log_keeps_the_first_lines(tmp_path: Path, keep: int, left: int) -> None:
    (tmp_path / "log").write_text('{"n": 0}\n{"n": 1}\n{"n": 2}\n')
    with JsonLines(tmp_path / "log", keep=keep) as lines:
        assert lines.count == left
    assert len(read_json_lines(tmp_path / "log")) == left


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{broken", "not valid JSON"),
        ("[1]", "must be a JSON object, got list"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_bad_line_in_the_middle_is_named(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "log").write_text(f'{{"n": 0}}\n{line}\n{{"n": 2}}\n')
    with pytest.raises(StorageError, match=rf"log, line 2.*{reason}"):
        read_json_lines(tmp_path / "log")


def test_value_that_json_cannot_hold_is_named(tmp_path: Path) -> None:
    with (
        JsonLines(tmp_path / "log") as lines,
        pytest.raises(DataError, match=r"record\['x'\] must be made of"),
    ):
        lines.append({"x": object()})
    assert (tmp_path / "log").read_bytes() == b""


def test_missing_log_and_folder_in_its_place_are_errors(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="could not read"):
        read_json_lines(tmp_path / "none")
    with pytest.raises(StorageError, match="could not open"):
        JsonLines(tmp_path)
