"""Ranking scores agree with scikit-learn and with the known scores of real recommenders."""

from __future__ import annotations

import csv
import gzip
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from recurra import metrics
from recurra.errors import DataError, SpecError
from recurra.metrics import MetricWarning, ranking
from shared import shared_data


def test_ranks_are_places_in_the_list() -> None:
    ranks = ranking.ranks_in(["a", "b", "c"], [["a", "b"], ["a", "b"], ["a", "b"]])
    assert ranks.tolist() == [1, 2, math.inf]
    assert metrics.recommendation_scores(ranks, k=2) == pytest.approx(
        {"hit_rate": 2 / 3, "mrr": 0.5, "ndcg": (1 + 1 / math.log2(3)) / 3}
    )
    assert ranking.hit_rate(ranks, 1) == pytest.approx(1 / 3)
    assert ranking.mrr(ranks, None) == 0.5


def test_ties_count_against_the_model() -> None:
    assert ranking.ranks_of([0, 1, 2], np.ones((3, 5))).tolist() == [5, 5, 5]
    assert ranking.ranks_of([2], [[0.1, 0.7, 0.5]]).tolist() == [2]


def check_that_a_constant_model_hits_nothing() -> None:
    assert ranking.hit_rate(ranking.ranks_of(np.arange(50), np.zeros((50, 50))), 20) == 0.0


def test_ties_in_favour_of_the_model_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saboteur: the target stands first among equals."""
    check_that_a_constant_model_hits_nothing()
    optimistic = lambda targets, scores: (scores > scores[np.arange(50), targets][:, None]).sum(axis=1) + 1  # noqa: E731
    monkeypatch.setattr(ranking, "ranks_of", optimistic)
    with pytest.raises(AssertionError):
        check_that_a_constant_model_hits_nothing()


@given(st.integers(0, 1000), st.sampled_from([None, 1, 3, 10]), st.booleans())
def test_graded_ndcg_equals_scikit_learn(seed: int, k: int | None, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    relevance, scores = rng.integers(0, 4, (5, 7)), rng.random((5, 7)).round(1 if ties else 9)
    assert ranking.graded_ndcg(relevance, scores, k) == pytest.approx(ndcg_score(relevance, scores, k=k))


def test_ndcg_of_one_item_is_the_graded_one() -> None:
    scores = np.random.default_rng(0).random((20, 6))
    targets = np.arange(20) % 6
    graded = ranking.graded_ndcg(np.eye(6)[targets], scores, 3)
    assert ranking.ndcg(ranking.ranks_of(targets, scores), 3) == pytest.approx(graded)


@pytest.mark.parametrize("score", [ranking.hit_rate, ranking.mrr, ranking.ndcg])
def test_no_events_are_nan_and_warned_of(score) -> None:  # type: ignore[no-untyped-def]
    with pytest.warns(MetricWarning, match="there are no events"):
        assert math.isnan(score([]))
    with pytest.raises(SpecError, match="k must be at least 1"):
        score([1], 0)
    with pytest.raises(DataError, match="ranks must be at least 1"):
        score([0])


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(DataError, match="column numbers from 0 to 1"):
        ranking.ranks_of([2], [[0.1, 0.2]])
    with pytest.raises(DataError, match=r"shape \(events, places\)"):
        ranking.ranks_in([1], [1])
    with pytest.raises(DataError, match="relevance must not be negative"):
        ranking.graded_ndcg([[-1]], [[0]])
    assert ranking.ranks_in([1], np.zeros((1, 0))).tolist() == [math.inf]


@pytest.mark.parametrize(
    ("system", "hit_rate", "mrr"),
    [("gru4rec", 0.5711, 0.3289), ("ar", 0.5917, 0.3160), ("sr", 0.5607, 0.3275), ("vsknn", 0.6098, 0.3342)],
)
def test_recommenders_on_yoochoose_get_their_known_scores(system: str, hit_rate: float, mrr: float) -> None:
    folder = shared_data("yoochoose_100k")
    sessions = defaultdict(list)
    with gzip.open(folder / "yoochoose-clicks-100k_test.txt.gz", "rt") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            sessions[row["SessionId"]].append(int(row["ItemId"]))
    targets, recommended = [], []
    with gzip.open(folder / "recommendations" / f"recoms_rsc15_100k_{system}.csv.gz", "rt") as file:
        for row in csv.DictReader(file, delimiter=";"):
            targets.append(sessions[row["SessionId"]][int(row["Position"]) + 1])
            places = [int(item) for item in row["Recommendations"].split(",")]
            recommended.append((places + [-1] * 50)[:50])
    result = metrics.scores("recommender", targets, recommended, k=20)
    assert len(targets) == 387
    assert (round(result["hit_rate"], 4), round(result["mrr"], 4)) == (hit_rate, mrr)
