"""Errors: the surest mistakes, groups with intervals, typical words, possible label errors."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.models import LABELS, TEXTS, network, predictor, sequences
from insight import saboteurs
from recurra.data.dataset import Dataset
from recurra.data.target_encoders import MultiLabelEncoder, NumberEncoder
from recurra.errors import DataError, SpecError
from recurra.insight.errors import (
    ClassErrors,
    ResidualErrors,
    cross_validated_probabilities,
    error_analysis,
    label_issues,
    typical_words,
)
from recurra.insight.errors.groups import by_column, by_number, by_unknown, mean_of
from recurra.metrics.shares import share_interval
from recurra.runtime.predictor import ClassifierPredictor, Predictor, RegressorPredictor
from shared import assert_noticed


@pytest.fixture(scope="module")
def model() -> ClassifierPredictor:
    return predictor(network("gru", False, 1))


@pytest.fixture(scope="module")
def errors(model: ClassifierPredictor) -> ClassErrors:
    found = error_analysis(model, TEXTS, LABELS, columns={"shop": ["x", "y", "x", "y", "x", "y"]})
    assert isinstance(found, ClassErrors)
    return found


def with_target(model: Predictor, kind: type[Predictor], target, **config) -> Predictor:
    return kind(
        network=model.network, encoder=model.encoder, head=model.head, target=target,
        parameters=model.parameters, config=config,
    )  # fmt: skip


def check_confidence(model: ClassifierPredictor) -> None:
    """The confidence is the probability of the predicted class, bit for bit, of right and wrong answers alike."""
    errors = error_analysis(model, TEXTS, LABELS)
    assert isinstance(errors, ClassErrors)
    assert not errors.right.all(), "without a mistake this would test nothing"
    for row, record in enumerate(model.records(TEXTS)):
        assert errors.confidence[row] == np.float32(record["probability"])
        assert errors.confidence[row] == max(record["probabilities"].values())
    for mistake in errors.mistakes:
        assert mistake.confidence == errors.confidence[mistake.row]


def test_confidence_is_that_of_the_predicted_class(model: ClassifierPredictor) -> None:
    check_confidence(model)


def test_confidence_of_the_label_would_be_noticed(model: ClassifierPredictor) -> None:
    assert_noticed(saboteurs.confidence_of_the_label(), lambda: check_confidence(model))


def test_mistakes_hold_the_text_as_given_and_come_surest_first(errors: ClassErrors) -> None:
    wrong = [row for row in range(len(TEXTS)) if not errors.right[row]]
    assert sorted(mistake.row for mistake in errors.mistakes) == wrong
    assert [m.confidence for m in errors.mistakes] == sorted(
        (m.confidence for m in errors.mistakes), reverse=True
    )
    for mistake in errors.mistakes:
        assert mistake.text == TEXTS[mistake.row]
        assert mistake.label == LABELS[mistake.row] != mistake.predicted
        assert mistake.steps == len(TEXTS[mistake.row].split())


def test_every_division_holds_every_sequence_once(errors: ClassErrors) -> None:
    assert set(errors.groups) == {"class", "length", "unknown words", "shop"}
    for members in errors.groups.values():
        assert sum(group.count for group in members) == len(TEXTS)
        right = sum(group.count * group.score for group in members)
        assert right == pytest.approx(errors.right.sum())
        assert all(group.interval == share_interval(group.score, group.count) for group in members)
        assert all(group.small for group in members)


def test_pairs_add_up_to_the_mistakes(errors: ClassErrors) -> None:
    assert sum(pair.count for pair in errors.pairs) == (~errors.right).sum()
    assert all(pair.true != pair.predicted and 0 < pair.share <= 1 for pair in errors.pairs)


def test_several_labels_are_wrong_where_any_is(model: ClassifierPredictor) -> None:
    target = MultiLabelEncoder.fit([("a",), ("b", "c"), ()])
    several = with_target(model, ClassifierPredictor, target, multilabel=True, threshold=None)
    labels = [("a",), ("b", "c"), (), ("a", "b", "c"), ("b",), ("c",)]
    errors = error_analysis(several, TEXTS, labels)
    answers = several.predict(TEXTS)
    np.testing.assert_array_equal(
        errors.right, [set(a) == set(b) for a, b in zip(answers, labels, strict=True)]
    )
    table = several.predict_proba(TEXTS)
    for row, answer in enumerate(answers):
        sure = [p if name in answer else 1 - p for name, p in zip("abc", table[row], strict=True)]
        assert errors.confidence[row] == pytest.approx(min(sure))
    missed = sum(len(set(b) - set(a)) for a, b in zip(answers, labels, strict=True))
    added = sum(len(set(a) - set(b)) for a, b in zip(answers, labels, strict=True))
    assert sum(pair.count for pair in errors.pairs) == missed + added
    assert errors.issues is None


@pytest.mark.parametrize("width", [1, 3])
def test_a_regressor_is_judged_by_its_residuals(model: ClassifierPredictor, width: int) -> None:
    from recurra.runtime.predictor import Head, build_model

    head = Head(outputs=width, pooling="last")
    target = NumberEncoder.fit([1.0, 2.0, 5.0] if width == 1 else np.arange(9.0).reshape(3, 3))
    parameters = build_model(model.network, model.encoder, head).initial(3)
    regressor = RegressorPredictor(
        network=model.network, encoder=model.encoder, head=head, target=target, parameters=parameters
    )
    truth = np.arange(6.0 * width).reshape(6, width) if width > 1 else np.arange(6.0)
    errors = error_analysis(regressor, TEXTS, truth)
    assert isinstance(errors, ResidualErrors)
    off = np.abs(regressor.predict(TEXTS) - truth).reshape(6, -1).mean(axis=1)
    np.testing.assert_allclose(errors.errors, off)
    assert [found.row for found in errors.largest] == np.argsort(-off, kind="stable").tolist()
    assert errors.largest[0].residual == errors.largest[0].predicted - errors.largest[0].true
    assert errors.score == pytest.approx(off.mean())


def test_signals_are_named_by_their_row_and_length() -> None:
    model = predictor(network("lstm", False, 1), signal=True)
    errors = error_analysis(model, sequences(), LABELS)
    assert isinstance(errors, ClassErrors)
    assert "unknown words" not in errors.groups
    for mistake in errors.mistakes:
        assert mistake.text == f"sequence {mistake.row} ({len(sequences()[mistake.row])} steps)"


def test_a_data_set_brings_its_columns_but_not_its_identifiers(model: ClassifierPredictor) -> None:
    columns = {"id": np.array(list("uvwxyz")), "shop": np.array(list("ababab")), "year": np.arange(6)}
    errors = error_analysis(model, Dataset(inputs=TEXTS, targets=LABELS, columns=columns))
    assert {"shop", "year"} <= set(errors.groups)
    assert "id" not in errors.groups


@pytest.mark.parametrize(
    ("targets", "columns", "told"),
    [
        (None, {}, "targets must be given"),
        (["a"], {}, "one per sequence"),
        (LABELS, {"shop": ["x"]}, "shop must have one value per sequence"),
    ],
)
def test_what_does_not_fit_is_refused(model: ClassifierPredictor, targets, columns, told: str) -> None:
    with pytest.raises(DataError, match=told):
        error_analysis(model, TEXTS, targets, columns=columns)


class TestGroups:
    def test_numbers_are_parted_evenly_and_equal_numbers_stay_together(self) -> None:
        lengths = np.array([1] * 50 + list(range(2, 52)))
        groups = by_number(np.ones(100), lengths, whole=True)
        assert sum(group.count for group in groups) == 100
        assert groups[0].name == "1"
        assert groups[0].count == 50
        assert groups[-1].name.endswith("to 51")

    def test_missing_numbers_are_a_group(self) -> None:
        groups = by_number(np.ones(4), np.array([1.0, np.nan, 2.0, np.nan]))
        assert {group.name: group.count for group in groups} == {"1": 1, "2": 1, "missing": 2}

    def test_unknown_words_are_parted_at_round_shares(self) -> None:
        groups = by_unknown(np.ones(5), np.array([0.0, 0.05, 0.051, 0.2, 0.9]))
        assert [group.name for group in groups] == [
            "none", "up to 5%", "up to 10%", "up to 20%", "more than 20%",
        ]  # fmt: skip

    def test_rare_names_go_together(self) -> None:
        names = [name for place in range(30) for name in [f"n{place:02d}"] * (31 - place)]
        groups = by_column(np.ones(len(names)), names)
        assert len(groups) == 12
        assert groups[-1].name == "19 others"
        assert sum(group.count for group in groups) == len(names)

    def test_the_interval_of_a_mean_holds_it_in_nineteen_of_twenty_cases(self) -> None:
        generator = np.random.default_rng(0)
        inside = 0
        for _ in range(400):
            low, high = mean_of(generator.standard_normal(50))[1]
            inside += low <= 0 <= high
        assert 0.91 <= inside / 400 <= 0.98


class TestTypicalWords:
    GROUP = [{"the", "film", "not"}, {"the", "not", "good"}, {"the", "a", "not"}] * 10
    OTHERS = [{"the", "film", "good"}, {"the", "a", "film"}, {"the", "good", "a"}] * 40

    def test_a_word_that_marks_the_group_comes_first_and_one_of_all_texts_does_not_come(self) -> None:
        found = typical_words(self.GROUP, self.OTHERS)
        assert found[0].word == "not"
        assert found[0].texts == 30
        assert "the" not in {word.word for word in found}

    def test_chance_is_rarely_called_typical(self) -> None:
        generator = np.random.default_rng(1)
        words = np.array([f"w{n}" for n in range(50)])
        texts = [set(words[generator.random(50) < 0.2]) for _ in range(300)]
        assert len(typical_words(texts[:100], texts[100:], most=50)) <= 6

    def test_a_word_of_one_text_is_left_out(self) -> None:
        assert typical_words([{"once"}, {"x"}], [{"x"}] * 50) == ()

    def test_the_score_is_the_log_odds_ratio_in_standard_errors(self) -> None:
        (found,) = typical_words([{"a"}] * 4 + [{"b"}] * 4, [{"b"}] * 12, strength=2.0, least=1.0)
        ours, theirs, prior_a = 4.0, 0.0, 2.0 * 4 / 20
        mine = np.log((ours + prior_a) / (8 + 2 - ours - prior_a))
        other = np.log((theirs + prior_a) / (12 + 2 - theirs - prior_a))
        assert found.word == "a"
        assert found.z == pytest.approx((mine - other) / np.sqrt(1 / (ours + prior_a) + 1 / prior_a))


def noisy(flipped: int = 40, rows: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities that know the truth roughly, labels of which some were flipped, and which."""
    generator = np.random.default_rng(5)
    truth = generator.integers(0, 3, rows)
    scores = generator.standard_normal((rows, 3)) + 3.5 * np.eye(3)[truth]
    table = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    odd = generator.choice(rows, flipped, replace=False)
    labels = truth.copy()
    labels[odd] = (labels[odd] + 1 + generator.integers(0, 2, flipped)) % 3
    return table, labels, odd


