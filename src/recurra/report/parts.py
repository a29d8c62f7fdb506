"""The parts of a page: what a record says about data, training, results and errors, as items of a section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recurra.ragged import Array
from recurra.report import figures
from recurra.report.figure import Figure
from recurra.report.figures.confusion import confused_pairs
from recurra.report.items import Cell, Item, KeyValues, Table, Text
from recurra.report.wording import (
    finite,
    is_number,
    listing,
    one_line,
    show_number,
    show_seconds,
    show_share,
    title_of,
)

Record = Mapping[str, Any]

_REGRESSORS = ("regressor", "forecaster")
_TEXT_LIMIT = 600
_MOST_ERRORS = 200
_MOST_PAIRS = 30
_CONFIDENCE = {
    "mean_right": "Mean, right predictions",
    "mean_wrong": "Mean, wrong predictions",
    "median_right": "Median, right predictions",
    "median_wrong": "Median, wrong predictions",
    "gap": "Mean confidence − accuracy",
}


def left_out(names: Sequence[str]) -> Text:
    """Return the sentence that says which parts are not here."""
    return Text(body=f"Not recorded, and therefore not shown: {listing(names, most=12)}.", tone="missing")


def data_items(data: Record | None) -> list[Item]:
    """Return sizes, lengths, class balance and notes of the data."""
    if not data:
        return [left_out(["a description of the data"])]
    items: list[Item] = []
    missing = []
    facts = _data_facts(data)
    if facts:
        items.append(KeyValues(items=facts))
    items += [Text(body=str(note)) for note in data.get("notes") or ()]
    if data.get("lengths_by_split"):
        items += [
            figures.length_histogram(data["lengths_by_split"]),
            figures.length_box(data["lengths_by_split"]),
        ]
    else:
        missing.append("the lengths of the sequences")
    if data.get("class_balance"):
        items.append(figures.class_balance(data["class_balance"]))
    return items + ([left_out(missing)] if missing else [])


def _data_facts(data: Record) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if finite(data.get("n")) is not None:
        facts["Sequences"] = int(data["n"])
    for split, lengths in (data.get("lengths_by_split") or {}).items():
        facts[f"In {one_line(split)}"] = len(lengths)
    known = {"n", "lengths_by_split", "class_balance", "notes"}
    facts |= {title_of(key): value for key, value in data.items() if key not in known and _is_scalar(value)}
    return facts


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, bool)) or is_number(value)


def training_facts(model: Record) -> dict[str, Any]:
    """Return epochs, the best of them and the time they took, as far as recorded."""
    history: Sequence[Record] = model.get("history") or ()
    facts: dict[str, Any] = {"Epochs": len(history)}
    chosen = figures.best_epoch(history)
    if chosen is not None:
        facts["Best epoch"] = history[chosen].get("epoch", chosen + 1)
    if finite(model.get("seconds")) is not None:
        facts["Training time"] = show_seconds(model["seconds"])
    return facts


def score_table(model: Record) -> Table | None:
    """Return the scores as a table, a row per measure and a column per split."""
    scores = model.get("scores") or {}
    if scores and not any(isinstance(value, Mapping) for value in scores.values()):
        scores = {"score": scores}
    names = list(dict.fromkeys(name for split in scores.values() for name in split))
    if not names:
        return None
    rows = [[title_of(name), *(split.get(name) for split in scores.values())] for name in names]
    columns = ["Measure", *(title_of(split) for split in scores)]
    return Table(columns=columns, rows=rows, caption="Scores", digits=4, sortable=False)


def model_items(model: Record, task: str) -> list[Item]:
    """Return the figures and tables of one model's predictions, and a sentence on those that are missing."""
    if task in _REGRESSORS or model.get("predictions"):
        return _regression(model)
    items: list[Item] = []
    missing = []
    for name, build in (
        ("a confusion matrix", _confusion),
        ("confidences", _confidence),
        ("a ROC curve", _ranking),
    ):
        found = build(model)
        items += found
        if not found or (build is _ranking and not model.get("roc")):
            missing.append(name)
    return items + ([left_out(missing)] if missing else [])


def _regression(model: Record) -> list[Item]:
    given = model.get("predictions")
    if not given:
        return [left_out(["predictions beside the true values"])]
    targets = {"": given} if "truth" in given else given
    items: list[Item] = []
    for name, pair in targets.items():
        drawn = (
            figures.predicted_and_true(pair["truth"], pair["predicted"]),
            figures.residuals(pair["truth"], pair["predicted"]),
        )
        items += [_named(figure, name) for figure in drawn]
    return items


def _named(figure: Figure, name: object) -> Figure:
    if not name:
        return figure
    title = f"{figure.title}: {one_line(name)}"
    return Figure(title=title, svg=figure.svg, alt=figure.alt, data=figure.data)


