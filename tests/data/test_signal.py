"""Signals: scaling of the training split, missing values, elapsed time, names, streams and stored files."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recurra.data.encoder import encoder_from_record
from recurra.data.scaler import log1p
from recurra.data.signal import Signal, SignalEncoder
from recurra.errors import CorruptBundleError, DataError, SpecError
from recurra.ragged import Ragged

SPECS = {
    "standard": Signal(),
    "minmax": Signal(scaling="minmax", mask_features=True),
    "robust": Signal(scaling="robust", mask_features=False),
    "none": Signal(scaling="none"),
    "elapsed": Signal(elapsed_time=True),
}
every = pytest.mark.parametrize("name", SPECS)

cells = st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, 1.0, 7.5]))
arrays = st.integers(0, 6).flatmap(lambda steps: hnp.arrays(np.float64, (steps, 3), elements=cells))
batches = st.lists(arrays, min_size=1, max_size=5)


def timed(batch: list[np.ndarray]) -> Ragged:
    """The sequences with a time of each step, irregular and rising within each sequence."""
    joined = Ragged.from_lists(batch)
    time = np.concatenate([100.0 * i + np.cumsum(np.arange(len(a)) % 4) for i, a in enumerate(batch)])
    return Ragged(values=joined.values.reshape(-1, 3), offsets=joined.offsets, columns={"time": time})


def fitted(name: str) -> SignalEncoder:
    generator = np.random.default_rng(5)
    batch = [generator.normal([3.0, -2.0, 0.0], [5.0, 0.1, 1.0], (length, 3)) for length in (4, 0, 9, 1)]
    batch[0][1, 2] = np.nan
    return SPECS[name].fit(timed(batch))


FITTED = {name: fitted(name) for name in SPECS}


def known(batch: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([a.reshape(-1, 3) for a in batch])


@pytest.mark.parametrize("scaling", ["standard", "minmax", "robust"])
def test_scaling_follows_its_definition(scaling: str) -> None:
    values = np.array([[1.0, 10.0], [2.0, 10.0], [4.0, 40.0], [9.0, 20.0]])
    made = Signal(scaling=scaling).fit([values[:3], values[3:]]).encode([values]).values
    if scaling == "standard":
        expected = (values - values.mean(0)) / values.std(0)
    elif scaling == "minmax":
        expected = (values - values.min(0)) / np.ptp(values, axis=0)
    else:
        first, middle, third = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
        expected = (values - middle) / (third - first)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, expected, rtol=1e-6, atol=1e-7)


def test_no_scaling_leaves_the_numbers() -> None:
    assert Signal(scaling="none").fit([[1.5, 2.5]]).encode([[7.25]]).values.tolist() == [[7.25]]


def test_scaling_is_that_of_training_whatever_is_encoded() -> None:
    encoder = Signal().fit([[0.0, 2.0]])
    assert encoder.encode([[1.0], [101.0, 3.0]]).values.ravel().tolist() == [0.0, 100.0, 2.0]


def test_missing_values_become_the_training_mean_with_a_mask() -> None:
    train = [np.array([[0.0, 5.0], [np.nan, 5.0], [4.0, 8.0]])]
    for scaling, expected in [("standard", 0.0), ("none", 2.0), ("minmax", 0.5)]:
        encoder = Signal(scaling=scaling).fit(train)
        assert encoder.feature_names == ("feature_0", "feature_1", "feature_0 is missing")
        made = encoder.encode([[[np.nan, 5.0], [4.0, np.nan]]]).values
        assert made[0, 0] == pytest.approx(expected)
        assert made[:, 2].tolist() == [1.0, 0.0]
        assert np.isfinite(made).all()


@pytest.mark.parametrize(("masks", "width"), [(None, 2), (True, 4), (False, 2)])
def test_mask_features_says_which_columns_get_a_mask(masks: bool | None, width: int) -> None:
    assert Signal(mask_features=masks).fit([np.eye(2)]).width == width


def test_missing_values_are_refused_by_choice() -> None:
    gap = [np.zeros((1, 2)), np.array([[1.0, 2.0], [3.0, np.nan]])]
    with pytest.raises(DataError, match=r"sequence 1, step 1: feature 'b' is missing and missing='refuse'"):
        Signal(missing="refuse").fit(gap, features=["a", "b"])
    encoder = Signal(missing="refuse").fit([np.eye(2)])
    with pytest.raises(DataError, match=r"sequence 1, step 1: feature 'feature_1' is missing"):
        encoder.encode(gap)
    with pytest.raises(DataError, match="is missing"):
        encoder.step([1.0, None])


@every
def test_infinite_values_are_refused_by_name(name: str) -> None:
    train = timed([np.array([[1.0, 2.0, 3.0], [1.0, -np.inf, 3.0]])])
    with pytest.raises(DataError, match=r"sequence 0, step 1: feature 'b' is infinite"):
        SPECS[name].fit(train, features=["a", "b", "c"])
    with pytest.raises(DataError, match=r"sequence 0, step 1: feature number 1 is infinite"):
        FITTED[name].encode(train)


def test_a_column_without_values_is_refused() -> None:
    with pytest.raises(DataError, match=r"feature 'b' has no value in any of 2 steps"):
        Signal().fit([[[1.0, np.nan], [2.0, np.nan]]], features=["a", "b"])


@pytest.mark.parametrize("scaling", ["standard", "minmax", "robust"])
@pytest.mark.parametrize("value", [0.0, 0.1, -3.0, 1e300, 1e-300])
def test_a_constant_column_keeps_its_scale_and_is_noted(scaling: str, value: float) -> None:
    encoder = Signal(scaling=scaling).fit([np.full((7, 1), value)])
    assert "feature 'feature_0' is constant in training" in encoder.notes[0]
    assert encoder.encode([[value]]).values.tolist() == [[0.0]]


def test_robust_scaling_without_spread_falls_back_and_says_so() -> None:
    encoder = Signal(scaling="robust").fit([[0.0] * 9 + [10.0]])
    assert "no spread between its quartiles" in encoder.notes[0]
    assert encoder.encode([[3.0]]).values[0, 0] == pytest.approx(1.0)


@pytest.mark.parametrize("scaling", ["standard", "minmax", "robust"])
def test_extreme_magnitudes_are_scaled_without_overflow(scaling: str) -> None:
    values = np.array([-1e308, 1e308, 0.0, 5e307])
    made = Signal(scaling=scaling).fit([values]).encode([values]).values
    assert np.isfinite(made).all()
    assert len(np.unique(made)) == 4


def test_a_value_that_float32_cannot_hold_is_refused() -> None:
    with pytest.raises(DataError, match=r"sequence 0, step 0: feature 'feature_0' is 1e\+300, too far"):
        Signal().fit([[0.0, 1.0]]).encode([[1e300]])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([[1.0, 2.0], [3.0, "x"]], r"inputs\[1\]"),
        ([[1.0], ["N/A"]], r"inputs\[1\], step 0: expected a number, got 'N/A'"),
        (["text"], "texts need Words"),
        ("text", "must be a Ragged or a list of sequences, got str"),
        (7, "must be a Ragged or a list of sequences, got int"),
        ([np.zeros((2, 2, 2))], r"shape \(T,\) or \(T, F\)"),
        ([[[1.0, 2.0], [3.0]]], "same number of features in every step"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], r"got 3 and 4 \(inputs\[1\] has 4\)"),
        ([np.array([2**60 + 1])], "beyond 2\\^53"),
        ([[2**60 + 1, 0.5, None]], "beyond 2\\^53"),
        ([np.array(["2020-01-01"], dtype="datetime64[D]")], "expected a number"),
        ([np.array([1 + 2j])], "expected a number"),
        ([None], r"inputs\[0\] must be a sequence of numbers, got None"),
    ],
)
def test_what_is_no_number_is_refused_where_it_stands(bad: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Signal().fit(bad)


def test_another_width_is_refused_with_what_was_expected() -> None:
    encoder = Signal().fit([np.eye(3)], features=["a", "b", "c"])
    with pytest.raises(
        DataError, match=r"must have 3 features per step \('a', 'b', 'c'\), as in training; got 2"
    ):
        encoder.encode([np.zeros((2, 2))])


def test_named_columns_are_taken_by_name_in_any_order() -> None:
    encoder = Signal().fit([{"b": [1.0, 2.0], "a": [0.0, 10.0]}, {"b": [3.0], "a": [20.0]}])
    assert encoder.feature_names == ("a", "b")
    made = encoder.encode([{"a": [10.0], "b": [2.0]}, {"b": [2.0], "a": [10.0]}])
    assert np.array_equal(made[0], made[1])
    by_features = Signal().fit([np.eye(2)], features=["a", "b"])
    swapped = by_features.encode([[[1.0, 0.0]]], features=["b", "a"])
    assert np.array_equal(swapped.values, by_features.encode([[[0.0, 1.0]]]).values)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([{"heart_rate": [1.0]}], r"no feature 'pressure', which training had"),
        ([{"heart_rat": [1.0], "pressure": [1.0]}], r"no feature 'heart_rate'.*did you mean 'heart_rat'"),
        (
            [{"heart_rate": [1.0], "pressure": [1.0], "extra": [1.0]}],
            "a feature 'extra', which training had not",
        ),
        ([np.zeros((1, 2))], "training, which had named columns"),
        (
            [{"heart_rate": [1.0], "pressure": ["high"]}],
            "feature 'pressure': expected a number, got the text 'high'",
        ),
    ],
)
def test_missing_unknown_and_nameless_columns_are_refused(inputs: Any, message: str) -> None:
    encoder = Signal().fit([{"heart_rate": [1.0, 2.0], "pressure": [3.0, 5.0]}])
    with pytest.raises(DataError, match=message):
        encoder.encode(inputs)


def test_named_columns_are_refused_where_training_had_no_names() -> None:
    with pytest.raises(DataError, match="named as in training, which had none"):
        Signal().fit([np.eye(2)]).encode([{"b": [1.0], "a": [2.0]}])


def test_names_must_fit_and_differ() -> None:
    with pytest.raises(DataError, match="features must name the 2 columns of values, got 1"):
        Signal().fit([np.eye(2)], features=["a"])
    with pytest.raises(DataError, match="features must have different names"):
        Signal().fit([np.eye(2)], features=["a", "a"])


def test_frames_are_named_columns() -> None:
    import pandas as pd
    import polars as pl

    data = {"time": [0.0, 5.0], "a": [1.0, None], "b": [3, 5]}
    mapping = Signal(elapsed_time=True).fit([data])
    for frame in (pd.DataFrame(data), pl.DataFrame(data)):
        encoder = Signal(elapsed_time=True).fit([frame])
        assert encoder == mapping
        assert np.array_equal(encoder.encode([frame]).values, mapping.encode([data]).values)


def test_lists_of_mappings_are_steps() -> None:
    encoder = Signal().fit([[{"a": 1.0, "b": 2.0}, {"b": None, "a": 3.0}], []])
    assert encoder.feature_names == ("a", "b", "b is missing")
    with pytest.raises(DataError, match="same names in every step"):
        Signal().fit([[{"a": 1.0}, {"b": 1.0}]])


def test_elapsed_time_is_the_logarithm_of_the_gap_scaled() -> None:
    batch = Ragged(
        values=np.arange(4.0), offsets=np.array([0, 3, 4]), columns={"time": np.array([5.0, 6.0, 16.0, 2.0])}
    )
    encoder = Signal(elapsed_time=True, scaling="none").fit(batch)
    assert encoder.feature_names == ("feature_0", "elapsed_time")
    np.testing.assert_allclose(encoder.encode(batch).values[:, 1], np.log1p([0.0, 1.0, 10.0, 0.0]), rtol=1e-6)


def test_elapsed_time_reads_dates() -> None:
    time = np.array(["2026-01-01T00:00:00", "2026-01-01T00:01:00"], dtype="datetime64[s]")
    batch = Ragged(values=np.zeros(2), offsets=np.array([0, 2]), columns={"time": time})
    made = Signal(elapsed_time=True, scaling="none").fit(batch).encode(batch).values
    assert made[1, 1] == pytest.approx(np.log1p(60.0))


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ([0.0, -1.0], "sequence 0, step 1: column 'time' goes back by 1 s"),
        ([0.0, np.nan], "step 1: column 'time' must be a finite number of seconds"),
        (["a", "b"], "column 'time': expected a number"),
    ],
)
def test_a_bad_clock_is_refused(time: Any, message: str) -> None:
    batch = Ragged(values=np.zeros(2), offsets=np.array([0, 2]), columns={"time": np.array(time)})
    with pytest.raises(DataError, match=message):
        Signal(elapsed_time=True).fit(batch)


def test_elapsed_time_needs_a_time() -> None:
    with pytest.raises(DataError, match="elapsed_time=True needs a column 'time'"):
        Signal(elapsed_time=True).fit([[1.0, 2.0]])


def test_time_is_no_feature_by_itself() -> None:
    assert Signal().fit(timed([np.eye(3)])).feature_names == ("feature_0", "feature_1", "feature_2")


@pytest.mark.parametrize(("side", "expected"), [("end", [[0.0], [1.0]]), ("start", [[2.0], [3.0]])])
def test_truncate_names_the_side_that_is_cut(side: str, expected: list[list[float]]) -> None:
    encoder = Signal(scaling="none", max_length=2, truncate=side).fit([[0.0, 9.0]])
    made = encoder.encode([[0.0, 1.0, 2.0, 3.0], [5.0], []])
    assert [row.tolist() for row in made] == [expected, [[5.0]], []]


def test_empty_sequences_are_allowed_where_there_is_something_to_learn() -> None:
    encoder = Signal().fit([np.eye(3), []])
    assert encoder.encode([[], []]).values.shape == (0, 3)
    assert len(encoder.encode([])) == 0
    for nothing in ([], [[]], [np.zeros((0, 3))]):
        with pytest.raises(DataError, match="inputs must"):
            Signal().fit(nothing)


@every
@given(batch=batches, data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_sequence_alone_is_as_in_a_batch_permuted_and_streamed(
    name: str, batch: Any, data: st.DataObject
) -> None:
    encoder, given_batch = FITTED[name], timed(batch)
    order = data.draw(st.permutations(range(len(batch))))
    made = encoder.encode(given_batch)
    assert np.isfinite(made.values).all()
    shuffled = encoder.encode(given_batch.select(order))
    for position, row in zip(order, shuffled, strict=True):
        assert row.tobytes() == made[position].tobytes()
        assert encoder.encode(given_batch.select([position]))[0].tobytes() == made[position].tobytes()
        assert streamed(encoder, given_batch.select([position])).tobytes() == made[position].tobytes()


def streamed(encoder: SignalEncoder, sequence: Ragged) -> np.ndarray:
    """One sequence step by step, the memory written to JSON and read between any two steps."""
    memory, rows = None, [np.zeros((0, encoder.width), dtype=np.float32)]
    for row, time in zip(sequence.values, sequence.columns["time"], strict=True):
        item = {"values": row, "time": time} if encoder.spec.elapsed_time else row
        made, memory = encoder.step(item, memory)
        rows.append(made.values)
        memory = json.loads(json.dumps(memory))
    return np.concatenate(rows)


def test_a_stream_takes_numbers_rows_blocks_and_names() -> None:
    one = Signal(scaling="none").fit([[1.0, 2.0]])
    assert one.step(7)[0].values.tolist() == [[7.0]]
    assert one.step([7.0])[0].values.tolist() == [[7.0]]
    assert one.step([7.0, 8.0])[0].values.tolist() == [[7.0], [8.0]]
    two = Signal(scaling="none").fit([{"a": [1.0, 2.0], "b": [3.0, 4.0]}])
    assert two.step({"b": 5, "a": 6})[0].values.tolist() == [[6.0, 5.0]]
    assert two.step([{"b": 5, "a": 6}] * 2)[0].values.tolist() == [[6.0, 5.0]] * 2
    plain = Signal(scaling="none").fit([np.eye(2)])
    assert plain.step([[1.0, 2.0], [3.0, 4.0]])[0].values.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    with pytest.raises(DataError, match="2 features per step"):
        plain.step([1.0, 2.0, 3.0])


def test_a_stream_stops_at_max_length_and_cannot_keep_the_end() -> None:
    encoder = Signal(scaling="none", max_length=2).fit([[1.0, 2.0]])
    memory, rows = None, []
    for number in range(4):
        made, memory = encoder.step(float(number), memory)
        rows += made.values.ravel().tolist()
    assert rows == [0.0, 1.0]
    with pytest.raises(SpecError, match="truncate='start' with max_length=2"):
        Signal(max_length=2, truncate="start").fit([[1.0, 2.0]]).step(1.0)


@given(batch=batches, held=batches)
@settings(max_examples=40, deadline=None)
def test_encoding_changes_nothing_in_the_encoder(batch: Any, held: Any) -> None:
    try:
        encoder = Signal().fit(batch)
    except DataError:
        return
    before = encoder.files()
    encoder.encode(held)
    assert encoder.files() == before


@every
def test_a_stored_encoder_is_the_same(name: str) -> None:
    encoder = FITTED[name]
    again = encoder_from_record(json.loads(json.dumps(encoder.to_record())), encoder.files())
    assert again == encoder
    assert again.files() == encoder.files()
    assert pickle.loads(pickle.dumps(encoder)) == encoder
    batch = timed([np.random.default_rng(0).normal(size=(9, 3))])
    assert again.encode(batch).values.tobytes() == encoder.encode(batch).values.tobytes()


@given(values=hnp.arrays(np.float64, (7, 2), elements=st.floats(-1e300, 1e300)))
@settings(max_examples=60, deadline=None)
def test_any_scaling_survives_its_file_bit_for_bit(values: np.ndarray) -> None:
    encoder = Signal().fit([values])
    again = encoder_from_record(encoder.to_record(), encoder.files())
    assert again.encode([values]).values.tobytes() == encoder.encode([values]).values.tobytes()


def test_a_huge_column_that_is_constant_but_for_rounding_is_read() -> None:
    values = np.array([[-1e300], [np.nextafter(-1e300, 0.0)], [-1e300]])
    encoder = Signal().fit([values])
    assert "constant in training" in encoder.notes[0]
    assert np.abs(encoder.encode([values]).values).max() < 1e-3


CHANGES: list[tuple[str, Any, str]] = [
    ("standard", lambda c: c["features"]["scale"].__setitem__(0, 0.0), "every scale must be above 0"),
    ("standard", lambda c: c["features"]["center"].__setitem__(0, "x"), "center must be 3 numbers"),
    ("standard", lambda c: c["features"]["center"].__setitem__(0, 10**400), "center must be finite"),
    ("standard", lambda c: c["features"]["fill"].pop(), "fill must be 3 numbers"),
    ("standard", lambda c: c["features"]["names"].append("x"), "numbers"),
    ("standard", lambda c: c["features"].update(names=["a", "a", "b"]), "names must be different"),
    ("standard", lambda c: c["features"].update(masked=[5]), "masked must be positions"),
    ("standard", lambda c: c["features"].update(masked=[]), "not what the record says"),
    ("standard", lambda c: c.update(naming="guess"), "naming must be one of"),
    ("standard", lambda c: c.pop("features"), "has no 'features'"),
    ("elapsed", lambda c: c.update(elapsed=None), "'elapsed' must be of type dict"),
    ("elapsed", lambda c: c["elapsed"].update(names=["x"]), "must scale 'elapsed_time' alone"),
]


@pytest.mark.parametrize(("name", "change", "message"), CHANGES)
def test_a_changed_file_is_refused(name: str, change: Any, message: str) -> None:
    encoder = FITTED[name]
    content = json.loads(encoder.files()["encoder.json"])
    change(content)
    with pytest.raises(CorruptBundleError, match=message):
        encoder_from_record(encoder.to_record(), {"encoder.json": json.dumps(content).encode()})


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"features": NaN}', b'{"a": 1, "a": 2}'])
def test_a_file_that_is_no_encoder_is_refused(content: bytes) -> None:
    with pytest.raises(CorruptBundleError, match=r"encoder\.json"):
        encoder_from_record(FITTED["standard"].to_record(), {"encoder.json": content})


def test_masks_of_refused_values_have_no_sense() -> None:
    with pytest.raises(SpecError, match="mask_features has no effect with missing='refuse'"):
        Signal(missing="refuse", mask_features=True)


@given(hnp.arrays(np.float64, st.integers(0, 20), elements=st.floats(0, 1e15)))
def test_the_own_logarithm_is_right_and_the_same_for_a_row_alone(values: np.ndarray) -> None:
    made = log1p(values)
    np.testing.assert_allclose(made, np.log1p(values), rtol=1e-12, atol=1e-15)
    alone = [log1p(values[i : i + 1])[0] for i in range(len(values))]
    assert np.array_equal(made, alone)
    assert np.array_equal(made, log1p(np.repeat(values, 3)[::3]))
