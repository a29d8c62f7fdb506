"""The diagnosis of a training as items of a section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recurra.report.figures.diagnosis import evidence_figures
from recurra.report.items import Item, Table, Text


def diagnosis_items(diagnosis: Mapping[str, Any] | None) -> list[Item]:
    """Return each finding with its evidence, then the measures and the other drawings.

    diagnosis: {findings [{name, level, words, advice, figure}], measures, drawn}, see `insight.diagnosis`.
    """
    if not diagnosis:
        return []
    figures = evidence_figures(diagnosis.get("drawn") or {})
    items: list[Item] = []
    for finding in diagnosis["findings"]:
        items.append(
            Text(
                body=f"{finding['level'].capitalize()}: {finding['name']}. {finding['words']}", tone="verdict"
            )
        )
        items.append(Text(body=finding["advice"]))
        figure = figures.pop(finding["figure"], None)
        if figure is not None:
            items.append(figure)
    if not items:
        items.append(Text(body="Nothing stands out: the training looks healthy.", tone="verdict"))
    items.append(_measures(diagnosis["measures"]))
    # The loss has its drawing among those of the training.
    items += [figure for name, figure in figures.items() if figure is not None and name != "loss"]
    return items


def _measures(measures: Mapping[str, Any]) -> Table:
    layers = dict.fromkeys((*measures["spectral_radius"], *measures["dead_units"], *measures["memory"]))
    rows = [
        [
            name,
            _memory(measures["memory"], name),
            measures["mean_lag"].get(name),
            measures["spectral_radius"].get(name),
            measures["dead_units"].get(name),
        ]
        for name in layers
    ]
    columns = ["Layer", "Memory in steps", "Mean lag", "Spectral radius", "Dead units"]
    return Table(columns=columns, rows=rows, caption="Measured over the later half of the training")


def _memory(memory: Mapping[str, Any], name: str) -> Any:
    if name not in memory:
        return None
    return "to the start" if memory[name] is None else memory[name]
