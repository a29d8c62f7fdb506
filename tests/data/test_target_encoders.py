"""Labels, several labels, and numbers: what is learnt, what is refused, and that nothing is lost on the way back."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recurra.data.target_encoders import LabelEncoder, MultiLabelEncoder, NumberEncoder, target_from_record
from recurra.errors import CorruptBundleError, DataError


@pytest.mark.parametrize(
    ("targets", "classes"),
    [
        (["good", "bad", "good"], ("bad", "good")),
        ([10, 9, 10], (9, 10)),
        (np.array([1.0, 0.0]), (0, 1)),
        (np.array(["b", "a"]), ("a", "b")),
        ([True, False], (False, True)),
        (np.array([3, 1], dtype=np.uint8), (1, 3)),
    ],
)
def test_classes_are_sorted_plain_values(targets: Any, classes: tuple[Any, ...]) -> None:
    encoder = LabelEncoder.fit(targets)
    assert encoder.classes == classes
    assert [type(c) for c in encoder.classes] == [type(c) for c in classes]
    assert encoder.decode(encoder.encode(targets)).tolist() == list(targets)
    assert encoder.encode(targets).dtype == np.int64


@given(
    st.lists(st.one_of(st.text(max_size=5).map(lambda t: t.rstrip("\0"))), min_size=2).filter(
        lambda t: len(set(t)) > 1
    )
)
def test_any_text_is_a_label(targets: list[str]) -> None:
    encoder = LabelEncoder.fit(targets)
    assert list(encoder.classes) == sorted(set(targets))
    assert encoder.decode(encoder.encode(targets)).tolist() == targets
    assert target_from_record(json.loads(json.dumps(encoder.to_record()))) == encoder


def test_whole_numbers_may_come_back_as_texts() -> None:
    assert LabelEncoder.fit([1, 2]).encode(["2", "1", 2, 2.0]).tolist() == [1, 0, 1, 1]
    assert LabelEncoder.fit(["1", "2"]).encode([2]).tolist() == [1]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["a", "a"], "at least two classes to learn from, got only 'a'"),
        ([], "at least two classes to learn from, got only none"),
        (["a", None], r"targets\[1\] is missing"),
        ([1.0, float("nan")], r"targets\[1\] is missing"),
        ([1.5, 2.0], r"targets\[0\] must be a label, got 1.5; numbers are learnt with Regressor"),
        (["a", 1], "all be of one type, got int and str"),
        ([("a", "b"), ("a",)], "several labels per sequence need multilabel=True"),
        ("text", "a list with one entry per sequence, got str"),
        (3, "a list with one entry per sequence, got int"),
    ],
)
def test_targets_that_are_no_classes_are_refused(targets: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        LabelEncoder.fit(targets)


def test_an_unseen_label_is_refused_with_the_nearest() -> None:
    encoder = LabelEncoder.fit(["positive", "negative"])
    with pytest.raises(
        DataError, match=r"targets\[1\] is 'positve', a label that training had not; did you mean 'positive'"
    ):
        encoder.encode(["positive", "positve"])


def test_class_numbers_out_of_range_are_refused() -> None:
    encoder = LabelEncoder.fit(["a", "b"])
    for numbers in ([2], [-1], [0.5]):
        with pytest.raises(DataError, match="whole numbers from 0 to 1"):
            encoder.decode(numbers)
    assert encoder.decode([]).tolist() == []


def test_several_labels_become_rows_of_zero_and_one() -> None:
    encoder = MultiLabelEncoder.fit([("b", "a"), set(), ["c"], frozenset({"a"})])
    assert encoder.classes == ("a", "b", "c")
    made = encoder.encode([("a", "c"), (), ("b", "b")])
    assert made.dtype == np.float32
    assert made.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert encoder.decode(made > 0.5) == [("a", "c"), (), ("b",)]


def test_a_matrix_of_zero_and_one_is_several_labels() -> None:
    targets = np.array([[1, 0, 1], [0, 0, 0]])
    encoder = MultiLabelEncoder.fit(targets)
    assert encoder.classes == (0, 1, 2)
    assert encoder.encode(targets).tolist() == targets.tolist()
    with pytest.raises(DataError, match="must have 3 columns"):
        encoder.encode(np.zeros((2, 2)))
    with pytest.raises(DataError, match=r"targets\[1\] must be a row of 0 and 1"):
        MultiLabelEncoder.fit(np.array([[0, 1], [2, 0]]))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([(), ()], "at least one label"),
        (["ab"], r"targets\[0\] must be a collection of labels such as"),
        ([3], r"targets\[0\] must be a collection of labels"),
        ([("a", None)], r"targets\[0\] is missing"),
        ([("a", 1)], "one type"),
    ],
)
def test_targets_that_are_no_collections_are_refused(targets: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        MultiLabelEncoder.fit(targets)


def test_an_unseen_label_among_several_is_refused() -> None:
    with pytest.raises(DataError, match=r"targets\[1\] is 'comdy', .*did you mean 'comedy'"):
        MultiLabelEncoder.fit([("comedy",)]).encode([(), ("comdy",)])


numbers = st.floats(-1e9, 1e9)


@given(
    hnp.arrays(
        np.float64, st.one_of(st.integers(1, 9), st.tuples(st.integers(1, 9), st.just(3))), elements=numbers
    )
)
def test_numbers_are_standardised_and_come_back(targets: np.ndarray) -> None:
    encoder = NumberEncoder.fit(targets)
    made = encoder.encode(targets)
    assert made.dtype == np.float32
    assert made.shape == (len(targets), encoder.width)
    back = encoder.decode(made)
    assert back.shape == targets.shape
    size = max(np.abs(targets).max(), 1e-30)
    np.testing.assert_allclose(back, targets, atol=size * 1e-5, rtol=0)
    assert target_from_record(json.loads(json.dumps(encoder.to_record()))) == encoder


def test_numbers_alone_are_as_in_a_batch() -> None:
    targets = np.random.default_rng(0).normal(size=(33, 3))
    encoder = NumberEncoder.fit(targets)
    alone = [encoder.encode(row[None])[0] for row in targets]
    assert np.array_equal(encoder.encode(targets), alone)


def test_a_constant_target_keeps_its_scale() -> None:
    encoder = NumberEncoder.fit([0.1, 0.1, 0.1])
    assert encoder.scale == (1.0,)
    assert encoder.decode(encoder.encode([0.1, 2.1])).tolist() == pytest.approx([0.1, 2.1])


@pytest.mark.parametrize(
    "targets", [[1, 2.5], (Decimal("1"), Decimal("2.5")), np.array([1, 2.5], dtype=object)]
)
def test_kinds_of_numbers_are_read(targets: Any) -> None:
    assert NumberEncoder.fit(targets).mean == (1.75,)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([1.0, float("nan")], r"targets\[1\] must be finite, got nan"),
        ([1.0, None], r"targets\[1\] must be finite"),
        ([[1.0, 2.0], [3.0, float("inf")]], r"targets\[1\] must be finite"),
        ([1.0, "2"], r"targets\[1\] must be a number.*labels need Classifier"),
        ([1.0, object()], r"targets\[1\] must be a number"),
        ([[1.0], [1.0, 2.0]], "as many numbers in every sequence"),
        ([], "at least one number"),
        (np.zeros((2, 2, 2)), r"shape \(S,\) or \(S, K\)"),
        (np.zeros((2, 0)), r"shape \(S,\) or \(S, K\)"),
    ],
)
def test_targets_that_are_no_numbers_are_refused_by_row(targets: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        NumberEncoder.fit(targets)


def test_numbers_of_another_width_or_size_are_refused() -> None:
    encoder = NumberEncoder.fit([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(DataError, match="2 numbers per sequence as in training, got 3"):
        encoder.encode([[1.0, 2.0, 3.0]])
    with pytest.raises(DataError, match=r"targets\[0\] is too far"):
        encoder.encode([[1e300, 0.0]])


RECORDS: list[tuple[Any, str]] = [
    (None, "must be of kind"),
    ({"kind": "other"}, "must be of kind"),
    ({"kind": ["label"]}, "must be of kind"),
    ({"kind": "label", "classes": ["a"]}, "at least 2 classes"),
    ({"kind": "label", "classes": ["a", 1]}, "all texts or all whole numbers"),
    ({"kind": "label", "classes": ["b", "a"]}, "different classes in order"),
    ({"kind": "label", "classes": ["a", "a"]}, "different classes in order"),
    ({"kind": "label", "classes": [1.5, 2.5]}, "all texts or all whole numbers"),
    ({"kind": "label", "classes": [None, None]}, "all texts or all whole numbers"),
    ({"kind": "multilabel", "classes": []}, "at least 1 classes"),
    ({"kind": "number", "mean": [0.0], "scale": [0.0], "vector": False}, "scales above 0"),
    ({"kind": "number", "mean": [0.0], "scale": [1.0, 2.0], "vector": False}, "as many finite means"),
    ({"kind": "number", "mean": [], "scale": [], "vector": True}, "as many finite means"),
    (
        {"kind": "number", "mean": [0.0, 1.0], "scale": [1.0, 1.0], "vector": False},
        "one number unless a vector",
    ),
    ({"kind": "number", "mean": ["a"], "scale": [1.0], "vector": False}, "as many finite means"),
    ({"kind": "number", "mean": [10**400], "scale": [1.0], "vector": False}, "as many finite means"),
    ({"kind": "number", "mean": [0.0], "scale": [1.0], "vector": 1}, "one number unless a vector"),
]


@pytest.mark.parametrize(("record", "message"), RECORDS)
def test_a_malformed_record_is_refused(record: Any, message: str) -> None:
    with pytest.raises(CorruptBundleError, match=message):
        target_from_record(record)


def test_a_stored_encoder_is_the_same() -> None:
    for encoder in (
        LabelEncoder.fit([1, 2]),
        LabelEncoder.fit([True, False]),
        MultiLabelEncoder.fit([("a", "b")]),
        NumberEncoder.fit([[1.0, 2.0], [3.0, 5.0]]),
    ):
        again = target_from_record(json.loads(json.dumps(encoder.to_record())))
        assert again == encoder
        assert type(again) is type(encoder)
