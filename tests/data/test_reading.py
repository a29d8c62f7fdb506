from __future__ import annotations

import bz2
import gzip
import json
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from recurra.data.dataset import Dataset
from recurra.data.reading import read
from recurra.errors import DataError

ROWS = [('good, and "fun"', "pos", "30"), ("bad\nfilm", "neg", "41"), ("día gris — плохо", "neg", "7")]
NAMES = ("text", "label", "age")


def csv_text(separator: str) -> str:
    def quoted(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"'

    lines = [NAMES, *(tuple(map(quoted, row)) for row in ROWS)]
    return "".join(separator.join(line) + "\r\n" for line in lines)


def json_lines() -> str:
    return "".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in ROWS)


def parquet() -> bytes:
    import io

    buffer = io.BytesIO()
    pl.DataFrame(ROWS, schema=list(NAMES), orient="row").write_parquet(buffer)
    return buffer.getvalue()


CONTENT: dict[str, Callable[[], bytes]] = {
    "x.csv": lambda: csv_text(",").encode(),
    "x.tsv": lambda: csv_text("\t").encode(),
    "x.txt": lambda: csv_text("\t").encode(),
    "x.jsonl": lambda: json_lines().encode(),
    "x.json": lambda: ("[" + json_lines().strip().replace("\n", ",") + "]").encode(),
    "x.parquet": parquet,
}
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def expected() -> Dataset:
    columns = {name: [row[place] for row in ROWS] for place, name in enumerate(NAMES)}
    return Dataset.from_frame(columns, static="age")


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize("name", CONTENT)
def test_every_format_gives_the_same_data(tmp_path: Path, name: str, ending: str) -> None:
    path = tmp_path / (name + ending)
    path.write_bytes(PACK[ending](CONTENT[name]()))
    made = read(path, static="age")
    assert made.inputs == [row[0] for row in ROWS]
    assert made.targets == ["pos", "neg", "neg"]
    assert made.fingerprint == expected().fingerprint
    assert made.source == str(path)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, dict])
def test_frames_give_the_same_data(make: Callable[..., object]) -> None:
    columns = {name: [row[place] for row in ROWS] for place, name in enumerate(NAMES)}
    assert Dataset.from_frame(make(columns), static="age").fingerprint == expected().fingerprint


def test_a_mark_at_the_beginning_is_not_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("\ufefftext,label\na,b\n".encode())
    assert read(tmp_path / "x.csv").inputs == ["a"]


def test_other_encodings_are_read_where_named(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("text,label\ncafé,b\n".encode("cp1252"))
    assert read(tmp_path / "x.csv", encoding="cp1252").inputs == ["café"]


@pytest.mark.parametrize(
    ("text", "options", "inputs", "targets"),
    [
        (
            "3,Title,Body\n4,Other,More\n",
            {"target": 0, "input": [1, 2]},
            ["Title Body", "Other More"],
            ["3", "4"],
        ),
        ("text,label\na,b\n", {"target": "1", "input": "0", "header": True}, ["a"], ["b"]),
        ("a,b\nc,d\n", {"target": "1", "input": "0"}, ["a", "c"], ["b", "d"]),
        ("text,label\na,b\n", {"target": "label", "input": "text"}, ["a"], ["b"]),
        ("text;label\na;b\n", {"separator": ";"}, ["a"], ["b"]),
    ],
)
def test_the_first_row_is_a_header_unless_positions_are_given(
    tmp_path: Path, text: str, options: dict[str, object], inputs: list[str], targets: list[str]
) -> None:
    (tmp_path / "x.csv").write_text(text)
    made = read(tmp_path / "x.csv", **options)  # type: ignore[arg-type]
    assert (made.inputs, made.targets) == (inputs, targets)


def test_a_first_row_of_numbers_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "GunPoint.tsv").write_text("1\t0.5\t0.25\n2\t1.5\t2.5\n")
    made = read(tmp_path / "GunPoint.tsv", input="1:", target=0)
    assert made.targets == ["1", "2"]
    assert made.inputs.values[:, 0].tolist() == [0.5, 0.25, 1.5, 2.5]
    assert len(read(tmp_path / "GunPoint.tsv")) == 2


def test_lines_of_a_label_and_a_text_are_cut_once(tmp_path: Path) -> None:
    (tmp_path / "stsa.train").write_text("4 a stirring , funny film\n1 too slow\n")
    made = read(tmp_path / "stsa.train", target=0, input=1, separator=" ")
    assert (made.inputs, made.targets) == (["a stirring , funny film", "too slow"], ["4", "1"])


def test_a_file_of_lines_is_texts_without_targets(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("Ann\nBob\n")
    made = read(tmp_path / "names.txt")
    assert (made.inputs, made.targets) == (["Ann", "Bob"], None)


def test_a_file_whose_rows_are_steps_is_one_sequence(tmp_path: Path) -> None:
    (tmp_path / "air.csv").write_text("Month,Passengers\n1949-02,118\n1949-01,112\n")
    made = read(tmp_path / "air.csv", time="Month")
    assert made.inputs.values[:, 0].tolist() == [112, 118]
    assert made.columns["file"].tolist() == ["air.csv"]
    assert made.notes == ("the rows were sorted by time: 1 went back in time inside of their sequence",)


def test_options_of_folders_are_refused_for_one_file(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text\na\n")
    with pytest.raises(DataError, match="rows_per_step has no effect on the single file"):
        read(tmp_path / "x.csv", rows_per_step=2)
    with pytest.raises(DataError, match="pattern has no effect on the single file"):
        read(tmp_path / "x.csv", pattern="x")


def test_no_path_at_all_is_refused() -> None:
    with pytest.raises(DataError, match="path must name at least one file"):
        read([])


def test_csv_and_json_lines_are_read_without_polars_pandas_or_torch(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\na,b\n")
    (tmp_path / "x.jsonl").write_text('{"text": "a", "label": "b"}\n')
    code = (
        "import sys\n"
        "for name in ('polars', 'pandas', 'torch', 'sklearn', 'scipy'): sys.modules[name] = None\n"
        "from recurra.data.reading import read\n"
        "from recurra.data.splits import split_dataset\n"
        "for path in sys.argv[1:]: print(read(path).targets)\n"
    )
    paths = [str(tmp_path / name) for name in ("x.csv", "x.jsonl")]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["['b']", "['b']"]
