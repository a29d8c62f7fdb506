"""What `fit_report` and `compare_report` make of a record, whole or in parts."""

from __future__ import annotations

from typing import Any

import pytest

from recurra.report import Report, compare_report, fit_report, render
from recurra.report.figure import Figure
from recurra.report.items import Item, KeyValues, Table, Text
from report.records import (
    classifier_model,
    compare_record,
    compared,
    fit,
    many_class_record,
    regressor_record,
    without_models,
)


def titles(report: Report) -> list[str]:
    return [section.title for section in report.sections]


def items(report: Report, kind: type[Any] = object) -> list[Any]:
    return [item for section in report.sections for item in section.items if isinstance(item, kind)]


def figures(report: Report) -> list[str]:
    return [figure.title for figure in items(report, Figure)]


def sentences(report: Report) -> str:
    return " ".join(text.body for text in items(report, Text))


def of(report: Report, title: str) -> list[Item]:
    return [item for section in report.sections if section.title == title for item in section.items]


def test_the_page_of_a_classifier_has_every_part() -> None:
    report = fit()
    assert titles(report) == ["Summary", "Data", "Training", "Results", "Wrong predictions", "The model"]
    assert figures(report) == [
        "How long the sequences are", "Lengths in each split", "Classes", "Loss by epoch", "Accuracy by epoch",
        "Gradient norm while training", "Learning rate while training", "Confusion matrix",
        "Confidence of right and wrong predictions", "Confidence of each prediction by length", "Calibration", "ROC",
        "Precision and recall",
    ]  # fmt: skip
    assert "Not recorded" not in sentences(report)


def test_the_summary_shows_the_test_scores() -> None:
    (tiles,) = [item for item in of(fit(), "Summary") if isinstance(item, KeyValues)]
    assert list(tiles.items) == [
        "Accuracy (test)", "F1 (macro) (test)", "Log loss (test)", "Parameters", "Training time",
    ]  # fmt: skip
    assert tiles.items["Parameters"] == "381,826"


def test_the_page_of_a_regressor_has_residuals_and_no_confusion() -> None:
    report = fit_report(regressor_record())
    assert figures(report)[-2:] == ["Predicted and true values", "Residuals"]
    assert "Confusion matrix" not in figures(report)
    assert "the lengths of the sequences" in sentences(report)


def test_every_target_of_a_regressor_has_its_figures() -> None:
    record: dict[str, Any] = {"task": "regressor"}
    pair = {"truth": [1.0, 2.0], "predicted": [1.0, 2.5]}
    record["models"] = [{"predictions": {"height": pair, "weight": pair}}]
    assert figures(fit_report(record)) == [
        "Predicted and true values: height", "Residuals: height", "Predicted and true values: weight",
        "Residuals: weight",
    ]  # fmt: skip


SENTENCES = {
    "history": "a training history",
    "confusion": "a confusion matrix",
    "confidence": "confidences",
    "roc": "a ROC curve",
}


@pytest.mark.parametrize("part", SENTENCES)
def test_parts_that_are_missing_are_left_out_with_a_sentence(part: str) -> None:
    whole = classifier_model("m", 0)
    said = sentences(fit_report({"models": [{part: whole[part]}]}))
    assert SENTENCES[part] not in said
    assert all(sentence in said for other, sentence in SENTENCES.items() if other != part)


@pytest.mark.parametrize("make", [fit_report, compare_report])
@pytest.mark.parametrize(
    "record", [{}, {"models": []}, {"title": None, "data": {}, "models": [{}], "rows": []}]
)
def test_an_empty_record_still_gives_a_page(make: Any, record: dict[str, Any]) -> None:
    page = render(make(record))
    assert "Not recorded, and therefore not shown" in page


def test_the_comparison_has_verdict_table_and_every_models_curves() -> None:
    report = compared()
    assert titles(report)[:4] == ["Verdict", "Comparison", "Data", "Training"]
    assert titles(report)[4:7] == ["Vanilla RNN, 2×64", "GRU, 2×128", "Majority"]
    (loss, *_) = of(report, "Training")
    assert isinstance(loss, Figure)
    assert all(name in loss.alt for name in ("Vanilla RNN, 2×64", "GRU, 2×128"))
    own = [item.title for item in of(report, "GRU, 2×128") if isinstance(item, Figure)]
    assert {"Loss by epoch", "Confusion matrix", "ROC", "Confidence of each prediction by length"} <= set(own)