def _confusion(model: Record) -> list[Item]:
    matrix = model.get("confusion")
    if matrix is None:
        return []
    counts = np.asarray(matrix)
    labels = model.get("labels") or [str(index) for index in range(len(counts))]
    items: list[Item] = [figures.confusion(counts, labels)]
    pairs = confused_pairs(counts, labels)
    if len(labels) > 2:
        items.append(_per_class(counts, labels))
        if pairs:
            items.append(_pairs_table(pairs))
    return items


def _pairs_table(pairs: Sequence[tuple[str, str, int, float]]) -> Table:
    rows = [
        [true, predicted, count, Cell(text=show_share(share, 1), sort=share, share=share)]
        for true, predicted, count, share in pairs[:_MOST_PAIRS]
    ]
    more = f" (the {_MOST_PAIRS} most frequent of {len(pairs):,})" if len(pairs) > _MOST_PAIRS else ""
    columns = ["True class", "Predicted", "Times", "Share of the true class"]
    return Table(columns=columns, rows=rows, caption=f"Classes taken for others{more}")


def _per_class(counts: Array, labels: Sequence[Any]) -> Table:
    right, true, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)

    def ratio(part: float, whole: float) -> float | None:
        return float(part / whole) if whole else None

    rows = [
        [
            str(name),
            ratio(right[at], predicted[at]),
            ratio(right[at], true[at]),
            ratio(2 * right[at], predicted[at] + true[at]),
            int(true[at]),
        ]
        for at, name in enumerate(labels)
    ]
    columns = ["Class", "Precision", "Recall", "F1", "Sequences"]
    return Table(columns=columns, rows=rows, caption="Each class")


def _confidence(model: Record) -> list[Item]:
    given = model.get("confidence")
    if not given:
        return []
    items: list[Item] = []
    if given.get("summary"):
        facts = {
            _CONFIDENCE.get(key, title_of(key)): value
            for key, value in given["summary"].items()
            if _is_scalar(value)
        }
        items.append(KeyValues(items=facts))
    if given.get("confidence") is not None and given.get("correct") is not None:
        items.append(figures.confidence_histogram(given["confidence"], given["correct"]))
        items.append(figures.confidence_scatter(given["confidence"], given["correct"], given.get("lengths")))
    if model.get("calibration"):
        items.append(figures.calibration(model["calibration"]))
    return items


def _ranking(model: Record) -> list[Item]:
    items: list[Item] = []
    if model.get("roc"):
        items.append(figures.roc(model["roc"]))
    if model.get("precision_recall"):
        items.append(figures.precision_recall(model["precision_recall"]))
    return items


def error_items(errors: Sequence[Record] | None) -> list[Item]:
    """Return wrong predictions as a table, the surest first."""
    if errors is None:
        return []
    if not errors:
        return [Text(body="No wrong prediction among those that were looked at.")]
    ordered = sorted(errors, key=lambda error: -(finite(error.get("confidence")) or 0.0))
    keys = list(dict.fromkeys(key for error in ordered for key in error))
    keys = [key for key in keys if key != "text"]
    rows = [
        [_excerpt(error.get("text")), *(_cell(error.get(key)) for key in keys)]
        for error in ordered[:_MOST_ERRORS]
    ]
    more = f", {_MOST_ERRORS} of {len(errors):,}" if len(errors) > _MOST_ERRORS else ""
    names = {"label": "True class", "predicted": "Predicted", "confidence": "Confidence"}
    columns = ["Input", *(names.get(key, title_of(key)) for key in keys)]
    return [Table(columns=columns, rows=rows, caption=f"Wrong predictions, the surest first{more}")]


def _cell(value: Any) -> Any:
    return value if value is None or is_number(value) or isinstance(value, bool) else str(value)


def _excerpt(text: Any) -> str:
    whole = "" if text is None else str(text)
    return whole if len(whole) <= _TEXT_LIMIT else whole[:_TEXT_LIMIT].rstrip() + " …"


def parameter_items(model: Record) -> list[Item]:
    """Return the parameters by part with their share of all."""
    parameters = model.get("parameters")
    if not isinstance(parameters, Mapping):
        return []
    parts = {
        name: float(count)
        for name, count in parameters.items()
        if name != "total" and finite(count) is not None
    }
    total = sum(parts.values())
    rows = [
        [
            one_line(name),
            int(count),
            Cell(text=show_share(count, total), sort=count, share=count / total if total else 0),
        ]
        for name, count in parts.items()
    ]
    caption = f"Parameters by part, {show_number(int(total))} in all"
    return [Table(columns=["Part", "Parameters", "Share"], rows=rows, caption=caption)] if rows else []