class TestLabelIssues:
    def check(self, issues, odd) -> None:
        found = {issue.row for issue in issues.items}
        hit = len(found & set(odd.tolist()))
        assert hit >= 0.75 * len(odd), "most flipped labels are found"
        assert hit >= 0.75 * len(found), "and most of what is found was flipped"
        assert issues.share == pytest.approx(len(odd) / issues.rows, abs=0.03)

    def test_flipped_labels_are_found(self) -> None:
        table, labels, odd = noisy()
        issues = label_issues(table, labels)
        self.check(issues, odd)
        assert issues.joint.sum() == pytest.approx(1)
        margins = [issue.margin for issue in issues.items]
        assert margins == sorted(margins, reverse=True)

    def test_probabilities_of_other_rows_would_be_noticed(self) -> None:
        table, labels, odd = noisy()
        assert_noticed(
            saboteurs.labels_of_the_neighbour(), lambda: self.check(label_issues(table, labels), odd)
        )

    def test_right_labels_are_mostly_left_alone(self) -> None:
        table, labels, _ = noisy(flipped=0)
        assert len(label_issues(table, labels)) <= 0.03 * len(labels)

    def test_thresholds_are_the_mean_confidence_per_class(self) -> None:
        table = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.85, 0.15]])
        issues = label_issues(table, ["x", "x", "y", "y"], ["x", "y"])
        np.testing.assert_allclose(issues.thresholds, [0.8, 0.475])
        assert [(issue.row, issue.given, issue.suggested) for issue in issues.items] == [(3, "y", "x")]
        np.testing.assert_allclose(issues.joint, [[0.5, 0], [0.25, 0.25]])

    @pytest.mark.parametrize(
        ("table", "labels", "told"),
        [
            ([0.5, 0.5], [0, 1], "table of numbers"),
            ([[0.5, 0.5]], [0, 1], "one per row"),
            ([[0.5, 0.5]], [2], "out of 2 classes"),
            ([[np.nan, 0.5]], [0], "table of numbers"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, table, labels, told: str) -> None:
        with pytest.raises(DataError, match=told):
            label_issues(table, labels)


class _Counting:
    """A classifier by the first word, in the manner of an estimator."""

    def get_params(self, deep: bool = True) -> dict[str, object]:
        return {}

    def fit(self, inputs, targets, static=None) -> _Counting:
        self.classes_ = sorted(set(targets))
        self.seen = dict(zip(inputs, targets, strict=True))
        return self

    def predict_proba(self, inputs, static=None) -> np.ndarray:
        assert not set(inputs) & set(self.seen), "asked about what it has learnt"
        return np.array([[0.9, 0.1] if text.startswith("a") else [0.2, 0.8] for text in inputs])


def test_cross_validated_probabilities_come_from_copies_that_have_not_seen_the_sequence() -> None:
    texts = [f"{'ab'[n % 2]} {n}" for n in range(20)]
    labels = ["xy"[n % 2] for n in range(20)]
    model = _Counting()
    table = cross_validated_probabilities(model, texts, labels, folds=4)
    np.testing.assert_array_equal(table, [[0.9, 0.1], [0.2, 0.8]] * 10)
    assert not hasattr(model, "seen")
    with pytest.raises(SpecError, match="at least 2"):
        cross_validated_probabilities(model, texts, labels, folds=1)
    with pytest.raises(SpecError, match="Classifier"):
        cross_validated_probabilities(object(), texts, labels)
