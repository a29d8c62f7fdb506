"""What is wrong with a file is one clear line: where, what, and what to do; and what only looks wrong is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recurra.data.reading import read
from recurra.errors import DataError

TEN_MEGABYTES = 10 * 1024 * 1024

BAD: list[tuple[str, str, bytes, dict[str, Any], str]] = [
    ("empty", "x.csv", b"", {}, r"x.csv is empty"),
    ("blank", "x.csv", b"\n \n", {}, r"x.csv is empty"),
    ("header only", "x.csv", b"text,label\n", {}, r"x.csv holds no rows"),
    (
        "unknown input",
        "x.csv",
        b"text,label\na,b\n",
        {"input": "tetx"},
        r"no column 'tetx'; did you mean 'text'\?",
    ),
    ("unknown target", "x.csv", b"text,label\na,b\n", {"target": "lable"}, r"did you mean 'label'\?"),
    ("unknown id", "x.csv", b"who,x\na,1\n", {"sequence_id": "whom"}, r"did you mean 'who'\?"),
    ("ragged", "x.csv", b"text,label\na,b\na\n", {}, r"line 3 has 1 cells and the first has 2"),
    (
        "latin-1",
        "x.csv",
        b"text\ncaf\xe9\n",
        {},
        r"byte 0xe9 at position 8 \(line 2\); try --encoding latin-1",
    ),
    ("latin-1 lines", "x.txt", b"caf\xe9\n", {}, r"try --encoding latin-1"),
    ("binary", "x.csv", bytes(range(256)) * 4, {}, r"is not utf-8"),
    ("utf-16", "x.csv", "text\na\n".encode("utf-16"), {}, r"try --encoding utf-16"),
    ("unknown encoding", "x.csv", b"text\na\n", {"encoding": "utf-99"}, r"encoding 'utf-99' is unknown"),
    ("broken json", "x.jsonl", b'{"text": "a"}\n{"text"\n', {}, r"x.jsonl, line 2 is not JSON"),
    ("no object", "x.jsonl", b'"a"\n', {}, r"line 1 must be an object"),
    ("deep json", "x.jsonl", b'{"a": ' + b"[" * 10**5, {}, r"line 1 is"),
    (
        "text as number",
        "x.csv",
        b"a,b\n1,2\n1,x\n3,4\n",
        {"input": ["a", "b"]},
        r"line 3: column 'b' must be a number, got 'x'",
    ),
    (
        "text as time",
        "x.csv",
        b"t,x\n1,2\nz,3\n3,4\n",
        {"time": "t"},
        r"line 3: column 't' must be a number, got 'z'",
    ),
    ("all missing", "x.csv", b"t,x\n1,\n2,N/A\n", {"time": "t"}, r"column 'x' has no value in any of 2 rows"),
    ("too large", "x.csv", b"t,x\n1,1\n2,9007199254740993\n", {"time": "t"}, r"line 3: .* beyond 2\^53"),
    ("overflow", "x.csv", b"t,x\n1,1\n2,1e999\n", {"time": "t"}, r"line 3: .* too large for float64"),
    (
        "width",
        "x.jsonl",
        b'{"x": [[1, 2]]}\n{"x": [[1]]}\n',
        {},
        r"line 2: sequence 'x' has 1 features per step",
    ),
    ("empty label", "x.csv", b"text,label\na,b\nc,\n", {}, r"line 3: target 'label' is empty"),
    (
        "text as score",
        "x.csv",
        b"text,label\na,1\nc,hi\n",
        {"task": "regressor"},
        r"line 3: column 'label' must be a number",
    ),
    ("pickle", "x.pkl", b"\x80\x04N.", {}, r"x.pkl is a .pkl file, which is not read; save the data as CSV"),
    ("spreadsheet", "x.xlsx", b"PK", {}, r"is a .xlsx file, which is not read"),
    ("no zip", "x.zip", b"PK not", {}, r"cannot be opened as an archive"),
    ("no gzip", "x.csv.gz", b"text\n", {}, r"cannot be decompressed"),
    ("no parquet", "x.parquet", b"PAR1", {}, r"is not a Parquet file"),
    ("no npz", "x.npz", b"PK", {}, r"is not a NumPy file"),
    (
        "separator",
        "x.csv",
        b"text;label\na;b\n",
        {"input": "text"},
        r"is the separator ';'\? Give it with separator=",
    ),
    ("two names", "x.csv", b"a,a\n1,2\n", {}, r"two columns named 'a'"),
    ("open quote", "x.csv", b'text\n"a\n', {}, r"not proper CSV.*is a quote left open"),
]


@pytest.mark.parametrize(
    ("name", "data", "options", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_bad_files_are_one_clear_line(
    tmp_path: Path, name: str, data: bytes, options: dict[str, Any], message: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message) as raised:
        read(tmp_path / name, **options)
    assert "\n" not in str(raised.value)
    assert str(tmp_path) in str(raised.value) or "encoding" in str(raised.value)
    assert len(str(raised.value)) < 500


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing.csv does not exist; check the path"):
        read(tmp_path / "missing.csv")


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no data files"):
        read(tmp_path)


def test_a_file_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "x.csv").write_text("text\na\n")
    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(DataError, match=r"x.csv cannot be read: Permission denied"):
        read(tmp_path / "x.csv")


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.txt"])
def test_ten_megabytes_in_one_line_are_read(tmp_path: Path, name: str) -> None:
    text = "word " * (TEN_MEGABYTES // 5)
    content = {"x.csv": f"text\n{text}\n", "x.jsonl": f'{{"text": "{text}"}}\n', "x.txt": f"{text}\n"}[name]
    (tmp_path / name).write_text(content)
    assert len(read(tmp_path / name).inputs[0]) == len(text)


def test_nul_and_lone_surrogates_are_replaced_and_counted(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"text": "a\\u0000b and more"}\n{"text": "x\\ud800y"}\n')
    made = read(tmp_path / "x.jsonl")
    assert made.inputs == ["a\ufffdb and more", "x\ufffdy"]
    assert made.notes == ("2 texts in 'text' held NUL or lone surrogates, replaced by U+FFFD",)
    (tmp_path / "x.csv").write_bytes(b"text,label\na\0b is enough text,c\n")
    assert read(tmp_path / "x.csv").inputs == ["a\ufffdb is enough text"]


def test_empty_texts_are_kept(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('text,label\n"",a\n" ",b\n')
    assert read(tmp_path / "x.csv").inputs == ["", " "]


def test_not_available_is_missing_among_numbers_and_a_word_among_texts(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("t,x,c\n1,N/A,N/A\n2,5,b\n")
    made = read(tmp_path / "x.csv", time="t")
    assert made.inputs.columns["c"].tolist() == ["N/A", "b"]
    assert made.inputs.values[0, 0] != made.inputs.values[0, 0]
