"""A fresh process that loads a stored model and answers: what it must not load, and what it may cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from recurra.runtime.quantize import quantized, save_quantized
from runtime.streaming import model_of, words

HEAVY = (
    "torch", "pandas", "polars", "scipy", "sklearn", "matplotlib", "onnx", "onnxruntime", "typer", "rich", "fastapi",
    "numpy.random", "difflib", "recurra.data.reading", "recurra.data.events", "recurra.runtime.verify",
    "recurra.runtime.export", "recurra.runtime.bench", "recurra.runtime.quantize", "recurra.metrics",
)  # fmt: skip
"""What only other work needs. `numpy.random` alone takes 10 ms."""

MILLISECONDS, MEGABYTES = 2000, 150
"""Ten times what a start takes where the machine is idle, and half as much again as the memory."""

PROGRAM = """
import json, sys, time
begin = time.perf_counter()
{before}
import recurra
model = recurra.load(sys.argv[1])
model.predict(["one two three"])
stream = model.stream()
stream.push("one")
stream.result()
took = (time.perf_counter() - begin) * 1e3
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(json.dumps({{"modules": sorted(sys.modules), "ms": took, "mb": peak * 1024 / 1e6}}))
"""


def started(folder, before=""):
    program = PROGRAM.format(before=before)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    return json.loads(done.stdout)


def heavy_in(told):
    return [name for name in HEAVY if name in told["modules"]]


@pytest.fixture(scope="module", params=["float32", "int8"])
def bundle(request, tmp_path_factory):
    model = model_of(words(), "max", hidden_size=128)
    return save_quantized(quantized(model, request.param), tmp_path_factory.mktemp("start") / "m")


def test_loading_predicting_and_streaming_load_nothing_that_other_work_needs(bundle):
    assert heavy_in(started(bundle)) == []


def test_the_check_sees_a_module_that_is_loaded_needlessly(bundle):
    assert heavy_in(started(bundle, before="import numpy.random, difflib")) == ["numpy.random", "difflib"]


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is read from /proc")
def test_a_start_stays_within_its_budget(bundle):
    starts = [started(bundle) for _ in range(3)]
    assert min(told["ms"] for told in starts) < MILLISECONDS
    assert max(told["mb"] for told in starts) < MEGABYTES
