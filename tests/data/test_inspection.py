from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from recurra.data.dataset import Dataset
from recurra.data.inspection import DataReport, inspect
from recurra.data.summaries import LabelSummary, Lengths, NumberSummary, Spacing, histogram
from recurra.errors import DataError
from recurra.ragged import Ragged

TEXTS = ["a good film", "A  good film", "bad", "", "<b>fine</b> film", "bad"]
LABELS = ["pos", "pos", "neg", "neg", "pos", "pos"]


def words() -> DataReport:
    split = np.array(["train", "train", "train", "train", "test", "test"])
    return inspect(
        Dataset(inputs=TEXTS, targets=LABELS, split=split, source="reviews.csv", notes=("a note",))
    )


def signals(**known: Any) -> Dataset:
    values = np.array([[1.0, 5.0], [np.nan, 5.0], [3.0, 5.0], [np.inf, 5.0]])
    columns = {"code": np.array(["x", "", "x", "y"], dtype=object), "time": np.array([0.0, 1.0, 0.0, 3.0])}
    inputs = Ragged(values=values, offsets=np.array([0, 2, 4, 4]), columns=columns)
    made = {
        "inputs": inputs,
        "kind": "events",
        "features": ("load", "same"),
        "targets": np.array([0.5, 1.5, 2.5]),
    }
    return Dataset(**{**made, **known})


def test_lengths_are_counted_in_words() -> None:
    found = words().lengths
    assert (found.unit, found.minimum, found.maximum, found.total, found.empty) == ("words", 0, 9, 17, 1)
    assert found.mean == pytest.approx(17 / 6)
    assert sum(one.count for one in found.histogram) == 6


def test_classes_are_counted_the_most_frequent_first() -> None:
    found = words().labels
    assert found is not None
    assert list(found.counts.items()) == [("pos", 4), ("neg", 2)]
    assert found.imbalance == 2.0


def test_the_vocabulary_has_size_growth_and_what_train_does_not_know() -> None:
    found = words().vocabulary
    assert found is not None
    assert found.frequent["film"] == 3
    assert found.growth[-1] == (6, found.words)
    assert sorted(found.growth) == list(found.growth)
    assert 0 < found.unseen["test"] < 1
    assert found.with_tags == 1
    assert found.tokens == 17


def test_duplicates_are_found_also_across_parts_and_with_other_targets() -> None:
    report = words()
    assert report.duplicates == 1
    assert report.contradictions == 1
    assert report.overlap is not None
    assert report.overlap.train_test == 1


def test_columns_of_steps_are_summarised() -> None:
    report = inspect(signals())
    load, same = report.features
    assert (load.missing, load.infinite, load.mean, load.constant) == (1, 1, 2.0, False)
    assert (same.constant, same.minimum, same.maximum) == (True, 5.0, 5.0)
    (code,) = report.categories
    assert (code.distinct, code.missing, code.once, code.frequent) == (2, 1, 1, {"x": 2, "y": 1})
    assert report.spacing == Spacing(
        minimum=1.0,
        median=2.0,
        maximum=3.0,
        regular=False,
        irregular=1.0,
        gaps=0,
        missing=0,
        repeated=0,
        backwards=0,
    )
    assert report.lengths.empty == 1


def test_targets_that_are_numbers_are_summarised() -> None:
    (target,) = inspect(signals()).numbers
    assert (target.name, target.mean, target.median) == ("target", 1.5, 1.5)


def test_several_labels_and_static_features_are_summarised() -> None:
    report = inspect(
        signals(
            targets=[("a", "b"), (), ("a",)], static=np.array([[1.0], [2.0], [np.nan]]), static_names=("age",)
        )
    )
    assert report.labels is not None
    assert (report.labels.counts, report.labels.several, report.labels.unlabelled) == (
        {"a": 2, "b": 1},
        True,
        1,
    )
    assert report.static[0].missing == 1


@pytest.mark.parametrize("make", [words, lambda: inspect(signals()), lambda: inspect(["", ""])])
def test_the_report_is_plain_for_machines_and_lines_for_people(make: Any) -> None:
    report = make()
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["sequences"] == report.sequences
    text = str(report)
    assert text == report.to_text()
    assert not text.endswith("\n")
    assert all(line == line.rstrip() for line in text.split("\n") if not line.startswith("  "))


