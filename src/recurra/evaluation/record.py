"""What is measured of trained models, as the plain records that reports and `--json` show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data.dataset import Dataset
from recurra.evaluation.compare import Comparison
from recurra.evaluation.entries import Entry
from recurra.evaluation.tuning.held_out import ASKED, TUNED, Tuned
from recurra.metrics import (
    average_precision,
    calibration_curve,
    confidence_summary,
    confusion_matrix,
    json_scores,
    pr_curve,
    roc_auc,
    roc_curve,
)
from recurra.metrics.significance import compare_ranks
from recurra.ragged import Array
from recurra.report.html import render
from recurra.report.pages import compare_report, fit_report
from recurra.tasks.estimator import SequenceEstimator
from recurra.tasks.materials import Materials, materials

WRONG = 25
"""Wrong predictions that a report lists, the most confident first."""
CURVES = 12
"""ROC curves that one figure can hold."""


def model_record(
    name: str,
    model: SequenceEstimator,
    test: Materials,
    scores: Mapping[str, Mapping[str, float]],
    seconds: float,
) -> dict[str, Any]:
    """Everything about one fitted model that a page shows; `scores` by split, the test split scored here alone."""
    summary = model.summary()
    answers = model.answers(test)
    return {
        "name": name,
        "kind": "recurrent",
        "description": str(model.network_.cell),
        "scores": {split: json_scores(dict(values)) for split, values in scores.items()},
        "parameters": summary.parts,
        "megabytes": summary.megabytes,
        "seconds": seconds,
        "history": [dict(record) for record in model.history_.epochs],
        "notes": list(model.notes_),
        **test_record(model, answers, model.coded(test), test.inputs),
    }


def test_record(model: SequenceEstimator, answers: Array, coded: Any, inputs: Any) -> dict[str, Any]:
    """Confusion, confidence, calibration and curves of classes; truth and prediction of numbers."""
    if model.task == "regressor":
        return {"predictions": _predictions(coded, answers)}
    if model.task == "tagger":
        return step_record(model, answers, coded.values)
    names = [str(label) for label in model.target_.classes]
    if getattr(model, "multilabel_", False):
        return {"labels": names, **_curves(coded.astype(bool), answers, names)}
    decided = model.decided(answers)
    chosen = answers[np.arange(len(decided)), decided]
    right = decided == coded
    outcomes = coded[:, None] == np.arange(len(names))[None, :]
    columns = [1] if len(names) == 2 else range(len(names))
    return {
        "labels": names,
        "confusion": confusion_matrix(coded, decided, labels=list(range(len(names)))).tolist(),
        "confidence": {
            "confidence": chosen.tolist(),
            "correct": right.tolist(),
            "lengths": [len(item) for item in inputs]
            if isinstance(inputs, list)
            else inputs.lengths.tolist(),
            "summary": confidence_facts(answers, coded, decided),
        },
        "calibration": _bins(right, chosen),
        **_curves(outcomes[:, columns], answers[:, columns], [names[c] for c in columns]),
        "errors": _wrong(inputs, names, coded, decided, chosen),
    }


def step_record(model: SequenceEstimator, answers: Array, coded: Array) -> dict[str, Any]:
    """Of answers per step: confusion, confidence and calibration of tags; truth and prediction of numbers.

    Steps without a target, or with a tag that training had not, are left out.
    """
    if coded.dtype.kind == "f":
        given = np.isfinite(coded).all(axis=-1) if coded.ndim == 2 else np.isfinite(coded)
        return {"predictions": _predictions(coded[given], answers[given])}
    known = coded >= 0
    truth, table = coded[known], answers[known]
    decided = np.argmax(table, axis=1)
    names = [str(label) for label in model.target_.classes[0]]
    chosen = table[np.arange(len(decided)), decided]
    return {
        "labels": names,
        "confusion": confusion_matrix(truth, decided, labels=list(range(len(names)))).tolist(),
        "calibration": _bins(decided == truth, chosen),
    }


def confidence_facts(answers: Array, coded: Array, decided: Array) -> dict[str, float]:
    """Mean and median confidence of right and of wrong predictions, and mean confidence minus accuracy."""
    found = confidence_summary(coded, answers, y_pred=decided)
    names = ("mean_right", "mean_wrong", "median_right", "median_wrong", "gap")
    return json_scores({name: float(getattr(found, name)) for name in names})  # type: ignore[return-value]


def _predictions(truth: Array, predicted: Array) -> dict[str, Any]:
    if truth.ndim == 1:
        return {"truth": truth.tolist(), "predicted": np.asarray(predicted).reshape(-1).tolist()}
    return {
        f"number {k}": {"truth": truth[:, k].tolist(), "predicted": predicted[:, k].tolist()}
        for k in range(truth.shape[1])
    }


def _bins(right: Array, chosen: Array) -> dict[str, Any]:
    curve = calibration_curve(right, chosen)
    return {
        "confidence": curve.probability.tolist(),
        "accuracy": curve.frequency.tolist(),
        "count": curve.count.tolist(),
    }


def _curves(outcomes: Array, answers: Array, names: list[str]) -> dict[str, Any]:
    """ROC and precision-recall curves of the classes that occur, with their areas."""
    roc, recalled = {}, {}
    for column, name in list(enumerate(names))[:CURVES]:
        truth, score = outcomes[:, column], answers[:, column]
        if not 0 < truth.sum() < len(truth):
            continue
        curve, pairs = roc_curve(truth, score), pr_curve(truth, score)
        rates = (curve.false_positive_rate.tolist(), curve.true_positive_rate.tolist())
        roc[name] = (*rates, roc_auc(truth, score))
        recalled[name] = (pairs.recall.tolist(), pairs.precision.tolist(), average_precision(truth, score))
    return {"roc": roc, "precision_recall": recalled}


def _wrong(
    inputs: Any, names: list[str], coded: Array, decided: Array, chosen: Array
) -> list[dict[str, Any]]:
    rows = np.flatnonzero(decided != coded)
    rows = rows[np.argsort(-chosen[rows], kind="stable")][:WRONG]
    return [
        {
            "text": inputs[row]
            if isinstance(inputs, list)
            else f"sequence {row} ({inputs.lengths[row]} steps)",
            "label": names[coded[row]],
            "predicted": names[decided[row]],
            "confidence": float(chosen[row]),
        }
        for row in rows.tolist()
    ]


def fit_pages(
    model: SequenceEstimator,
    parts: Mapping[str, Dataset],
    scores: Mapping[str, Mapping[str, float]],
    *,
    seconds: float,
    name: str,
    diagnosis: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """The files that `fit` leaves beside a model: report.html, metrics.json and history.jsonl.

    diagnosis: of the training, where it was measured; see `report.diagnosis`.
    """
    given = {split: materials(part) for split, part in parts.items()}
    shown = model_record(name, model, given["test"], scores, seconds)
    record = {
        "title": f"{model.task.capitalize()}: {name}",
        "task": model.task,
        "data": data_record(given, model),
        "models": [shown if diagnosis is None else {**shown, "diagnosis": diagnosis}],
        "settings": {**model.network_.to_dict(), **model.training_.to_dict()},
    }
    plain = {split: json_scores(dict(values)) for split, values in scores.items()}
    lines = "".join(json.dumps(dict(epoch), default=float) + "\n" for epoch in model.history_.epochs)
    return {
        "report.html": render(fit_report(record)).encode("utf-8", "replace"),
        "metrics.json": json.dumps(plain, indent=1).encode(),
        "history.jsonl": lines.encode(),
    }


def data_record(parts: Mapping[str, Materials], model: SequenceEstimator) -> dict[str, Any]:
    """Lengths and balance of the splits, and what the encoder noticed."""
    lengths = {name: model.encode_materials(part).lengths.tolist() for name, part in parts.items()}
    record = {
        "n": sum(len(part) for part in parts.values()),
        "lengths_by_split": lengths,
        "notes": [*model.encoder_.notes, *model.notes_],
    }
    if model.task == "classifier":
        record["class_balance"] = {name: _balance(part.targets) for name, part in parts.items()}
    return record


def _balance(targets: Any) -> dict[str, int]:
    flat: list[str] = []
    for target in targets:
        flat += [str(t) for t in target] if isinstance(target, (tuple, set, list)) else [str(target)]
    names, counts = np.unique(flat, return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}


def comparison_record(outcome: Comparison) -> dict[str, Any]:
    """What the page of a comparison shows."""
    made = outcome.to_dict()
    return {
        "title": f"Comparison: {outcome.task}",
        "task": outcome.task,
        "verdict": outcome.verdict,
        "winner": outcome.winner,
        "main_score": outcome.judge.score,
        "differences": made["differences"],
        "data": data_record(outcome.parts, outcome.best),
        "rows": [seeds_by_measure(row) for row in made["rows"]],
        "models": [_entry_record(row, outcome) for row in outcome.rows if row.members == 1],
        "settings": {
            "seeds": len(outcome.row(outcome.winner).seeds),
            "folds": outcome.folds,
            **{n: str(v) for n, v in outcome.sizes.items()},
        },
        **({} if outcome.curve is None else {"learning_curve": dict(outcome.curve)}),
        **_ranks(outcome),
    }


def seeds_by_measure(row: Mapping[str, Any]) -> dict[str, Any]:
    """Seeds by measure, as the figures take them."""
    measures = list(row["seeds"][0])
    return {**row, "seeds": {measure: [scores[measure] for scores in row["seeds"]] for measure in measures}}


def _ranks(outcome: Comparison) -> dict[str, Any]:
    """Mean ranks over folds, from three folds on."""
    if outcome.folds < 3 or len(outcome.rows) < 3:
        return {}
    table = np.array([row.fold_scores for row in outcome.rows]).T
    names = [row.name for row in outcome.rows]
    found = compare_ranks(table, names, higher_is_better=outcome.judge.rises)
    return {
        "ranks": {
            "names": list(found.names),
            "mean_ranks": list(found.mean_ranks),
            "critical_difference": found.critical_difference,
            "cliques": [list(clique) for clique in found.cliques],
            "p": found.p,
            "units": f"{outcome.folds} folds",
        }
    }


def _entry_record(row: Entry, outcome: Comparison) -> dict[str, Any]:
    best = outcome.best
    answers = row.answers[0]
    base = {
        "name": row.name,
        "kind": row.kind,
        "scores": {"train": row.train, "validation": row.validation, "test": row.scores},
        "parameters": dict(row.parts),
        "megabytes": row.megabytes,
        "seconds": row.seconds,
        "history": [dict(epoch) for epoch in row.histories[0].epochs] if row.histories else [],
    }
    described = row.estimator if row.estimator is not None else best
    if row.estimator is not None:
        answers = row.answers[row.best_seed]
        base["history"] = [dict(epoch) for epoch in row.histories[row.best_seed].epochs]
    return {**base, **test_record(described, answers, outcome.coded, outcome.parts["test"].inputs)}


def save_comparison(outcome: Comparison, folder: str | Path, *, reading: Mapping[str, Any]) -> dict[str, Any]:
    """Save the winner as a bundle in `folder`, with the page, the table and its history beside it."""
    extras = {"report.html": render(compare_report(comparison_record(outcome))).encode("utf-8", "replace")}
    return save_row(outcome, outcome.winner, folder, outcome.to_dict(), reading=reading, extras=extras)


def save_tuned(
    tuned: Tuned, folder: str | Path, *, reading: Mapping[str, Any], config: str
) -> dict[str, Any]:
    """Save the model with the options found, with the page, `recurra.toml` and `trials.json` beside it."""
    outcome, record = tuned.comparison, tuned.to_dict()
    page = {**comparison_record(outcome), "search": record["search"], "tuning_verdict": tuned.verdict}
    extras = {
        "report.html": render(compare_report(page)).encode("utf-8", "replace"),
        "recurra.toml": config.encode(),
        "trials.json": json.dumps(_plain(record["search"]), indent=1).encode(),
    }
    name = ASKED if tuned.gain is None else TUNED
    made = save_row(outcome, name, folder, record, reading=reading, extras=extras)
    return {**made, "config": str(Path(made["model"]) / "recurra.toml")}


def save_row(
    outcome: Comparison,
    name: str,
    folder: str | Path,
    record: dict[str, Any],
    *,
    reading: Mapping[str, Any],
    extras: Mapping[str, bytes],
) -> dict[str, Any]:
    """Save the model of one row of a comparison as a bundle, with `record` as metrics.json beside it."""
    row = outcome.row(name)
    model = row.estimator
    assert model is not None
    lines = "".join(json.dumps(dict(epoch), default=float) + "\n" for epoch in model.history_.epochs)
    files = {
        **extras,
        "metrics.json": json.dumps(_plain(record), indent=1).encode(),
        "history.jsonl": lines.encode(),
    }
    scores = {"train": row.train, "validation": row.validation, "test": row.scores}
    data = {"reading": dict(reading), "sizes": dict(outcome.sizes), "verdict": outcome.verdict}
    path = model.save(folder, scores=scores, data=data, extras=files)
    return {**record, "model": str(path), "report": str(path / "report.html")}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
