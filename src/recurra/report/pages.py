"""The pages of `fit` and `compare`, assembled from plain records.

A *record* is a mapping; every key is optional, and a part that is not there is left out with a sentence that
says so:

    title, subtitle, task       texts; task "classifier", "regressor", ...
    verdict                     one or a few sentences, shown first
    data                        n, lengths_by_split {split: [steps]}, class_balance {split: {label: count}},
                                notes [sentences], and further named values
    rows                        the comparison table: [{name, kind: "recurrent"|"baseline",
                                scores {measure: value}, intervals {measure: (low, high)},
                                seeds {measure: [values]}, parameters, seconds, ...}]
    models                      [model, ...], see below
    errors                      wrong predictions, where they are not given per model
    differences                 lead of the winner over each baseline: [{baseline, value, interval (low, high),
                                p_value, p_adjusted, effect_size, fold_p, test, units}]
    ranks                       mean ranks over folds, see figures.critical_difference
    learning_curve              see figures.learning_curves
    search, tuning_verdict      of `tune`: {score, best, trials: [{number, options, state, score, loss, seconds}]}
    settings, made_with         named values: what was asked for; versions, threads, seed
    winner, main_score          name of the row to set off; the score that rows are compared by

    model: name, kind, description
           scores {split: {measure: value}}, parameters (a number or {part: number}), megabytes, seconds
           history [{epoch, train_loss, validation_loss, train_... and validation_... scores,
                    gradient_norm, gradient_norm_max, learning_rate, best}], see figures.training_curves
           labels [C names], confusion (C × C counts, rows true)
           confidence {confidence: [...], correct: [...], lengths: [...], summary {name: value}}
           calibration (bins, see figures.calibration)
           roc, precision_recall {name: (x, y, area)}
           predictions {truth: [...], predicted: [...]}, or {target: such a mapping} (regressors)
           errors [{text, label, predicted, confidence, ...}]
           notes [sentences]
           diagnosis {findings, measures, drawn}, see report.diagnosis
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recurra.report.diagnosis import diagnosis_items
from recurra.report.evidence import difference_table, search_items
from recurra.report.figures import (
    critical_difference,
    leads,
    learning_curves,
    scores_with_intervals,
    training_curves,
)
from recurra.report.figures.scores import ranking, telling
from recurra.report.items import Item, KeyValues, Report, Section, Text
from recurra.report.parts import (
    data_items,
    error_items,
    left_out,
    model_items,
    parameter_items,
    score_table,
    training_facts,
)
from recurra.report.rows import comparison, main_score, parameter_count, rows_of
from recurra.report.wording import finite, is_number, show_number, show_seconds, title_of

Record = Mapping[str, Any]

_SCORE_CURVES = 1


def fit_report(record: Record) -> Report:
    """Return the page about one trained model: `record["models"][0]`."""
    models = record.get("models") or [{}]
    model: Record = models[0]
    sections = [
        _summary(record, model),
        Section(title="Data", items=data_items(record.get("data"))),
        Section(title="Training", items=_training(models[:1])),
        Section(title="Diagnosis of the training", items=diagnosis_items(model.get("diagnosis"))),
        Section(title="Results", items=_results(model, record)),
        Section(title="Wrong predictions", items=error_items(model.get("errors") or record.get("errors"))),
        Section(title="The model", items=_anatomy(model, record)),
    ]
    return _report(record, sections, _title(record, "Training report"))


def compare_report(record: Record) -> Report:
    """Return the page about several models: verdict, table, training of all, details folded per model."""
    models: Sequence[Record] = record.get("models") or ()
    sections = [
        Section(title="Verdict", items=_verdict(record)),
        Section(title="Comparison", items=_comparison(record)),
        Section(title="Data", items=data_items(record.get("data"))),
        Section(title="Training", items=_training(models)),
    ]
    sections += [_details(model, record) for model in models]
    if record.get("errors"):
        sections.append(Section(title="Wrong predictions", items=error_items(record["errors"])))
    if record.get("settings") or record.get("made_with"):
        sections.append(Section(title="How this was made", items=_provenance(record)))
    return _report(record, sections, _title(record, "Comparison of models"))


def _report(record: Record, sections: Sequence[Section], title: str) -> Report:
    subtitle = record.get("subtitle") or _subtitle(record)
    return Report(title=title, subtitle=str(subtitle), sections=[part for part in sections if part.items])


def _title(record: Record, default: str) -> str:
    return str(record.get("title") or default)


def _subtitle(record: Record) -> str:
    parts = [title_of(record["task"])] if record.get("task") else []
    count = finite((record.get("data") or {}).get("n"))
    if count is not None:
        parts.append(f"{count:,.0f} sequences")
    if len(record.get("models") or ()) > 1:
        parts.append(f"{len(record['models'])} models")
    return " · ".join(parts)


def _summary(record: Record, model: Record) -> Section:
    items: list[Item] = []
    if record.get("verdict"):
        items.append(Text(body=str(record["verdict"]), tone="verdict"))
    split, scores = _last_split(model)
    chosen = [(name, scores[name]) for name in telling(scores, record.get("main_score"))[:4]]
    tiles: dict[str, Any] = {f"{title_of(name)} ({split})": value for name, value in chosen}
    tiles |= _sizes(model)
    if tiles:
        items.append(KeyValues(items=tiles, tiles=True))
    items += [Text(body=str(note)) for note in model.get("notes") or ()]
    name = model.get("name")
    return Section(title="Summary", intro=f"Model: {name}." if name else "", items=items)


def _last_split(model: Record) -> tuple[str, Mapping[str, Any]]:
    """Return the scores of the split that counts: test, else validation, else the last one there is."""
    scores = model.get("scores") or {}
    if scores and all(is_number(value) or value is None for value in scores.values()):
        return "score", scores
    for split in ("test", "validation", *reversed(list(scores))):
        if scores.get(split):
            return split, scores[split]
    return "", {}


def _sizes(model: Record) -> dict[str, Any]:
    sizes: dict[str, Any] = {}
    count = parameter_count(model)
    if count is not None:
        sizes["Parameters"] = show_number(count)
    if finite(model.get("megabytes")) is not None:
        sizes["Stored"] = f"{float(model['megabytes']):.2f} MB"
    if finite(model.get("seconds")) is not None:
        sizes["Training time"] = show_seconds(model["seconds"])
    return sizes


def _training(models: Sequence[Record]) -> list[Item]:
    histories = {
        str(model.get("name", "model")): model["history"] for model in models if model.get("history")
    }
    if not histories:
        return [left_out(["a training history"])] if models else []
    items: list[Item] = list(training_curves(histories, _SCORE_CURVES))
    without = [
        str(model.get("name", "model"))
        for model in models
        if not model.get("history") and model.get("kind") != "baseline"
    ]
    if without:
        items.append(Text(body=f"Without a recorded training history: {', '.join(without)}.", tone="missing"))
    if len(histories) == 1:
        model = next(model for model in models if model.get("history"))
        items.insert(0, KeyValues(items=training_facts(model)))
    return items


def _results(model: Record, record: Record) -> list[Item]:
    table = score_table(model)
    return ([table] if table else []) + model_items(model, str(record.get("task", "")))


def _anatomy(model: Record, record: Record) -> list[Item]:
    return parameter_items(model) + _provenance(record)


def _provenance(record: Record) -> list[Item]:
    items: list[Item] = []
    for key, heading in (("settings", "Settings"), ("made_with", "Made with")):
        if record.get(key):
            items += [
                Text(body=heading + ":"),
                KeyValues(items={title_of(name): _setting(value) for name, value in record[key].items()}),
            ]
    return items


def _setting(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(_setting(part)) for part in value)
    return value if isinstance(value, (bool, int)) else str(value)


def _verdict(record: Record) -> list[Item]:
    body = record.get("verdict")
    items: list[Item] = [
        Text(body=str(body), tone="verdict")
        if body
        else Text(body="No verdict was reached: no test between the models was recorded.", tone="missing")
    ]
    tiles = _standing(record)
    return [*items, KeyValues(items=tiles, tiles=True)] if tiles else items


def _standing(record: Record) -> dict[str, Any]:
    """Return the winner's score and the best baseline's, where both are known."""
    rows = rows_of(record)
    metric = str(record.get("main_score") or main_score(rows) or "")
    ranked = ranking(rows, metric)
    winner = next((row for row in ranked if row.get("name") == record.get("winner")), None)
    baseline = next((row for row in ranked if row.get("kind") == "baseline"), None)
    if winner is None or baseline is None or winner is baseline:
        return {}
    ahead, behind = float(winner["scores"][metric]), float(baseline["scores"][metric])
    return {
        f"{title_of(metric)}, {winner['name']}": ahead,
        f"{title_of(metric)}, {baseline['name']} (best baseline)": behind,
        "Difference": f"{ahead - behind:+.3f}",
    }


def _comparison(record: Record) -> list[Item]:
    rows = rows_of(record)
    if not rows:
        return [left_out(["a score of any model"])]
    metric = record.get("main_score") or main_score(rows)
    items: list[Item] = [comparison(rows, winner=record.get("winner"), main=metric)]
    if metric:
        items.append(scores_with_intervals(rows, metric))
    return items + _evidence(record, str(metric or "score"))


def _evidence(record: Record, metric: str) -> list[Item]:
    """The lead over every baseline, mean ranks over folds, the learning curve, the search: what there is of them."""
    items: list[Item] = []
    if record.get("differences"):
        items.append(leads(record["differences"], str(record.get("winner", "the winner")), metric))
        items.append(difference_table(record["differences"]))
    if record.get("ranks"):
        items.append(critical_difference(record["ranks"]))
        items.append(Text(body=_RANKS, tone="note"))
    if record.get("learning_curve"):
        items.append(learning_curves(record["learning_curve"]))
    if record.get("search"):
        items += search_items(record)
    return items


_RANKS = (
    "Folds share most of their training data, so that their ranks agree more than those of separate data sets would: "
    "the verdict rests on the paired test over test sequences, not on this drawing."
)


def _details(model: Record, record: Record) -> Section:
    items: list[Item] = []
    if model.get("description"):
        items.append(Text(body=str(model["description"])))
    sizes = _sizes(model)
    if sizes:
        items.append(KeyValues(items=sizes))
    table = score_table(model)
    items += [table] if table else []
    if model.get("history"):
        items += training_curves({str(model.get("name", "model")): model["history"]}, _SCORE_CURVES)
    items += model_items(model, str(record.get("task", "")))
    items += parameter_items(model)
    items += [Text(body=str(note)) for note in model.get("notes") or ()]
    if model.get("errors"):
        items += error_items(model["errors"])
    return Section(title=str(model.get("name", "Model")), items=items, collapsed=True)
