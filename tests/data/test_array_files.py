from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.data.dataset import Dataset
from recurra.data.reading import read
from recurra.errors import DataError


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


def sequences(made: Dataset) -> list[list[list[float]]]:
    return [sequence.tolist() for sequence in made.inputs]


RAGGED = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]], []]


def test_values_and_offsets_are_read(tmp_path: Path) -> None:
    values = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)
    made = read(
        saved(tmp_path, values=values, offsets=[0, 2, 3, 3], targets=["a", "b", "a"], features=["u", "v"])
    )
    assert sequences(made) == RAGGED
    assert (made.kind, made.features, made.targets) == ("signal", ("u", "v"), ["a", "b", "a"])
    assert made.inputs.values.dtype == np.float64


def test_padded_arrays_with_lengths_are_read(tmp_path: Path) -> None:
    padded = np.array([[[1, 2], [3, 4]], [[5, 6], [9, 9]], [[9, 9], [9, 9]]])
    made = read(saved(tmp_path, X=padded, lengths=[2, 1, 0], y=np.array([0.5, 1.5, 2.5])))
    assert sequences(made) == RAGGED
    assert made.targets.tolist() == [0.5, 1.5, 2.5]


def test_padding_of_nan_ends_a_sequence_and_inner_nan_is_missing(tmp_path: Path) -> None:
    nan = np.nan
    padded = np.array([[[1, 2], [nan, 4]], [[5, 6], [nan, nan]], [[nan, nan], [nan, nan]]])
    made = read(saved(tmp_path, x=padded))
    assert made.inputs.lengths.tolist() == [2, 1, 0]
    assert np.isnan(made.inputs.values[1]).tolist() == [True, False]


def test_two_axes_are_sequences_of_one_feature(tmp_path: Path) -> None:
    assert sequences(read(saved(tmp_path, x=np.array([[1, 2], [3, 4]]), y=[0, 1]))) == [
        [[1], [2]],
        [[3], [4]],
    ]


def test_arrays_by_part_give_a_split(tmp_path: Path) -> None:
    made = read(
        saved(tmp_path, x_train=np.ones((3, 2, 1)), y_train=[0, 1, 1], X_test=np.zeros((1, 2, 1)), y_test=[0])
    )
    assert made.split.tolist() == ["train", "train", "train", "test"]
    assert made.targets == ["0", "1", "1", "0"]


def test_texts_and_further_columns_are_read(tmp_path: Path) -> None:
    made = read(saved(tmp_path, texts=["one", "two"], labels=["a", "b"], who=["x", "y"], note="about"))
    assert (made.kind, made.inputs, made.targets) == ("text", ["one", "two"], ["a", "b"])
    assert made.columns["who"].tolist() == ["x", "y"]


def test_one_array_in_a_file_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 3, 4)))
    made = read(tmp_path / "x.npy")
    assert made.inputs.values.shape == (6, 4)


class Bomb:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("a pickle was loaded",))


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.array([Bomb(), None], dtype=object))
    with pytest.raises(
        DataError, match="holds arrays of Python objects, which are pickled code and never loaded"
    ):
        read(path)
    (tmp_path / "x.npy").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match=r"x.npy is not a NumPy file that can be read"):
        read(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": np.ones(3)}, "must hold an array called values .with offsets. or x; it holds z"),
        ({"x": np.ones(3)}, r"x must be numbers of shape \(sequences, steps\)"),
        ({"x": np.ones((2, 3)), "y": [1]}, r"y must have one row per sequence \(2\), got \(1,\)"),
        ({"values": np.ones((3, 1)), "offsets": [0, 2]}, r"must end at the number of values \(3\)"),
        ({"x": np.ones((2, 3, 1)), "lengths": [4, 1]}, "lengths must lie between 0 and 3"),
        ({"x": np.ones((2, 3, 2)), "features": ["a"]}, "names 1 features and has 2"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(saved(tmp_path, **arrays))


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-40], lambda data: b"PK" + data[50:], lambda data: b""]
)
def test_damaged_files_are_one_clear_error(tmp_path: Path, damage: Any) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.ones((2, 3)))
    (tmp_path / "data.npz").write_bytes(damage(buffer.getvalue()))
    with pytest.raises(DataError, match=r"data.npz (is not a NumPy file that can be read|must hold)"):
        read(tmp_path / "data.npz")
