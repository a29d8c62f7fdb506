from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recurra.data.dataset import Dataset, classes, require_classes, require_targets
from recurra.errors import DataError
from recurra.ragged import Ragged


def texts(**known: Any) -> Dataset:
    return Dataset(
        **{
            "inputs": ["one", "two", "three"],
            "targets": ["a", "b", "a"],
            "columns": {"who": np.array(["x", "y", "z"], dtype=object)},
            "static": np.array([[1.0], [2.0], [3.0]]),
            "static_names": ("age",),
            "split": np.array(["train", "train", "test"]),
            **known,
        }
    )


def events() -> Dataset:
    columns = {"item": np.array(["p", "q", "r"], dtype=object), "time": np.array([0.0, 1.0, 5.0])}
    inputs = Ragged(values=np.array([[1.0], [np.nan], [3.0]]), offsets=np.array([0, 2, 3]), columns=columns)
    return Dataset(inputs=inputs, targets=np.array([0.5, 1.5]), kind="events", features=("price",))


def test_select_takes_everything_that_belongs_to_a_sequence() -> None:
    made = texts().select([2, 0])
    assert made.inputs == ["three", "one"]
    assert made.targets == ["a", "a"]
    assert made.columns["who"].tolist() == ["z", "x"]
    assert made.static.tolist() == [[3.0], [1.0]]
    assert made.split.tolist() == ["test", "train"]
    assert len(made) == 2


def test_select_takes_a_mask_and_keeps_columns_of_steps() -> None:
    made = events().select(np.array([False, True]))
    assert made.inputs.columns["item"].tolist() == ["r"]
    assert made.inputs.columns["time"].tolist() == [5.0]
    assert made.targets.tolist() == [1.5]


def test_part_follows_the_split() -> None:
    assert texts().part("test").inputs == ["three"]
    with pytest.raises(DataError, match="does not say which sequences are 'test'"):
        texts(split=None).part("test")


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"targets": ["a"]}, "targets must have one row per sequence \\(3\\), got 1"),
        ({"columns": {"who": np.array(["x"])}}, "who must have one row per sequence"),
        (
            {"split": np.array(["train", "dev", "test"])},
            "split must hold only train, validation, test, got 'dev'",
        ),
        ({"kind": "words"}, "kind must be one of text, signal, events"),
    ],
)
def test_parts_that_do_not_fit_are_refused(known: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        texts(**known)


def test_the_fingerprint_is_of_the_content_and_pinned() -> None:
    pinned = ("07d5c57ba0f0cd7d", "1fb6dd502e5611a8")
    assert texts().fingerprint == texts(source="elsewhere", notes=("read",)).fingerprint
    assert (texts().fingerprint[:16], events().fingerprint[:16]) == pinned


@pytest.mark.parametrize(
    "known",
    [
        {"inputs": ["one", "two", "thre"]},
        {"inputs": ["onet", "wo", "three"]},
        {"targets": ["a", "b", "b"]},
        {"targets": None},
        {"static": np.array([[1.0], [2.0], [4.0]])},
        {"static_names": ("height",)},
        {"split": np.array(["train", "test", "test"])},
        {"columns": {}},
    ],
)
def test_the_fingerprint_changes_with_every_part(known: Any) -> None:
    assert texts(**known).fingerprint != texts().fingerprint


def test_the_fingerprint_sees_steps_and_their_columns() -> None:
    known = events()
    inputs = known.inputs
    assert isinstance(inputs, Ragged)
    for change in (
        {"values": np.array([[1.0], [np.nan], [4.0]])},
        {"offsets": np.array([0, 1, 3])},
        {"columns": {**inputs.columns, "time": np.array([0.0, 1.0, 6.0])}},
        {"columns": {**inputs.columns, "item": np.array(["p", "q", "s"], dtype=object)}},
    ):
        same = {"values": inputs.values, "offsets": inputs.offsets, "columns": inputs.columns}
        other = Dataset(
            inputs=Ragged(**{**same, **change}), targets=known.targets, kind="events", features=("price",)
        )
        assert other.fingerprint != known.fingerprint


def test_lone_surrogates_do_not_stop_the_fingerprint() -> None:
    assert len(texts(inputs=["\ud800", "", "x"]).fingerprint) == 64


def test_classes_are_sorted_and_of_all_labels() -> None:
    assert classes(["b", "a", "b"]) == ["a", "b"]
    assert classes([("b", "c"), (), ("a",)]) == ["a", "b", "c"]


def test_one_class_is_too_few_to_learn_from() -> None:
    assert require_classes(["b", "a"]) == ["a", "b"]
    with pytest.raises(
        DataError, match=r"label must hold at least 2 different labels .* got 1 \('a'\); check that"
    ):
        require_classes(["a", "a"], name="label")
    with pytest.raises(DataError, match=r"got 0 \(none\)"):
        require_classes([])


def test_targets_that_are_not_there_are_named() -> None:
    assert require_targets(texts(), "a classifier") == ["a", "b", "a"]
    with pytest.raises(DataError, match="a classifier needs targets and memory has none"):
        require_targets(texts(targets=None), "a classifier")


def test_a_dataset_says_what_it_is() -> None:
    assert repr(texts(source="reviews.csv")) == "Dataset(3 sequences of text, targets, from reviews.csv)"
    assert "no targets" in repr(texts(targets=None))
