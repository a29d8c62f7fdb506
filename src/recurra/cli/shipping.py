"""The second half of the demo: the winner in fewer bits, as ONNX graphs, verified, measured beside other engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from recurra.cli.output import say
from recurra.errors import MissingExtraError

SECONDS = 6.0
"""What the measurement may take, about."""

ENGINES = "recurra,onnxruntime"
"""Who is measured: starting PyTorch several times would take longer than all of it; `recurra bench` does."""

SCORED = 500
"""Sequences that the precisions are scored on."""


def ship(folder: Path, test: Any) -> dict[str, Any]:
    """Optimise, export, verify and measure a stored model; everything it found, as plain values."""
    from recurra.runtime import load

    model = load(folder)
    rows = np.arange(min(len(test), SCORED))
    say("the winner in fewer bits, as ONNX, verified and measured")
    return {
        "optimized": _optimized(model, folder, test.select(rows)),
        "exported": _exported(model, folder),
        "verified": _verified(model, test.select(rows)),
        "bench": _measured(model, test.select(rows)),
    }


def _optimized(model: Any, folder: Path, test: Any) -> dict[str, Any]:
    """All precisions measured; the recommended one is stored beside the model."""
    from recurra.runtime.quantize import compare_precisions, quantized, save_quantized

    found = compare_precisions(model, test.inputs, test.targets, test.static, seconds=2.0)
    written = None
    if found.recommended != model.precision:
        written = str(save_quantized(quantized(model, found.recommended), f"{folder}-{found.recommended}"))
    return {**found.to_record(), "written": written}


def _exported(model: Any, folder: Path) -> dict[str, Any] | None:
    """The ONNX graphs, stored beside the model; None where ONNX is not installed."""
    from recurra.runtime.export import export_onnx

    try:
        done = export_onnx(model, f"{folder}-onnx")
    except MissingExtraError as error:
        say(str(error))
        return None
    return {"folder": str(done.folder), "difference": done.difference, "step": done.step is not None}


def _verified(model: Any, test: Any) -> dict[str, Any]:
    from recurra.runtime.verify import verify

    record: dict[str, Any] = verify(model, test.inputs, test.static).to_record()
    return record


def _measured(model: Any, test: Any) -> dict[str, Any]:
    from recurra.runtime.bench import models

    outcome = models.bench_model(model, test.inputs, test.static, seconds=SECONDS, only=[ENGINES])
    return models.to_json(outcome, models.winner(outcome, "latency"))


def shipped_lines(found: dict[str, Any]) -> Iterator[str]:
    """What was found, a line each."""
    optimized, exported, verified, bench = (
        found[name] for name in ("optimized", "exported", "verified", "bench")
    )
    where = f" ({optimized['written']})" if optimized["written"] else ""
    yield f"fewer bits   ship {optimized['recommended']}{where}: {optimized['reason']}"
    if exported is not None:
        yield f"ONNX         {exported['folder']}, off by {exported['difference']:.1e} at most"
    checks = verified["checks"]
    exact = sum(check["tolerance"] == 0 for check in checks)
    passed = "all pass" if verified["passed"] else "NOT ALL PASS: recurra verify tells which"
    yield f"verified     {len(checks)} checks, {exact} of them to the last bit: {passed}"
    winner = bench["winner"]
    yield f"one by one   {winner['engine']} {winner['precision']} wins: {winner['reason']}"
    yield f"cold start   {', '.join(_starts(bench['rows']))}"


def _starts(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Milliseconds and memory of a fresh process, by engine in float32."""
    for row in rows:
        if row["batch"] == 1 and row["precision"] == "float32" and row["cold_start_ms"] is not None:
            yield f"{row['engine']} {row['cold_start_ms']:.0f} ms and {row['rss_mb']:.0f} MB"
