"""What is left after `fit` of a model that foretells its own input: the bundle, and the record of the run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recurra.cli.diagnosing import diagnosis_lines, diagnosis_of


def kept(
    model: Any,
    output: Path,
    scores: Mapping[str, Any],
    reading: Mapping[str, Any],
    *,
    checkpoints: Path,
    seconds: float,
) -> dict[str, Any]:
    """Save the bundle with its history, drop the checkpoints; returns the record that `--json` prints.

    scores: by part of the data, "validation" and perhaps "test".
    """
    history = checkpoints / "history.jsonl"
    extras = {"history.jsonl": history.read_bytes()} if history.is_file() else {}
    path = model.save(output, scores=scores, data={"reading": dict(reading)}, extras=extras)
    shutil.rmtree(checkpoints, ignore_errors=True)
    diagnosis = diagnosis_of(model)
    return {
        "model": str(path),
        "task": model.task,
        "scores": scores.get("test", scores["validation"]),
        "validation": scores["validation"],
        "seconds": round(seconds, 3),
        "epochs": len(model.history_.epochs),
        "best_epoch": model.fitted_.best_epoch,
        "stopped_by": model.fitted_.stopped_by,
        "notes": list(model.notes_),
        **({} if diagnosis is None else {"diagnosis": diagnosis.to_dict()}),
    }


def tell(record: Mapping[str, Any]) -> None:
    """What a person reads after training."""
    print("test: " + ", ".join(f"{name} {value:.4f}" for name, value in _numbers(record["scores"])))
    print(f"{record['epochs']} epochs in {record['seconds']:.1f} s, best epoch {record['best_epoch']}")
    for line in diagnosis_lines(record):
        print(line)
    print(f"model:  {record['model']}")


def tell_scores(scores: Mapping[str, Any]) -> None:
    """One score per line."""
    for name, value in _numbers(scores):
        print(f"{name:<28}{value:.4f}")


def _numbers(scores: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [(name, value) for name, value in scores.items() if isinstance(value, float)]
