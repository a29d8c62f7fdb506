from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.data.dataset import Dataset
from recurra.data.reading import read
from recurra.errors import DataError


def tree(folder: Path, **files: str | bytes) -> Path:
    """Write files; "__" in a name is a folder, "_dot_" a dot."""
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def reviews(folder: Path) -> Path:
    return tree(
        folder,
        train__pos__10_9_dot_txt="good\nfilm",
        train__pos__2_8_dot_txt="fine",
        train__neg__0_1_dot_txt="bad",
        train__unsup__0_0_dot_txt="who knows",
        test__neg__1_2_dot_txt="awful",
        train__urls_pos_dot_txt="http://example.org\n",
        imdb_dot_vocab="the\nand\n",
        README="read me",
    )


def pairs(made: Dataset) -> list[tuple[Any, Any]]:
    return sorted(zip(made.inputs, made.targets, strict=True))


def test_folders_of_texts_by_class_and_part_are_read(tmp_path: Path) -> None:
    made = read(reviews(tmp_path))
    assert pairs(made) == [("awful", "neg"), ("bad", "neg"), ("fine", "pos"), ("good\nfilm", "pos")]
    assert sorted(zip(made.inputs, made.split.tolist(), strict=True))[0] == ("awful", "test")


def test_an_archive_of_such_folders_is_the_same_data(tmp_path: Path) -> None:
    folder = reviews(tmp_path / "aclImdb")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(folder, arcname="aclImdb")
    assert read(tmp_path / "a.tar.gz").fingerprint == read(folder).fingerprint


def test_a_folder_of_classes_without_parts_has_no_split(tmp_path: Path) -> None:
    made = read(tree(tmp_path, pos__1_dot_txt="a", neg__1_dot_txt="b"))
    assert made.split is None
    assert pairs(made) == [("a", "pos"), ("b", "neg")]


def test_a_file_per_class_holds_a_text_per_line(tmp_path: Path) -> None:
    made = read(tree(tmp_path, Czech_dot_txt="Abl\nAdsit\n\n", Irish_dot_txt="Adam\r\n"))
    assert pairs(made) == [("Abl", "Czech"), ("Adam", "Irish"), ("Adsit", "Czech")]


def test_classes_may_stand_in_the_endings_of_files(tmp_path: Path) -> None:
    latin = gzip.compress("caf\xe9\n".encode("latin-1"))
    folder = tree(tmp_path, rt_dot_pos_dot_gz=latin, rt_dot_neg_dot_gz=gzip.compress(b"bad\n"))
    assert pairs(read(folder, encoding="latin-1")) == [("bad", "neg"), ("café", "pos")]
    with pytest.raises(
        DataError, match=r"rt.pos.gz is not utf-8: byte 0xe9 at position 3 \(line 1\); try --encoding latin-1"
    ):
        read(folder)


def test_lines_by_class_and_part_are_read(tmp_path: Path) -> None:
    made = read(
        tree(
            tmp_path, train_pos_dot_txt="a", train_neg_dot_txt="b", test_pos_dot_txt="c", test_neg_dot_txt="d"
        )
    )
    assert pairs(made) == [("a", "pos"), ("b", "neg"), ("c", "pos"), ("d", "neg")]
    assert sorted(made.split.tolist()) == ["test", "test", "train", "train"]


def test_files_of_a_split_are_no_classes(tmp_path: Path) -> None:
    made = read(tree(tmp_path, train_dot_txt="a\nb", test_dot_txt="c"))
    assert made.targets is None
    assert sorted(made.split.tolist()) == ["test", "train", "train"]


def test_a_single_text_file_in_a_folder_is_no_class(tmp_path: Path) -> None:
    assert read(tree(tmp_path, input_dot_txt="a\nb", README="x")).targets is None


def test_tables_of_a_folder_make_the_split(tmp_path: Path) -> None:
    folder = tree(
        tmp_path, train_dot_csv="text,label\na,x\n", dev_dot_csv="text,label\nb,y\n", sample_dot_csv="id\n1\n"
    )
    made = read(folder)
    assert sorted(made.split.tolist()) == ["train", "validation"]
    assert pairs(made) == [("a", "x"), ("b", "y")]


def test_several_files_are_read_as_one(tmp_path: Path) -> None:
    folder = tree(tmp_path, a_dot_train="1 good film\n", a_dot_test="0 bad film\n")
    made = read([folder / "a.train", folder / "a.test"], target=0, input=1, separator=" ")
    assert sorted(zip(made.inputs, made.targets, made.split.tolist(), strict=True)) == [
        ("bad film", "0", "test"),
        ("good film", "1", "train"),
    ]


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    folder = tree(tmp_path, train__data_dot_csv="text,label\na,x\n", test__data_dot_csv="text,label\nb,y\n")
    made = read([folder / "train" / "data.csv", folder / "test" / "data.csv"])
    assert sorted(made.split.tolist()) == ["test", "train"]


def test_tables_without_parts_are_put_below_each_other(tmp_path: Path) -> None:
    made = read(tree(tmp_path, jan_dot_csv="text,label\na,x\n", feb_dot_csv="label,text\ny,b\n"))
    assert made.split is None
    assert pairs(made) == [("a", "x"), ("b", "y")]


