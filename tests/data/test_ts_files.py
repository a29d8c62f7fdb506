from __future__ import annotations

import numpy as np
import pytest

from recurra.data.assembly import assemble
from recurra.data.dataset import Dataset
from recurra.data.roles import Request
from recurra.data.ts_files import ts_table
from recurra.errors import DataError

HEAD = "# a comment\n@problemName Toy\n@timeStamps false\n@dimensions 2\n@classLabel true a b\n@data\n"


def read(text: str) -> Dataset:
    return assemble(ts_table(text, "toy.ts"), Request())


def test_sequences_of_different_length_with_missing_values_are_read() -> None:
    made = read(HEAD + "1,2,?:4,5,6:a\n7:NaN:b\n")
    assert made.inputs.lengths.tolist() == [3, 1]
    np.testing.assert_array_equal(made.inputs.values, [[1, 4], [2, 5], [np.nan, 6], [7, np.nan]])
    assert (made.targets, made.features, made.kind) == (["a", "b"], ("dim_0", "dim_1"), "signal")


def test_header_words_do_not_depend_on_case() -> None:
    made = read("@problemname Toy\n@targetlabel true\n@DATA\n1,2,3:0.5\n4,5:7\n")
    assert made.targets.tolist() == [0.5, 7.0]


def test_data_without_targets_are_read() -> None:
    made = read("@classLabel false\n@data\n1,2\n3,4\n")
    assert made.targets is None
    assert made.inputs.lengths.tolist() == [2, 2]


def test_time_stamps_become_a_column() -> None:
    made = read("@timestamps true\n@classLabel true a\n@data\n(0,1.5),(2,2.5):(0,7),(2,?):a\n")
    assert made.inputs.columns["time"].tolist() == [0.0, 2.0]
    np.testing.assert_array_equal(made.inputs.values, [[1.5, 7], [2.5, np.nan]])
    assert made.features == ("dim_0", "dim_1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2:a\n", "toy.ts has no @data line"),
        ("problemName x\n@data\n1\n", "header line 'problemName x' must begin with @"),
        (HEAD + "1,2:3,4:c\n", "toy.ts, line 7: class 'c' is not one of the header: a, b"),
        (HEAD + "1,2:a\n", "line 7 has 1 dimensions, and the header says 2"),
        (HEAD + "1,2:3:a\n", r"line 7: the dimensions have different lengths \(1, 2\)"),
        (HEAD + "1,x:3,4:a\n", r"line 7: value 2 must be a number or \?, got 'x'"),
        ("@timestamps true\n@data\n(0,1):(1,1)\n", "line 3: the dimensions have different times"),
        ("@timestamps true\n@data\n(2024-01-01,1)\n", "line 3: times must be numbers"),
        ("@targetLabel true\n@data\n1,2:x\n3:0.5\n", "line 3: the target must be a number, got 'x'"),
        (HEAD, "holds no rows"),
    ],
)
def test_what_does_not_fit_the_format_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(text)
