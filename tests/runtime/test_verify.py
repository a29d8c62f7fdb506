"""`verify`: passes on every cell and task, fails where a promise is broken, and says what it left out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import numpy as np
import pytest

from contracts import saboteurs
from recurra.errors import CorruptBundleError, DataError
from recurra.kernels import engines, numpy_native
from recurra.runtime import torch_parity
from recurra.runtime.kept import ANSWERS
from recurra.runtime.sample import MADE_LENGTHS, made_sample, pieces_of
from recurra.runtime.store import load_predictor, save_predictor
from recurra.runtime.verify import TOLERANCE, Verification, bit_difference, card_lines, distance, verify
from recurra.spec import CELLS
from recurra.storage import open_folder
from recurra.storage.manifest import Entry, Manifest
from runtime import export_models, streaming
from runtime.streaming import events, gappy_signal, model_of, numbers, plain_signal, timed_signal, words

AS_SAVED = "now = when it was saved"
ALONE = {"alone = batch", "in pairs = batch", "permuted = batch"}
STREAMED = {"streamed = batch", "streamed, every step = batch", "resumed from a state = batch"}
KEYED = {"interleaved by key = batch"}
THREADS = {f"threads {n} = batch" for n in (1, 2, 3)}
REFERENCE, TORCH, ONNX = (
    "native = reference in double precision",
    "recurra = torch.nn",
    "recurra = ONNX Runtime",
)

pytestmark = pytest.mark.skipif(engines.native() is None, reason="the native kernels were not built")


def failed(result: Verification) -> set[str]:
    return {check.name for check in result.checks if not check.passed}


def names(result: Verification) -> set[str]:
    return {check.name for check in result.checks}


MODELS = [
    pytest.param(cell, task, both, id=f"{cell}-{task}-{'both' if both else 'one'}")
    for place, cell in enumerate(CELLS)
    for task, both in (("classifier", bool(place % 2)), ("regressor", not place % 2))
]


@pytest.mark.parametrize(("cell", "task", "both"), MODELS)
def test_every_cell_and_task_keeps_every_promise(cell, task, both):
    pooling = ("last", "mean", "max", "attention")[CELLS.index(cell) % 4]
    encoder = words() if both else gappy_signal(missing="impute")
    model = model_of(encoder, pooling, task=task, cell=cell, bidirectional=both, static=task == "regressor")
    result = verify(model)
    assert not failed(result)
    assert result.passed
    expected = ALONE | STREAMED | KEYED | THREADS | {REFERENCE, TORCH}
    assert names(result) >= expected
    for check in result.checks:
        assert check.tolerance == (TOLERANCE if check.name in (REFERENCE, TORCH, ONNX) else 0.0)
        assert np.isfinite(check.difference)


@pytest.mark.parametrize("options", [{"layer_norm": True}, {"zoneout": 0.1}, {"cell_clip": 0.5}], ids=str)
def test_what_torch_lacks_is_said_and_the_rest_is_verified(options):
    result = verify(model_of(events(), "mean", initial_state="learnt", **options))
    assert result.passed
    assert TORCH not in names(result)
    assert any(f"torch.nn has no {next(iter(options))}" in note for note in result.notes)


def test_times_and_ids_beside_numbers_are_verified_too():
    for encoder in (timed_signal(), events()):
        result = verify(model_of(encoder, "attention", cell="gru", num_layers=1))
        assert result.passed
        assert names(result) >= STREAMED


def _blas_that_knows_its_batch() -> AbstractContextManager[Any]:
    return saboteurs.multiplies_with_blas()


def _threads_matter() -> AbstractContextManager[Any]:
    """An operator whose answer changes with the number of threads."""
    honest = numpy_native.soft

    def soft(kind: str, x: Any) -> Any:
        more = np.float32(1e-6) * np.float32(engines.get_num_threads() == 3)
        return honest(kind, x + more * np.arange(x.shape[-1], dtype=x.dtype))

    return mock.patch.object(numpy_native, "soft", soft)


def _another_activation() -> AbstractContextManager[Any]:
    """A native operator that computes something near what it should, and always the same."""
    honest = numpy_native.recur

    def recur(*arguments: Any) -> Any:
        found = honest(*arguments)
        return dataclasses.replace(found, y=found.y * np.float32(1.001), h=found.h * np.float32(1.001))

    return mock.patch.object(numpy_native, "recur", recur)


def _torch_reads_other_weights() -> AbstractContextManager[Any]:
    honest = torch_parity._tensor

    def tensor(predictor: Any, name: str) -> Any:
        return honest(predictor, name) * (1.01 if "weight_hh" in name else 1.0)

    return mock.patch.object(torch_parity, "_tensor", tensor)


BROKEN = [
    (saboteurs.reads_a_neighbour, {"alone = batch", "permuted = batch"}),
    (saboteurs.drops_the_lengths, {"alone = batch", "in pairs = batch"}),
    (_blas_that_knows_its_batch, {"alone = batch", "in pairs = batch"}),
    (saboteurs.answers_in_another_order, {"permuted = batch"}),
    (streaming.drops_a_step, STREAMED),
    (streaming.shares_a_row, KEYED),
    (_threads_matter, {"threads 3 = batch"}),
    (_another_activation, {REFERENCE, TORCH}),
    (_torch_reads_other_weights, {TORCH}),
    (export_models.lengths_dropped, {ONNX}),
    (export_models.gates_in_our_order, {ONNX}),
    (export_models.states_not_handed_on, {ONNX}),
]


@pytest.mark.parametrize(("saboteur", "noticed"), BROKEN, ids=lambda each: getattr(each, "__name__", ""))
def test_every_broken_promise_is_noticed_by_its_own_check(saboteur, noticed):
    if ONNX in noticed:
        pytest.importorskip("onnxruntime")
    model = model_of(plain_signal(), "mean")
    with saboteur():
        result = verify(model_of(plain_signal(), "mean"))
    assert failed(result) >= noticed
    assert not result.passed
    assert verify(model).passed


def test_the_users_own_sequences_are_tried_the_shortest_and_the_longest_among_them():
    data = [numbers(length, length) for length in [9] * 60 + [0, 200]]
    result = verify(model_of(plain_signal(), "max"), data)
    assert result.passed
    assert not result.made
    assert 2 <= result.rows <= 48
    with pytest.raises(DataError, match="at least one sequence"):
        verify(model_of(plain_signal(), "max"), [])


def test_sequences_too_long_to_stream_are_left_out_and_said():
    result = verify(model_of(plain_signal(), hidden_size=3, num_layers=1), [numbers(2001)])
    assert result.passed
    assert not names(result) & STREAMED
    assert any("longer than 2000 steps" in note for note in result.notes)


def test_without_the_native_kernels_what_remains_is_verified():
    with engines.reference_engine():
        result = verify(model_of(plain_signal(), "mean", hidden_size=3, num_layers=1))
    assert result.passed
    assert REFERENCE not in names(result)
    assert sum("were not built" in note for note in result.notes) == 2


def saved(model: Any, path: Any) -> Any:
    save_predictor(model, path, training={}, scores={}, data={})
    return load_predictor(path)


KINDS = [words, plain_signal, lambda: gappy_signal(missing="impute"), timed_signal, events]


@pytest.mark.parametrize("encoder", KINDS, ids=["words", "signal", "gappy", "timed", "events"])
def test_a_loaded_model_answers_as_it_did_when_it_was_saved(encoder, tmp_path):
    result = verify(saved(model_of(encoder(), "mean", static=True), tmp_path / "model"))
    assert result.passed
    assert AS_SAVED in names(result)


def forged(path: Any, file: str, change: Any) -> None:
    """Change a file of a bundle and make every hash fit, as somebody does who knows the format."""
    data = change((path / file).read_bytes())
    (path / file).write_bytes(data)
    with_manifest(path, {file: Entry(size=len(data), sha256=hashlib.sha256(data).hexdigest())})


def with_manifest(path: Any, changed: Any, without: str = "") -> None:
    with open_folder(path) as folder:
        entries, meta = {**folder.manifest.entries, **changed}, folder.meta
    entries.pop(without, None)
    (path / "manifest.json").write_bytes(Manifest(entries=entries, meta=meta).encode())


def _last_weight(data: bytes) -> bytes:
    return data[:-4] + np.frombuffer(data[-4:], np.float32).__add__(np.float32(0.01)).tobytes()


def _other_scale(data: bytes) -> bytes:
    text = json.loads(data)
    text["features"]["scale"][0] *= 1.5
    return json.dumps(text).encode()


FORGERIES = [("model.safetensors", _last_weight), ("encoder.json", _other_scale)]


@pytest.mark.parametrize(("file", "change"), FORGERIES, ids=[file for file, _ in FORGERIES])
def test_a_bundle_with_forged_hashes_loads_but_is_not_verified(file, change, tmp_path):
    path = tmp_path / "model"
    saved(model_of(plain_signal(), "mean"), path)
    forged(path, file, change)
    result = verify(load_predictor(path))
    assert failed(result) == {AS_SAVED}


def test_answers_of_another_version_are_compared_within_the_tolerance(tmp_path):
    path = tmp_path / "model"
    saved(model_of(words()), path)

    def older(data: bytes) -> bytes:
        record = json.loads(data)
        record["recurra"] = "0.0.1"
        record["outputs"][0][0] += 1e-7
        return json.dumps(record).encode()

    forged(path, ANSWERS, older)
    result = verify(load_predictor(path))
    assert result.passed
    (check,) = [check for check in result.checks if check.name == AS_SAVED]
    assert check.tolerance == TOLERANCE
    assert any("saved by version 0.0.1" in note for note in result.notes)


def test_a_bundle_without_answers_is_verified_all_the_same_and_an_unreadable_one_is_refused(tmp_path):
    path = tmp_path / "model"
    saved(model_of(words()), path)
    forged(path, ANSWERS, lambda data: b'{"outputs": 3}')
    with pytest.raises(CorruptBundleError, match=r"answers\.json does not hold"):
        verify(load_predictor(path))
    with_manifest(path, {}, without=ANSWERS)
    result = verify(load_predictor(path))
    assert result.passed
    assert any("holds no answers.json" in note for note in result.notes)


def test_verifying_leaves_threads_and_instruction_set_as_they_were():
    before = engines.engine()
    verify(model_of(plain_signal(), hidden_size=3, num_layers=1))
    assert engines.engine() == before


def test_made_sequences_hold_unknown_words_missing_numbers_and_lengths_0_and_1():
    texts = made_sample(model_of(words())).inputs
    assert any("☃" in text for text in texts)
    signals = made_sample(model_of(gappy_signal(missing="impute"))).inputs
    assert np.isnan(signals.values).any()
    assert tuple(signals.lengths) == MADE_LENGTHS
    model = model_of(words())
    for row, text in enumerate(texts):
        assert " ".join(pieces_of(model.encoder, texts, row)).split() == text.split()


def test_the_record_is_what_the_command_line_promises():
    result = verify(model_of(plain_signal(), hidden_size=3, num_layers=1))
    record = json.loads(result.to_json())
    assert record["passed"] is True
    assert set(record["checks"][0]) == {"name", "passed", "difference", "tolerance"}
    assert record["tried"]["sequences"] == result.rows
    table = card_lines(record)
    assert len(table) == 2 + len(result.checks)
    assert "| alone = batch | yes | none | none |" in table


def test_differences_see_single_bits_and_missing_numbers():
    one = np.array([[1.0, 0.0]], np.float32)
    assert bit_difference(one, one.copy()) == 0.0
    assert 0 < bit_difference(np.array([[1.0, -0.0]], np.float32), one) < 1e-40
    assert bit_difference(one.astype(np.float64), one) == float("inf")
    assert distance(np.array([np.nan]), np.array([1.0])) == float("inf")
    assert distance(np.array([np.nan]), np.array([np.nan])) == 0.0
    assert distance(np.array([200.0]), np.array([100.0])) == 1.0