def test_a_file_is_a_sequence_where_rows_are_steps(tmp_path: Path) -> None:
    made = read(tree(tmp_path, a_dot_csv="t,x\n1,5\n2,6\n", b_dot_csv="t,x\n1,7\n"), time="t")
    assert made.inputs.lengths.tolist() == [2, 1]
    assert made.columns["file"].tolist() == ["a.csv", "b.csv"]


def test_tables_in_folders_of_classes_are_sequences(tmp_path: Path) -> None:
    rows = "x,y\n1,2\n3,4\n"
    folder = tree(tmp_path, walk__1_dot_csv=rows, walk__2_dot_csv=rows, run__1_dot_csv="x,y\n5,6\n")
    made = read(folder)
    assert (made.targets, made.features) == (["run", "walk", "walk"], ("x", "y"))
    assert made.inputs.lengths.tolist() == [1, 2, 2]


def test_names_of_files_tell_what_a_pattern_asks_for(tmp_path: Path) -> None:
    folder = tree(
        tmp_path, a01_s02_dot_txt="1 2\n3 4\n5 6\n7 8\n", a02_s01_dot_txt="9 9\n8 8\n", other_dot_txt="x"
    )
    made = read(folder, pattern=r"a(?P<target>\d+)_s(?P<subject>\d+)", rows_per_step=2)
    assert made.targets == ["01", "02"]
    assert made.columns["subject"].tolist() == ["02", "01"]
    assert [sequence.tolist() for sequence in made.inputs] == [[[1, 2, 3, 4], [5, 6, 7, 8]], [[9, 9, 8, 8]]]


def test_a_pattern_works_for_texts_arrays_and_tables(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.ones((3, 2)))
    folder = tree(
        tmp_path,
        t__x_1_dot_txt="a text",
        t__y_2_dot_txt="b",
        n__x_1_dot_npy=buffer.getvalue(),
        c__x_1_dot_csv="u\n1\n2\n",
    )
    assert read(folder, pattern=r"t/(?P<target>\w)_").targets == ["x", "y"]
    assert read(folder, pattern=r"n/(?P<target>\w)_").inputs.values.shape == (3, 2)
    made = read(folder, pattern=r"c/(?P<target>\w)_")
    assert (made.targets, made.inputs.values.tolist()) == (["x"], [[1], [2]])


def test_files_by_feature_are_put_side_by_side(tmp_path: Path) -> None:
    folder = tree(
        tmp_path,
        train__Signals__acc_x_train_dot_txt=" 1 2 3\n 4 5 6\n",
        train__Signals__acc_y_train_dot_txt="7 8 9\n1 1 1\n",
        train__y_train_dot_txt="5\n6\n",
        test__Signals__acc_x_test_dot_txt="0 0\n",
        test__Signals__acc_y_test_dot_txt="1 1\n",
        test__y_test_dot_txt="5\n",
    )
    made = read(folder, input="Signals/*", target="y_*")
    assert made.features == ("acc_x", "acc_y")
    by_part = {part: made.part(part) for part in ("train", "test")}
    assert by_part["train"].inputs[0].tolist() == [[1, 7], [2, 8], [3, 9]]
    assert (by_part["train"].targets, by_part["test"].targets) == (["5", "6"], ["5"])
    assert by_part["test"].inputs.lengths.tolist() == [2]


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"a_dot_txt": "x"}, {"pattern": "("}, "is not a regular expression"),
        ({"a_dot_txt": "x", "b_dot_txt": "x"}, {"pattern": r"c(\d)"}, "matches no file of .*, such as a.txt"),
        (
            {"a1_dot_txt": "1 2\n3\n"},
            {"pattern": r"a(?P<target>\d)"},
            "line 2 has 1 numbers and the first has 2",
        ),
        (
            {"a1_dot_txt": "1\n2\n3\n"},
            {"pattern": r"a(?P<target>\d)", "rows_per_step": 2},
            "3 lines, which rows_per_step=2",
        ),
        (
            {"a1_dot_txt": "1\nx\n"},
            {"pattern": r"a(?P<target>\d)"},
            "line 2, row 1: column 'value' must be a number",
        ),
        ({"a1_dot_txt": "1\n"}, {"pattern": r"a(?P<signal>\d)"}, "cannot have a group called 'signal'"),
        (
            {"s__a_dot_txt": "1\n", "s__b_dot_txt": "1\n2\n"},
            {"input": "s/*"},
            "b.txt has 2 sequences and .*a.txt has 1",
        ),
        (
            {"s__a_dot_txt": "1\n", "s__b_dot_txt": "1 2\n"},
            {"input": "s/*"},
            "sequence 1 has 2 steps and 1 in",
        ),
        (
            {"s__a_dot_txt": "1\n", "y_dot_txt": "1\n2\n"},
            {"input": "s/*", "target": "y*"},
            "has 2 labels in 1 files",
        ),
        (
            {"s__a_dot_txt": "1\n", "b_dot_txt": "1"},
            {"input": "z/*"},
            r"'z/\*' matches no file of .*, which holds",
        ),
    ],
)
def test_trees_that_do_not_fit_are_refused(tmp_path: Path, files: Any, options: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tree(tmp_path, **files), **options)
