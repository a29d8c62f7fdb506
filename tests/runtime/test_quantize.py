"""Models in fewer bits: what is stored, what is read back, what the answers keep, what is recommended."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from contracts.models import TEXTS, predictor, sequences
from recurra.errors import CorruptBundleError, DataError, InputError, SpecError
from recurra.kernels import numpy_native
from recurra.runtime import precision as bits
from recurra.runtime.quantize import (
    Measured,
    compare_precisions,
    judge,
    loaded_bytes,
    quantized,
    recommend,
    save_quantized,
)
from recurra.runtime.store import load_predictor, save_predictor
from recurra.runtime.verify import verify
from recurra.runtime.weights import decode_arrays, encode_arrays
from recurra.spec import Network
from runtime.streaming import model_of, plain_signal, words

SMALL = ("bfloat16", "int8")
CELLS = ("lstm", "gru", "rnn", "rnn_relu")
matrices = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.floats(-1e6, 1e6, width=32),
)


def net(cell="lstm", **options):
    return Network(**{"cell": cell, "hidden_size": 9, "num_layers": 2, **options})


def payload(arrays, **options):
    made = encode_arrays(arrays, **options)
    parts = []

    class Sink:
        def write(self, data):
            parts.append(bytes(data))

    made.write(Sink())
    joined = b"".join(parts)
    assert len(joined) == made.size
    return joined


# ---- rounding ----------------------------------------------------------------------------------------------------


@given(matrices)
def test_int8_is_a_fixed_point_so_that_storing_again_changes_no_bit(matrix):
    whole, scale = bits.to_int8(matrix)
    once = bits.from_int8(whole, scale)
    again, same = bits.to_int8(once)
    np.testing.assert_array_equal(again, whole)
    np.testing.assert_array_equal(same, scale)
    np.testing.assert_array_equal(once.astype(np.float64), whole.astype(np.float64) * scale[:, None])


@given(matrices)
def test_int8_is_off_by_half_a_scale_at_most(matrix):
    whole, scale = bits.to_int8(matrix)
    most = np.abs(matrix).max(axis=1).astype(np.float64)
    off = np.abs(bits.from_int8(whole, scale).astype(np.float64) - matrix)
    assert np.all(off <= 0.5001 * (most / 127)[:, None] + 1e-30)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_bfloat16_is_the_nearest_number_of_eight_bits(value):
    given_ = np.array([[value]], np.float32)
    found = bits.to_bfloat16(given_)
    assert not np.any(found.view(np.uint32) & 0xFFFF)
    if np.isfinite(found[0, 0]):
        step = np.spacing(np.abs(given_).astype(np.float32)) * 2.0**15
        assert abs(float(found[0, 0]) - float(given_[0, 0])) <= 1.0001 * float(step[0, 0])
        np.testing.assert_array_equal(bits.to_bfloat16(found), found)


def test_bfloat16_rounds_ties_to_even_and_keeps_nan():
    ties = np.array([[0x3F808000, 0x3F818000, 0x7FC00001]], np.uint32).view(np.float32)
    found = bits.to_bfloat16(ties).view(np.uint32)[0]
    assert [hex(n) for n in found[:2]] == ["0x3f800000", "0x3f820000"]
    assert np.isnan(found[2:].view(np.float32)).all()


def test_bfloat16_stands_in_two_bytes_and_is_read_as_the_same_float32():
    matrix = bits.to_bfloat16(np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32))
    bias = np.arange(3, dtype=np.float32) / 3
    content = payload({"m": matrix, "b": bias}, bfloat16=["m"])
    assert len(content) < 5 * 7 * 2 + 3 * 4 + 180
    found = decode_arrays(content, "file")
    np.testing.assert_array_equal(found["m"], matrix)
    np.testing.assert_array_equal(found["b"], bias)
    assert not found["m"].flags.writeable


def test_what_bfloat16_cannot_hold_is_refused_when_it_is_written():
    with pytest.raises(DataError, match="must be float32 numbers that bfloat16 can hold"):
        encode_arrays({"m": np.array([[1 / 3]], np.float32)}, bfloat16=["m"])


# ---- the model ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", SMALL)
@pytest.mark.parametrize("cell", CELLS)
def test_a_stored_model_answers_as_the_one_in_memory_to_the_last_bit(cell, precision, tmp_path):
    small = quantized(predictor(net(cell, bidirectional=cell == "gru")), precision)
    loaded = load_predictor(save_quantized(small, tmp_path / "m"))
    assert loaded.precision == precision
    np.testing.assert_array_equal(loaded.outputs(TEXTS), small.outputs(TEXTS))
    again = load_predictor(save_quantized(loaded, tmp_path / "again"))
    assert again.model_id == loaded.model_id or again.config["scores"] != loaded.config["scores"]
    for name, array in loaded.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], array)


def test_bfloat16_runs_the_bfloat16_kernels_and_stays_near_float32():
    small = quantized(predictor(net()), "bfloat16")
    plain = dataclasses.replace(small, precision="float32")
    difference = np.abs(small.outputs(TEXTS) - plain.outputs(TEXTS)).max()
    assert 0 < difference < 0.02


def test_int8_runs_the_int8_kernels_with_the_stored_integers():
    small = quantized(predictor(net("gru")), "int8")
    recur = next(node for node in small.model.nodes if node.name == "recur")
    place = next(iter(recur.places()))
    weights = recur.weights(small.parameters, place)
    if numpy_native.engines.native() is not None:
        assert numpy_native.packed(weights).precision == "int8"
    plain = dataclasses.replace(small, precision="float32")
    assert np.abs(small.outputs(TEXTS) - plain.outputs(TEXTS)).max() > 0


@pytest.mark.parametrize("precision", SMALL)
@pytest.mark.parametrize("cell", CELLS)
def test_alone_in_a_batch_and_streamed_are_the_same_bits(cell, precision):
    model = quantized(model_of(plain_signal(), "mean", cell=cell), precision)
    batch = sequences(5)
    whole = model.outputs(batch)
    for row, sequence in enumerate(batch):
        np.testing.assert_array_equal(model.outputs([sequence])[0], whole[row])
        stream = model.stream()
        for step in sequence:
            stream.push(step)
        np.testing.assert_array_equal(stream.outputs(), whole[row])


@pytest.mark.parametrize(("precision", "bound"), [("bfloat16", 0.53), ("int8", 0.29)])
def test_the_weights_on_disk_are_a_half_and_a_quarter(precision, bound, tmp_path):
    model = predictor(net(hidden_size=96, embedding_size=64))
    sizes = [
        (save_quantized(quantized(model, name), tmp_path / name) / "model.safetensors").stat().st_size
        for name in ("float32", precision)
    ]
    assert sizes[1] < bound * sizes[0]
    assert loaded_bytes(tmp_path / precision) < loaded_bytes(tmp_path / "float32")


@pytest.mark.parametrize("options", [{"layer_norm": True}, {"zoneout": 0.1}])
@pytest.mark.parametrize("precision", SMALL)
def test_cells_without_such_kernels_run_in_float32_on_the_rounded_weights(options, precision, tmp_path):
    small = quantized(predictor(net(**options)), precision)
    plain = dataclasses.replace(small, precision="float32")
    np.testing.assert_array_equal(small.outputs(TEXTS), plain.outputs(TEXTS))
    loaded = load_predictor(save_quantized(small, tmp_path / "m"))
    np.testing.assert_array_equal(loaded.outputs(TEXTS), small.outputs(TEXTS))


def test_the_states_of_a_stream_do_not_pass_between_precisions():
    model = model_of(plain_signal())
    stream, other = quantized(model, "int8").stream(), quantized(model, "bfloat16").stream()
    stream.push([1.0, 2.0, 3.0])
    with pytest.raises(Exception, match="another model"):
        other.restore(stream.state)


def test_scores_of_the_float32_model_are_named_so_and_the_card_tells(tmp_path):
    save_predictor(predictor(net()), tmp_path / "m", training={}, scores={"test": {"accuracy": 0.9}}, data={})
    folder = save_quantized(quantized(load_predictor(tmp_path / "m"), "int8"), tmp_path / "small")
    assert load_predictor(folder).config["scores"] == {"test before rounding to int8": {"accuracy": 0.9}}
    assert "stored in int8" in (folder / "README.md").read_text()


def test_a_promise_of_coverage_is_left_behind():
    model = predictor(net())
    model.config = {**model.config, "conformal": {"coverage": 0.9}}
    assert "conformal" not in quantized(model, "int8").config


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: quantized(predictor(net()), "int4"), "precision must be one of float32, bfloat16, int8"),
        (lambda: quantized(predictor(net()), "bfloat"), "did you mean 'bfloat16'"),
        (lambda: quantized(quantized(predictor(net()), "int8"), "bfloat16"), "stored in int8 already"),
        (lambda: compare_precisions(predictor(net()), TEXTS, None), "targets must be given"),
        (
            lambda: compare_precisions(predictor(net()), TEXTS, list("abcabc"), max_loss=-1),
            "max_loss must be",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(make, message):
    with pytest.raises((SpecError, DataError), match=message):
        make()


def test_weights_that_are_not_finite_are_not_quantized():
    model = predictor(net())
    name = "recur.weight_hh_l0"
    model.parameters = {**model.parameters, name: np.full_like(model.parameters[name], np.inf)}
    with pytest.raises(SpecError, match="weights must be finite"):
        quantized(model, "int8")


def test_scales_that_cannot_be_are_refused_on_loading():
    arrays = {"m": np.ones((2, 2), np.int8), "m.scale": np.array([1, np.nan], np.float32)}
    with pytest.raises(CorruptBundleError, match="scales of 'm' must be finite"):
        bits.read_parameters(arrays, "int8", "file")


def test_the_workshop_takes_the_float32_model_only(tmp_path):
    pytest.importorskip("torch")
    from recurra import Classifier

    folder = save_quantized(quantized(predictor(net()), "int8"), tmp_path / "small")
    with pytest.raises(InputError, match="holds int8 weights"):
        Classifier.load(folder)


@pytest.mark.parametrize(("precision", "allowed"), [("bfloat16", 0.02), ("int8", 0.05)])
def test_verify_holds_smaller_models_to_the_same_bits_and_to_a_stated_tolerance(precision, allowed, tmp_path):
    model = load_predictor(save_quantized(quantized(model_of(words(), "mean"), precision), tmp_path / "m"))
    checks = {check.name: check for check in verify(model).checks}
    assert all(check.passed for check in checks.values()), checks
    assert checks["streamed = batch"].tolerance == 0
    assert {check.tolerance for name, check in checks.items() if "double" in name} <= {allowed}


# ---- which one to ship -------------------------------------------------------------------------------------------


def row(precision, **changes):
    values = {
        "score": 0.9,
        "loss": 0.0,
        "agreement": 1.0,
        "megabytes": 4.0,
        "ms_per_sequence": 1.0,
        "step_us": 20.0,
    }
    return Measured(precision=precision, **{**values, **changes})


BASE = row("float32")
GOOD = row("int8", megabytes=1.0, ms_per_sequence=0.5, step_us=10.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": 0.02}, "loses 0.0200 of the score"),
        ({"loss": float("nan")}, "loses nan"),
        ({"ms_per_sequence": 1.2}, "slower over batches"),
        ({"step_us": 30.0}, "slower in a stream"),
    ],
)
def test_a_precision_that_loses_or_is_slower_is_named_so_and_never_recommended(changes, said):
    bad = judge(dataclasses.replace(GOOD, **changes), BASE, 0.01)
    assert not bad.acceptable
    assert said in bad.verdict
    assert recommend([judge(BASE, BASE, 0.01), bad])[0] == "float32"


def test_the_quickest_is_recommended_and_of_equally_quick_ones_the_smaller():
    half = row("bfloat16", megabytes=2.0)
    rows = [judge(each, BASE, 0.01) for each in (BASE, half, GOOD)]
    assert recommend(rows)[0] == "int8"
    equal = dataclasses.replace(GOOD, ms_per_sequence=1.0, step_us=20.0)
    assert recommend([judge(each, BASE, 0.01) for each in (BASE, half, equal)])[0] == "int8"
    slow = dataclasses.replace(GOOD, ms_per_sequence=2.0)
    assert recommend([judge(each, BASE, 0.01) for each in (BASE, half, slow)])[0] == "bfloat16"


def test_all_precisions_are_measured_on_the_data():
    model = model_of(plain_signal(), "mean", hidden_size=48)
    data = sequences(5)
    found = compare_precisions(model, data, list("abcabc"), seconds=0.2)
    assert [each.precision for each in found.rows] == ["float32", "bfloat16", "int8"]
    assert found.row("float32").score == model.score(data, list("abcabc"))
    assert found.row("float32").agreement == 1.0
    assert found.row("int8").megabytes < found.row("bfloat16").megabytes < found.row("float32").megabytes
    assert all(each.ms_per_sequence > 0 and each.step_us > 0 for each in found.rows)
    assert found.recommended in ("float32", "bfloat16", "int8")
    assert found.row(found.recommended).acceptable
    assert found.sequences == len(data)


def test_a_bidirectional_model_has_no_step_and_a_regressor_no_agreement():
    model = model_of(words(), task="regressor", bidirectional=True)
    found = compare_precisions(model, TEXTS, [1.0, 2.0, 4.0, 3.0, 6.0, 5.0], seconds=0.1)
    assert {each.step_us for each in found.rows} == {None}
    assert {each.agreement for each in found.rows} == {None}