def test_the_comparison_table_is_ranked_and_marks_the_winner() -> None:
    (table, *_) = [item for item in of(compared(), "Comparison") if isinstance(item, Table)]
    assert table.rows[0][0] == "LSTM, bidirectional, 2×64 (winner)"
    assert table.rows[-1][0] == "Majority"
    assert table.highlight == frozenset({0})


def test_the_difference_to_the_best_baseline_is_shown() -> None:
    tiles = [item for item in of(compared(), "Verdict") if isinstance(item, KeyValues)]
    assert tiles[0].items["Difference"] == "+0.150"


def test_the_main_score_may_be_named() -> None:
    comparison = of(compare_report(without_models(main_score="log_loss")), "Comparison")
    assert isinstance(comparison[0], Table)
    assert comparison[0].columns[2] == "Log loss (low is good)"
    assert isinstance(comparison[1], Figure)
    assert comparison[1].title == "Log loss of every model"


def test_without_a_verdict_none_is_claimed() -> None:
    assert "No verdict was reached" in sentences(compare_report(without_models(verdict=None)))


def test_rows_are_made_from_the_models_where_none_are_given() -> None:
    models = [{"name": model["name"], "scores": model["scores"]} for model in compare_record()["models"]]
    comparison = of(compare_report({"models": models}), "Comparison")
    assert isinstance(comparison[0], Table)
    assert len(comparison[0].rows) == 6


def test_a_baseline_is_not_blamed_for_having_no_history() -> None:
    assert "Without a recorded training history" not in sentences(compared())
    models = [
        {"name": "a", "history": [{"train_loss": 1.0}]},
        {"name": "b"},
        {"name": "c", "kind": "baseline"},
    ]
    assert "Without a recorded training history: b." in sentences(compare_report({"models": models}))


def test_many_classes_get_a_table_of_confused_pairs() -> None:
    whole = many_class_record()["models"][0]
    model = {key: whole[key] for key in ("labels", "confusion")}
    tables = items(fit_report({"models": [model]}), Table)
    captions = [table.caption for table in tables]
    assert "Each class" in captions
    assert any(
        caption.startswith("Classes taken for others (the 30 most frequent of") for caption in captions
    )


def test_each_class_has_precision_recall_and_f1() -> None:
    model = {"labels": ["a", "b", "c"], "confusion": [[8, 2, 0], [1, 9, 0], [0, 0, 0]]}
    (table,) = [
        table for table in items(fit_report({"models": [model]}), Table) if table.caption == "Each class"
    ]
    assert table.rows[0] == ["a", pytest.approx(8 / 9), 0.8, pytest.approx(16 / 19), 10]
    assert table.rows[2] == ["c", None, None, None, 0]


def test_wrong_predictions_come_surest_first_and_long_texts_are_cut() -> None:
    errors = [
        {"text": "short", "label": "a", "predicted": "b", "confidence": 0.6, "source": "x"},
        {"text": "word " * 1000, "label": "b", "predicted": "a", "confidence": 0.9},
    ]
    (table,) = [
        item for item in of(fit_report({"errors": errors}), "Wrong predictions") if isinstance(item, Table)
    ]
    assert [row[3] for row in table.rows] == [0.9, 0.6]
    assert len(table.rows[0][0]) < 620
    assert list(table.columns) == ["Input", "True class", "Predicted", "Confidence", "Source"]


def test_no_wrong_prediction_is_said() -> None:
    assert "No wrong prediction" in sentences(fit_report({"errors": []}))


def test_scores_without_splits_are_shown() -> None:
    report = fit_report({"models": [{"scores": {"accuracy": 0.5}}]})
    assert [table.columns for table in items(report, Table)] == [["Measure", "Score"]]


def test_values_that_are_not_finite_or_numpy_are_shown() -> None:
    import numpy as np

    model = classifier_model("m", 0) | {
        "scores": {"test": {"accuracy": np.float32(0.5), "roc_auc": float("nan")}}
    }
    model["confusion"] = np.array(model["confusion"])
    page = render(fit_report({"models": [model], "data": {"n": np.int64(30)}}))
    assert "0.5000" in page
    assert ">nan<" not in page.lower()


def test_settings_are_shown_as_they_were_given() -> None:
    record = {"settings": {"dropout": 0.3, "bidirectional": True, "sizes": [64, 0.5], "cell": "lstm"}}
    (values,) = [item for item in of(fit_report(record), "The model") if isinstance(item, KeyValues)]
    assert {name: values.shown(value) for name, value in values.items.items()} == {
        "Dropout": "0.3", "Bidirectional": "yes", "Sizes": "64, 0.5", "Cell": "lstm",
    }  # fmt: skip
