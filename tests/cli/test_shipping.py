"""The second half of the demo: what it stores, what it finds, what it says of a model that is not verified."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import pytest

from contracts.models import LABELS, TEXTS
from recurra.cli import shipping
from recurra.cli.output import finite
from recurra.data.dataset import Dataset
from recurra.runtime.store import load_predictor, save_predictor
from runtime.bench_saboteurs import briefly
from runtime.quick_bench import few_and_short, without_programs, without_starts
from runtime.streaming import model_of, words
from shared import require


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    require("onnxruntime", find_spec("onnxruntime") is not None, "pip install 'recurra[onnx]'")
    folder = tmp_path_factory.mktemp("demo") / "m"
    save_predictor(model_of(words(), "mean", hidden_size=32), folder, training={}, scores={}, data={})
    texts = [text for text in TEXTS if text]
    labels = [label for text, label in zip(TEXTS, LABELS, strict=True) if text]
    brief = mock.patch.object(shipping, "SECONDS", 0.0)
    with briefly(), few_and_short(), without_starts(), without_programs(), brief:
        return shipping.ship(folder, Dataset(inputs=texts, targets=labels))


def test_everything_that_was_found_is_json_and_what_was_written_loads(shipped):
    told = json.loads(json.dumps(finite(shipped)))
    assert set(told) == {"optimized", "exported", "verified", "bench"}
    assert told["verified"]["passed"]
    assert (Path(told["exported"]["folder"]) / "batch.onnx").exists()
    if told["optimized"]["written"]:
        assert load_predictor(told["optimized"]["written"]).precision == told["optimized"]["recommended"]
    assert {row["engine"] for row in told["bench"]["rows"]} >= {"recurra", "onnxruntime"}


def test_it_is_told_in_a_few_lines(shipped):
    lines = list(shipping.shipped_lines(shipped))
    assert len(lines) <= 6
    assert "all pass" in " ".join(lines)


def test_a_model_that_is_not_verified_is_said_to_be_so(shipped):
    torn = {**shipped, "verified": {**shipped["verified"], "passed": False}}
    assert "NOT ALL PASS" in " ".join(shipping.shipped_lines(torn))