def test_the_text_says_the_main_things() -> None:
    text = str(words())
    for part in (
        "reviews.csv: 6 sequences, kind text",
        "split: train 4, validation 0, test 2",
        "note: a note",
        "length in words: mean 2.8, median 2, min 0, max 9",
        "2 classes; the most frequent is 2 times the rarest",
        "pos        4  66.7%",
        "duplicates: 1, 1 of them with another target",
        "0: [pos] a good film",
    ):
        assert part in text


def test_samples_are_spread_and_shortened() -> None:
    report = inspect([f"{row} " + "word " * 100 for row in range(101)])
    assert [sample.row for sample in report.samples] == [0, 25, 50, 75, 100]
    assert all(len(sample.content) <= 160 for sample in report.samples)


@pytest.mark.parametrize(
    ("inputs", "targets", "part"),
    [
        (["a", "b"], None, "there are no targets"),
        (["a", "b"], ["x", "x"], "there is only one class, so there is nothing to learn"),
        (["a b", ""], ["x", "y"], "1 sequences are empty"),
        (["a b c d"] * 30 + ["b c d e"], ["x"] * 30 + ["y"], "class_weight='balanced'"),
        (
            ["a b c d"] * 30 + ["b c d e"],
            ["x"] * 30 + ["y"],
            "1 of 2 classes have fewer than 20 sequences, 'y' has 1",
        ),
        (["w " * 300] * 3, ["x", "y", "x"], "try sequence_length=300"),
        (["<p>one two three four</p>"] * 2, ["x", "y"], "2 texts hold HTML tags: try clean_html=True"),
        (["Ann", "Bob"], ["x", "y"], "try Characters instead of Words"),
        (["a b c d", "a b c d"], ["x", "y"], "1 sequences occur with different targets"),
        (["a b c d"], ["x"], "1 sequences are few"),
        (np.array([[[1.0], [np.nan]]]), [1.0], "missing='impute'"),
        (np.array([[[1.0], [np.inf]]]), [1.0], "holds 1 infinite values, which training refuses"),
        (np.ones((2, 2, 1)), [1.0, 2.0], "constant features say nothing and can be left out: 'x0'"),
    ],
)
def test_advice_names_what_to_try(inputs: Any, targets: Any, part: str) -> None:
    assert any(part in sentence for sentence in inspect(inputs, targets).advice)


def test_sound_data_get_no_advice() -> None:
    rows = [f"this is the review with number {row} of all" for row in range(600)]
    assert inspect(rows, ["a", "b"] * 300).advice == ()


def test_irregular_steps_suggest_the_elapsed_time() -> None:
    assert "steps are not evenly spaced in time: try elapsed_time=True" in inspect(signals()).advice


def test_sequences_in_two_parts_are_the_advice_that_comes_first() -> None:
    assert words().advice[1].startswith("sequences of train also stand in validation or test")


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        ([], None, "holds no sequences to inspect"),
        (["a"], ["x", "y"], r"targets must be one per sequence \(1\), got 2"),
        ("text", None, "inputs must be a list of texts or of arrays, got str"),
        ([[1.0], ["b"]], None, "inputs"),
    ],
)
def test_what_cannot_be_inspected_is_refused(inputs: Any, targets: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        inspect(inputs, targets)


def test_arrays_and_ragged_inputs_are_inspected() -> None:
    assert inspect(np.zeros((4, 3, 2))).lengths.maximum == 3
    assert inspect([np.zeros(3), np.zeros(2)], np.array([1, 0])).labels.counts == {"0": 1, "1": 1}
    assert inspect(Ragged.from_lists([[1.0], [1.0, 2.0]])).kind == "signal"


def test_histograms_hold_every_finite_value() -> None:
    assert histogram(np.array([np.nan, np.inf])) == ()
    assert [one.count for one in histogram(np.array([2.0, 2.0]))] == [2]
    whole = histogram(np.arange(30.0), whole=True)
    assert sum(one.count for one in whole) == 30
    assert len(whole) <= 12
    assert (whole[0].low, whole[-1].high) == (0, 29)


def test_numbers_near_the_end_of_float64_have_no_infinite_moments() -> None:
    found = NumberSummary.of("x", np.array([1e308, 1e308, -1e308]))
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_summaries_of_nothing_are_defined() -> None:
    assert LabelSummary.of([]).imbalance == 1.0
    assert NumberSummary.of("x", np.array([np.nan])).mean is None
    assert Lengths.of(np.array([0]), "steps").p95 == 0
