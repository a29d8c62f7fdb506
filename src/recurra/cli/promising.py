"""`--conformal` and `--max-error`: rows set aside, and the promise that is calibrated on them after training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from recurra.cli.output import say
from recurra.data.dataset import Dataset
from recurra.data.splits import split_dataset
from recurra.errors import SpecError


def check_promise(coverage: float | None, max_error: float | None, task: str) -> None:
    """Refuse what can promise nothing, before anything is trained."""
    if coverage is not None and not 0 < coverage < 1:
        raise SpecError(f"--conformal must lie between 0 and 1, such as 0.9, got {coverage:g}")
    if max_error is not None and coverage is None:
        raise SpecError("--max-error has no effect without --conformal; give for example --conformal 0.9")
    if max_error is not None and task != "classifier":
        raise SpecError(f"--max-error has no effect on a {task}, which abstains from nothing; leave it out")
    if max_error is not None and not 0 < max_error < 1:
        raise SpecError(f"--max-error must lie between 0 and 1, such as 0.05, got {max_error:g}")


def set_aside(parts: Mapping[str, Dataset], chosen: Mapping[str, Any]) -> tuple[dict[str, Dataset], Dataset]:
    """Cut half of the validation rows off for calibration: by group, by time or by class, as the parts were made."""
    held = replace(parts["validation"], split=None)
    halves = split_dataset(
        held,
        (0.5, 0.5, 0.0),
        int(chosen.get("split_seed", 0)),
        group=chosen.get("group"),
        time=chosen.get("order"),
        gap=float(chosen.get("gap", 0.0)),
    )
    return {**parts, "validation": held.select(halves.train)}, held.select(halves.validation)


def calibrate(model: Any, rows: Dataset, coverage: float, max_error: float | None) -> None:
    """Calibrate a fitted model, and say what it rests on."""
    options = {} if max_error is None else {"max_error": max_error}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.conformal(rows, coverage=coverage, **options)
    for warning in caught:
        say(f"warning: {warning.message}")
    say(f"coverage {coverage:g} calibrated on {len(rows):,} rows that were neither trained nor chosen on")
