"""The page of `recurra explain` for every kind of model and data."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from contracts.models import LABELS, TEXTS, network, predictor, sequences
from recurra.data.dataset import Dataset
from recurra.data.target_encoders import MultiLabelEncoder, NumberEncoder
from recurra.errors import InputError, SpecError
from recurra.insight.errors import error_analysis
from recurra.insight.pages import Asked, explain_report
from recurra.insight.pages.page import chosen_rows
from recurra.ragged import Ragged
from recurra.report.figure import Figure
from recurra.report.html import render
from recurra.report.items import Report, Table, Text
from recurra.runtime.predictor import ClassifierPredictor, Head, RegressorPredictor, build_model

BRIEF = Asked(examples=1, inside=False)


def titles(report: Report) -> list[str]:
    return [section.title for section in report.sections]


def items(report: Report, title: str) -> list:
    return next(list(section.items) for section in report.sections if section.title.startswith(title))


@pytest.fixture(scope="module")
def model() -> ClassifierPredictor:
    return predictor(network("gru", False, 1))


def test_a_regressor_has_residuals_and_values(model: ClassifierPredictor) -> None:
    head = Head(outputs=1, pooling="last")
    regressor = RegressorPredictor(
        network=model.network, encoder=model.encoder, head=head, target=NumberEncoder.fit([1.0, 4.0]),
        parameters=build_model(model.network, model.encoder, head).initial(1),
    )  # fmt: skip
    data = Dataset(inputs=TEXTS, targets=np.arange(6.0))
    report = explain_report(regressor, data, asked=BRIEF)
    assert "Residuals" in titles(report)
    assert "Mistakes" not in titles(report)
    table = next(item for item in items(report, "All predictions") if isinstance(item, Table))
    assert [row[1] for row in table.rows] == pytest.approx(regressor.predict(TEXTS).tolist())
    assert "Predicted: " in items(report, "Example 1")[0].body
    render(report)


def test_several_labels_are_joined_and_judged_together(model: ClassifierPredictor) -> None:
    target = MultiLabelEncoder.fit([("a",), ("b", "c")])
    several = dataclasses.replace(model, target=target, config={"multilabel": True, "threshold": None})
    data = Dataset(inputs=TEXTS, targets=[("a",), ("b", "c"), (), ("a",), ("b",), ("c",)])
    report = explain_report(several, data, asked=BRIEF)
    assert {"Mistakes", "Confused classes", "How sure it is"} <= set(titles(report))
    assert "Possible label errors" not in titles(report)
    render(report)


def test_a_signal_has_heatmaps_of_channels_by_steps() -> None:
    model = predictor(network("lstm", True, 1), signal=True)
    data = Dataset(
        inputs=Ragged.from_lists(sequences()), targets=LABELS, kind="signal", features=("x", "y", "z")
    )
    report = explain_report(model, data, asked=Asked(examples=6, inside=False))
    drawn = [item for section in report.sections for item in section.items if isinstance(item, Figure)]
    shares = [figure for figure in drawn if figure.title.startswith("What each channel adds")]
    assert len(shares) == 5, "one for each sequence that has a step"
    assert all(len(figure.data) == 4 for figure in shares), "three channels and the names of the steps"
    assert any(figure.title.startswith("The sequence as the model reads it") for figure in drawn)


def test_a_model_in_fewer_bits_is_explained_by_occlusion(model: ClassifierPredictor) -> None:
    small = dataclasses.replace(model, precision="bfloat16")
    data = Dataset(inputs=TEXTS, targets=LABELS)
    report = explain_report(small, data, TEXTS[:1], Asked(examples=1))
    assert "Which attribution to trust" in titles(report)
    assert any(
        "Method: occlusion" in item.body for item in items(report, "Example 1") if isinstance(item, Text)
    )


def test_data_without_a_target_say_so_and_show_predictions(model: ClassifierPredictor) -> None:
    report = explain_report(model, Dataset(inputs=TEXTS), asked=BRIEF)
    assert any("no target" in item.body for item in items(report, "Overview") if isinstance(item, Text))
    table = next(item for item in items(report, "All predictions") if isinstance(item, Table))
    assert list(table.columns) == ["Input", "Predicted", "Confidence", "Steps", "Row"]


def test_training_data_are_called_flattering(model: ClassifierPredictor) -> None:
    data = Dataset(inputs=TEXTS, targets=LABELS)
    own = dataclasses.replace(model, config={**model.config, "data": {"fingerprint": data.fingerprint}})
    told = [
        item.body
        for item in items(explain_report(own, data, asked=BRIEF), "Overview")
        if isinstance(item, Text)
    ]
    assert any("has learnt from" in sentence for sentence in told)
    told = [
        item.body
        for item in items(explain_report(model, data, asked=BRIEF), "Overview")
        if isinstance(item, Text)
    ]
    assert not any("has learnt from" in sentence for sentence in told)


def test_examples_hold_the_surest_mistakes_and_some_that_are_right(model: ClassifierPredictor) -> None:
    errors = error_analysis(model, TEXTS, LABELS)
    rows = chosen_rows(errors, 6, 4, seed=0)
    assert len(set(rows)) == 4
    assert rows[:2] == [mistake.row for mistake in errors.mistakes[:2]]
    assert any(errors.right[row] for row in rows)
    assert chosen_rows(errors, 6, 99, seed=0).__len__() == 6


@pytest.mark.parametrize("options", [{"examples": -1}, {"method": "guess"}])
def test_options_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(SpecError, match=next(iter(options))):
        Asked(**options)


def test_nothing_to_explain_is_refused(model: ClassifierPredictor) -> None:
    with pytest.raises(InputError, match="nothing to explain"):
        explain_report(model)
    with pytest.raises(InputError, match="reads numbers, not texts"):
        explain_report(predictor(network("gru", False, 1), signal=True), None, ["a"])
    with pytest.raises(InputError, match="no sequence to explain"):
        explain_report(model, Dataset(inputs=[]))
