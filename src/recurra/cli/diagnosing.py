"""What the verbs that train say about the training itself, where `--diagnose` asked for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from recurra.cli.output import say
from recurra.errors import DivergedError


def diagnosis_of(model: Any) -> Any:
    """The `Diagnosis` of a training that was measured; else None."""
    from recurra.insight.diagnosis import diagnose

    return diagnose(model) if model.history_.probes else None


def diagnosis_lines(record: Mapping[str, Any]) -> list[str]:
    """What a person reads of the diagnosis in the record of a verb."""
    if "diagnosis" not in record:
        return []
    found = record["diagnosis"]["findings"]
    lines = [f"{finding['level']}: {finding['words']} {finding['advice']}" for finding in found]
    return lines or ["diagnosis: nothing stands out, the training looks healthy"]


@contextmanager
def explaining_divergence(model: Any) -> Iterator[None]:
    """Say what was measured of a training that breaks off within."""
    try:
        yield
    except DivergedError as error:
        from recurra.insight.diagnosis import diagnose

        if error.fitted is not None and error.fitted.history.probes:
            for finding in diagnose(error.fitted, model.training_).findings:
                say(str(finding))
        raise
