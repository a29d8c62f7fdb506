"""Events: ids and mixed rows, what is a category, unknown ones, streams and stored files."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.nasty import texts
from recurra.data.encoder import UNKNOWN, encoder_from_record
from recurra.data.events import EventEncoder, Events
from recurra.errors import CorruptBundleError, DataError, SpecError
from recurra.ragged import Ragged


def mixed(values: Any, lengths: list[int], **columns: Any) -> Ragged:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    made = {
        name: np.asarray(cells, dtype=None if name == "time" else object) for name, cells in columns.items()
    }
    return Ragged(values=np.asarray(values, dtype=np.float64).reshape(-1, 2), offsets=offsets, columns=made)


CLICKS = mixed(
    [[1.0, 5.0], [2.0, np.nan], [4.0, 7.0], [1.0, 1.0]],
    [3, 0, 1],
    kind=["view", "buy", "view", "view"],
    shop=["a", "a", "b", ""],
    time=[0.0, 60.0, 61.0, 5.0],
)


def test_mixed_rows_become_features_and_ids() -> None:
    encoder = Events(min_count=1).fit(CLICKS)
    made = encoder.encode(CLICKS)
    assert encoder.kind == "events"
    assert encoder.feature_names == ("feature_0", "feature_1", "feature_1 is missing")
    assert encoder.vocabularies == {"kind": 3, "shop": 4}
    assert made.values.dtype == np.float32
    assert made.values.shape == (4, 3)
    assert {name: (ids.dtype, ids.tolist()) for name, ids in made.columns.items()} == {
        "kind": (np.int64, [1, 2, 1, 1]),
        "shop": (np.int64, [1, 1, 3, 2]),
    }
    assert made.offsets.tolist() == [0, 3, 3, 4]


def test_categories_are_ordered_by_count_then_text_and_cut() -> None:
    inputs = [["c", "b", "c", "a", "b", "d"]]
    assert Events(min_count=1).fit(inputs).categories == {"id": ("b", "c", "a", "d")}
    assert Events(min_count=2).fit(inputs).categories == {"id": ("b", "c")}
    assert Events(min_count=1, max_size=1).fit(inputs).categories == {"id": ("b",)}


def test_new_and_rare_categories_are_unknown() -> None:
    encoder = Events(min_count=2).fit([["a", "a", "rare"]])
    made = encoder.encode([["a", "rare", "new"]])
    assert made.columns["id"].tolist() == [1, UNKNOWN, UNKNOWN]
    assert encoder.unknown_rate([["a", "rare", "new"], []]) == pytest.approx(2 / 3)
    assert encoder.unknown_rate([[]]) == 0.0


def test_a_column_of_rare_categories_is_noted() -> None:
    encoder = Events(min_count=3).fit([["a", "b"]])
    assert "no category of 'id' occurs 3 times" in encoder.notes[0]
    assert encoder.vocabularies == {"id": 1}


@pytest.mark.parametrize("inputs", [[[7, 3], [7]], [np.array([7, 3]), np.array([7])], [["7", "3"], ["7"]]])
def test_plain_ids_are_one_column_however_they_are_written(inputs: Any) -> None:
    encoder = Events(min_count=1).fit(inputs)
    assert encoder.categories == {"id": ("7", "3")}
    assert encoder.width == 0
    made = encoder.encode([[3, 7], []])
    assert made.values.shape == (2, 0)
    assert made.columns["id"].tolist() == [2, 1]
    assert encoder.step(3)[0].columns["id"].tolist() == [2]
    assert encoder.step("7")[0].columns["id"].tolist() == [1]


def test_numbers_in_named_columns_are_features_unless_named() -> None:
    rows = [[{"amount": 3, "code": 1}, {"amount": 5.5, "code": 2}]]
    encoder = Events(min_count=1, id_columns=["code"]).fit(rows)
    assert encoder.categories == {"code": ("1", "2")}
    assert encoder.feature_names == ("amount",)
    assert encoder.encode([[{"code": 2.0, "amount": None}]]).columns["code"].tolist() == [2]
    with pytest.raises(DataError, match="no column 'cod' of id_columns; did you mean 'code'"):
        Events(id_columns=["cod"]).fit([[{"code": "a", "amount": 1.0}]])
    with pytest.raises(DataError, match="at least one column of ids or categories"):
        Events().fit(rows)
    with pytest.raises(SpecError, match="id_columns must be names"):
        Events(id_columns=[3])


def test_truth_values_and_missing_ones_are_categories() -> None:
    encoder = Events(min_count=1).fit([{"flag": [True, False, True, None], "x": [1.0, 2.0, 3.0, 4.0]}])
    assert encoder.categories == {"flag": ("True", "", "False")}
    assert encoder.encode([{"flag": [None], "x": [1.0]}]).columns["flag"].tolist() == [2]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([[{"kind": "a"}]], "no feature 'amount', which training had"),
        ([[{"kinf": "a", "amount": 1.0}]], "no column 'kind'.*did you mean 'kinf'"),
        ([[{"kind": "a", "amount": 1.0, "more": "b"}]], "a column 'more', which training had not"),
        ([[{"kind": "a", "amount": "much"}]], "feature 'amount': expected a number, got the text 'much'"),
        ([[{"kind": "a", "amount": float("inf")}]], "feature 'amount' is infinite"),
        ([["a", "b"]], "no feature 'amount'|named as in training|1 features per step"),
    ],
)
def test_other_columns_than_in_training_are_refused(inputs: Any, message: str) -> None:
    encoder = Events(min_count=1).fit([[{"kind": "a", "amount": 1.0}, {"kind": "b", "amount": 3.0}]])
    with pytest.raises(DataError, match=message):
        encoder.encode(inputs)


def test_columns_are_taken_by_name_in_any_order() -> None:
    encoder = Events(min_count=1).fit([{"kind": ["a", "b"], "x": [1.0, 2.0], "y": [3.0, 4.0]}])
    one = encoder.encode([{"kind": ["a"], "x": [1.0], "y": [4.0]}])
    other = encoder.encode([{"y": [4.0], "x": [1.0], "kind": ["a"]}])
    assert one.values.tobytes() == other.values.tobytes()


SPECS = {
    "plain": Events(min_count=1),
    "elapsed": Events(min_count=1, elapsed_time=True, scaling="minmax"),
    "short": Events(min_count=2, max_length=2, mask_features=True),
}
FITTED = {name: spec.fit(CLICKS) for name, spec in SPECS.items()}
every = pytest.mark.parametrize("name", SPECS)

step = st.tuples(
    st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6)),
    st.floats(-1e6, 1e6),
    st.sampled_from(["view", "buy", "other", "", None]),
    texts,
    st.floats(0, 1e6),
)


@every
@given(batch=st.lists(st.lists(step, max_size=4), min_size=1, max_size=4), data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_sequence_alone_is_as_in_a_batch_permuted_and_streamed(
    name: str, batch: Any, data: st.DataObject
) -> None:
    encoder = FITTED[name]
    flat = [row for sequence in batch for row in sequence]
    inputs = mixed(
        [row[:2] for row in flat],
        [len(sequence) for sequence in batch],
        kind=[row[2] for row in flat],
        shop=[row[3] for row in flat],
        time=np.concatenate([np.cumsum([row[4] for row in sequence]) for sequence in batch]),
    )
    order = data.draw(st.permutations(range(len(batch))))
    made, shuffled = encoder.encode(inputs), encoder.encode(inputs.select(order))
    for place, position in enumerate(order):
        alone = encoder.encode(inputs.select([position]))
        assert same(alone, made.select([position]))
        assert same(alone, shuffled.select([place]))
        assert same(alone, streamed(encoder, inputs.select([position])))


def same(a: Ragged, b: Ragged) -> bool:
    return a.values.tobytes() == b.values.tobytes() and all(
        np.array_equal(a.columns[name], b.columns[name]) for name in a.columns
    )


def streamed(encoder: EventEncoder, sequence: Ragged) -> Ragged:
    memory, parts = None, [encoder.encode(sequence.select([]))]
    for row in range(len(sequence.values)):
        item = {"values": sequence.values[row], **{name: c[row] for name, c in sequence.columns.items()}}
        made, memory = encoder.step(item, memory)
        memory = json.loads(json.dumps(memory))
        parts.append(made)
    return Ragged.concatenate(parts)


@every
def test_a_stored_encoder_is_the_same(name: str) -> None:
    encoder = FITTED[name]
    again = encoder_from_record(json.loads(json.dumps(encoder.to_record())), encoder.files())
    assert again == encoder
    assert again.files() == encoder.files()
    assert same(again.encode(CLICKS), encoder.encode(CLICKS))
    assert pickle.loads(pickle.dumps(encoder)) == encoder


@given(st.lists(st.lists(texts, max_size=4), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_any_category_survives_its_file(batch: list[list[str]]) -> None:
    if not any(batch):
        return
    encoder = Events(min_count=1).fit(batch)
    again = encoder_from_record(json.loads(json.dumps(encoder.to_record())), encoder.files())
    assert same(again.encode(batch), encoder.encode(batch))
    assert encoder.unknown_rate(batch) == 0.0


CHANGES: list[tuple[Any, str]] = [
    (lambda c: c["categories"].clear(), "at least one column"),
    (lambda c: c["categories"].update(kind=["a", "a"]), "different categories"),
    (lambda c: c["categories"].update(kind=[1, 2]), "must be a list of texts"),
    (lambda c: c["categories"].update(kind=["a"]), "does not belong to this record"),
    (lambda c: c["categories"].update(more=["a"]), "does not belong to this record"),
    (lambda c: c.pop("categories"), "has no 'categories'"),
    (lambda c: c["features"].update(masked=[]), "does not belong to this record"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_a_changed_file_is_refused(change: Any, message: str) -> None:
    encoder = FITTED["plain"]
    content = json.loads(encoder.files()["encoder.json"])
    change(content)
    with pytest.raises(CorruptBundleError, match=message):
        encoder_from_record(encoder.to_record(), {"encoder.json": json.dumps(content).encode()})


def test_nothing_to_learn_from_is_refused() -> None:
    for nothing in ([], [[]], Ragged(values=np.zeros((0, 2)), offsets=np.array([0]))):
        with pytest.raises(DataError, match="inputs must"):
            Events().fit(nothing)
    assert len(FITTED["plain"].encode([])) == 0
    assert FITTED["plain"].encode([[], []]).columns["kind"].tolist() == []
