"""What every drawing promises: words, numbers, a valid file, no harm from hostile names or empty data."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest

from recurra.errors import DataError, MissingExtraError, SpecError
from recurra.report import figures
from recurra.report.figure import Figure, data_link, draw
from report.records import history
from report.saboteurs import formulas_in_tables

HOSTILE = '=1+1"><img src=x onerror=alert(1)>$x^{2}$\x00\u202e'
ROWS = [
    {
        "name": HOSTILE,
        "kind": "recurrent",
        "scores": {"accuracy": 0.9},
        "intervals": {"accuracy": (0.8, 0.95)},
    },
    {"name": "b", "kind": "baseline", "scores": {"accuracy": 0.7}},
]
BINS = [{"confidence": 0.6, "accuracy": 0.5, "count": 10}, {"confidence": 0.9, "accuracy": 0.95, "count": 40}]
LEADS = [
    {"baseline": HOSTILE, "value": 0.1, "interval": (0.02, 0.18), "p_adjusted": 0.01},
    {"baseline": "b", "value": -0.02, "interval": (-0.1, 0.06), "p_adjusted": 0.6},
]
RANKS = {
    "names": [HOSTILE, "b", "c"],
    "mean_ranks": [1.2, 1.8, 3.0],
    "critical_difference": 1.05,
    "cliques": [[HOSTILE, "b"]],
    "units": "5 folds",
}
CURVE = {
    "score": "accuracy",
    "sizes": [25, 50, 100],
    "rows": {HOSTILE: {"scores": [0.6, 0.7, 0.8], "low": [0.5, 0.6, 0.7], "high": [0.7, 0.8, 0.9]}},
}

FULL: dict[str, Callable[[], Figure]] = {
    "length_histogram": lambda: figures.length_histogram({HOSTILE: [1, 5, 9, 4], "test": [2, 3]}),
    "length_box": lambda: figures.length_box({HOSTILE: [1, 5, 9, 4], "test": [2, 3]}),
    "training_curves": lambda: figures.training_curves({HOSTILE: history(0, 4), "b": history(1, 6)})[0],
    "confusion": lambda: figures.confusion([[3, 1], [2, 4]], [HOSTILE, "b"]),
    "confidence_histogram": lambda: figures.confidence_histogram([0.9, 0.6, 0.7], [True, False, True]),
    "confidence_scatter": lambda: figures.confidence_scatter([0.9, 0.6, 0.7], [True, False, True], [4, 5, 6]),
    "roc": lambda: figures.roc({HOSTILE: ([0, 0.5, 1], [0, 0.9, 1], 0.8)}),
    "precision_recall": lambda: figures.precision_recall({HOSTILE: ([0, 0.5, 1], [1, 0.9, 0.5], 0.8)}),
    "calibration": lambda: figures.calibration(BINS),
    "class_balance": lambda: figures.class_balance({"train": {HOSTILE: 5, "b": 4}, "test": {"b": 1}}),
    "scores_with_intervals": lambda: figures.scores_with_intervals(ROWS),
    "leads": lambda: figures.leads(LEADS, HOSTILE, "accuracy"),
    "critical_difference": lambda: figures.critical_difference(RANKS),
    "learning_curves": lambda: figures.learning_curves(CURVE),
    "predicted_and_true": lambda: figures.predicted_and_true([1.0, 2.0, 3.0], [1.1, 2.2, 2.9]),
    "residuals": lambda: figures.residuals([1.0, 2.0, 3.0], [1.1, 2.2, 2.9]),
    "heatmap": lambda: figures.heatmap(
        [[0.1, -2.0], [1.0, 0.0]], title="States", rows=[HOSTILE, "1"], steps=["a", HOSTILE]
    ),
    "forming": lambda: figures.forming({HOSTILE: [0.5, 0.9, 0.2]}, [HOSTILE, "b"], title="Forming"),
    "signed_bars": lambda: figures.signed_bars([HOSTILE, "b"], [0.5, -1], title="Shares", measure="log-odds"),
    "group_scores": lambda: figures.group_scores(
        [(HOSTILE, 5, 0.8, (0.4, 0.9)), ("b", 1, 0.1, (float("nan"), float("nan")))],
        title="Groups",
        measure="share right",
        whole=0.7,
    ),
    "projection": lambda: figures.projection(
        [[0, 1], [1, 2], [2, 0]], [HOSTILE, "b", "b"], title="States", axes_are=("first", "second")
    ),
    "value_histogram": lambda: figures.value_histogram(
        [-1, 0, 1],
        [3, 1],
        {HOSTILE: [2, 0], "b": [1, 1]},
        title="Final",
        across="value",
        alt="Four values of two labels.",
    ),
    "unit_quantiles": lambda: figures.unit_quantiles(
        [[-0.5, -0.2, 0, 0.2, 0.5], [0.1, 0.2, 0.3, 0.4, 0.5]],
        title="Units",
        up="value",
        alt="Two units, around 0 and 0.3.",
    ),
    "erasing_curves": lambda: figures.erasing_curves(
        [0, 0.5, 1],
        {"integrated": [1, 0.2, 0.1], "random": [1, 0.6, 0.1]},
        {"integrated": 0.4, "random": 0.6},
        title="Deletion",
        done="taken away",
        measure="probability",
    ),
}
EMPTY: dict[str, Callable[[], Figure]] = {
    "length_histogram": lambda: figures.length_histogram({"train": []}),
    "length_histogram of nothing": lambda: figures.length_histogram({}),
    "length_box": lambda: figures.length_box({"train": []}),
    "confusion": lambda: figures.confusion([], []),
    "confusion without counts": lambda: figures.confusion([[0, 0], [0, 0]], ["a", "b"]),
    "confidence_histogram": lambda: figures.confidence_histogram([], []),
    "confidence_scatter": lambda: figures.confidence_scatter([], []),
    "confidence of one": lambda: figures.confidence_scatter([1.0], [False]),
    "roc": lambda: figures.roc({}),
    "precision_recall": lambda: figures.precision_recall({}),
    "calibration": lambda: figures.calibration([]),
    "class_balance": lambda: figures.class_balance({}),
    "scores_with_intervals": lambda: figures.scores_with_intervals([]),
    "leads": lambda: figures.leads([], "a", "accuracy"),
    "leads without a test": lambda: figures.leads([{"baseline": "b", "value": 0.1}], "a", "accuracy"),
    "critical_difference": lambda: figures.critical_difference({"names": [], "mean_ranks": []}),
    "learning_curves": lambda: figures.learning_curves({"score": "accuracy", "sizes": [], "rows": {}}),
    "predicted_and_true": lambda: figures.predicted_and_true([], []),
    "residuals": lambda: figures.residuals([], []),
    "residual of one": lambda: figures.residuals([2.0], [2.0]),
    "heatmap": lambda: figures.heatmap(np.zeros((0, 0)), title="States", rows=[], steps=[]),
    "heatmap of no steps": lambda: figures.heatmap([[]], title="States", rows=["a"], steps=[]),
    "heatmap of zeros": lambda: figures.heatmap([[0.0]], title="States", rows=["a"], steps=["b"]),
    "forming": lambda: figures.forming({}, [], title="Forming"),
    "forming of no step": lambda: figures.forming({"a": [0.5]}, [], title="Forming"),
    "signed_bars": lambda: figures.signed_bars([], [], title="Shares", measure="value"),
    "group_scores": lambda: figures.group_scores([], title="Groups", measure="share", whole=0.5),
    "projection": lambda: figures.projection(np.zeros((0, 2)), title="States", axes_are=("x", "y")),
    "value_histogram": lambda: figures.value_histogram(
        [0], [], {}, title="Final", across="value", alt="None."
    ),
    "unit_quantiles": lambda: figures.unit_quantiles(
        np.zeros((0, 5)), title="Units", up="value", alt="None."
    ),
    "erasing_curves": lambda: figures.erasing_curves(
        [], {}, {}, title="Deletion", done="taken away", measure="value"
    ),
}


@cache
def drawn(name: str) -> Figure:
    return FULL[name]()


def test_every_public_drawing_is_tested_here() -> None:
    assert {name for name in figures.__all__ if name != "best_epoch"} == set(FULL)


@pytest.mark.parametrize("name", FULL)
def test_a_drawing_has_title_words_numbers_and_a_valid_file(name: str) -> None:
    figure = drawn(name)
    ElementTree.fromstring(figure.svg)
    ElementTree.fromstring(figure.inline("p-"))
    assert figure.title
    assert len(figure.alt) > 20
    assert "nan" not in figure.alt.lower()
    rows = list(csv.reader(io.StringIO(figure.to_csv())))
    assert len(rows) >= 2
    assert all(len(row) == len(rows[0]) for row in rows)
    assert figure._repr_html_().startswith("<div")
    assert "<img" not in figure.svg


@pytest.mark.parametrize("name", EMPTY)
def test_a_drawing_of_nothing_is_still_one(name: str) -> None:
    figure = EMPTY[name]()
    ElementTree.fromstring(figure.svg)
    assert figure.alt
    figure.to_csv()


def check_no_formula() -> None:
    for name in FULL:
        for row in csv.reader(io.StringIO(drawn(name).to_csv())):
            assert not any(cell.startswith(("=", "@", "+")) for cell in row)


def test_a_spreadsheet_finds_no_formula_in_the_numbers() -> None:
    check_no_formula()
    with formulas_in_tables(), pytest.raises(AssertionError):
        check_no_formula()


def test_negative_numbers_stay_numbers_in_csv() -> None:
    figure = figures.residuals([2.0, 1.0], [1.0, 3.0])
    assert figure.to_csv().splitlines() == ["predicted,residual", "1,-1", "3,2"]


def test_a_figure_is_saved_as_svg_or_csv_by_its_suffix(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    figure = drawn("residuals")
    assert figure.save(folder / "new" / "r.svg").read_text("utf-8") == figure.svg
    assert (figure.save(folder / "r.csv")).read_bytes().decode() == figure.to_csv()
    with pytest.raises(SpecError, match=r"path must end in .svg or .csv, got 'r.png'"):
        figure.save(folder / "r.png")
    assert sorted(path.name for path in folder.iterdir()) == ["new", "r.csv"]


def test_a_data_link_holds_exactly_the_text() -> None:
    from urllib.parse import unquote

    text = 'a,"b"\r\n<ü 漢%20#&\'\n'
    head, _, body = data_link("text/csv", text).partition(",")
    assert head == "data:text/csv;charset=utf-8"
    assert unquote(body) == text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: figures.confidence_histogram([0.5], [True, False]),
            "confidence and correct must be equally long",
        ),
        (lambda: figures.length_histogram({"train": ["a"]}), "lengths of 'train' must be numbers"),
        (lambda: figures.residuals([[1.0]], [1.0]), r"truth must have one dimension, got shape \(1, 1\)"),
        (lambda: figures.confusion([[1, 2]], ["a", "b"]), "matrix must be 2 by 2 for 2 labels"),
        (
            lambda: figures.heatmap([[1.0]], title="t", rows=["a", "b"], steps=["c"]),
            r"values must have shape \(2, 1\) for the names given, got \(1, 1\)",
        ),
        (
            lambda: figures.projection([[1.0]], title="t", axes_are=("x", "y")),
            r"points must have shape \(sequences, 2\), got \(1, 1\)",
        ),
        (lambda: figures.roc({"a": ([0, 1], [0, 1])}), r"curve 'a' must be \(x, y, area\), got 2 parts"),
    ],
)
def test_data_of_the_wrong_shape_are_refused_by_name(make: Callable[[], Figure], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()


def test_without_matplotlib_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"drawing figures needs matplotlib.*recurra\[train\]"):
        draw(lambda canvas: None)
