"""The interval of a share: SciPy's numbers, and its coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from recurra.errors import SpecError
from recurra.metrics.shares import share_interval


@pytest.mark.parametrize(("right", "units"), [(0, 10), (8, 10), (10, 10), (1, 1), (893, 1000)])
def test_it_is_wilsons_score_interval(right, units):
    oracle = stats.binomtest(right, units).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose(share_interval(right / units, units), (oracle.low, oracle.high), atol=1e-12)


def test_it_holds_the_truth_as_often_as_it_says():
    drawn = np.random.default_rng(0).binomial(80, 0.9, 4000)
    held = [low <= 0.9 <= high for low, high in (share_interval(k / 80, 80) for k in drawn)]
    assert 0.93 < np.mean(held) < 0.975


@pytest.mark.parametrize(("share", "units"), [(0.5, 0), (1.1, 10), (float("nan"), 10)])
def test_what_is_no_share_is_refused(share, units):
    with pytest.raises(SpecError, match="share must be between 0 and 1"):
        share_interval(share, units)
