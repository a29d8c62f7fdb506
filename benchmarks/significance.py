"""Print, per test of significance, how it agrees with its oracle and how often it is right and wrong by simulation.

`python benchmarks/significance.py [--draws 1000]`. Oracle: the greatest difference of p over 100 random inputs to
what SciPy or statsmodels computes (bootstraps: to Student's t, with which they agree up to their draws). False
positives: the share of draws without a difference in which p <= 5%, beside the 99% point of the binomial law; power:
the share with the stated effect. The draws are those of the tests of the library. Exit code 1 where a bound is
passed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from metrics import test_false_positives as trials
from recurra.metrics import significance as sig

INPUTS = 100
LEVEL = 0.05
Generator = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Row:
    """One test. difference: |p - p of the oracle| for random inputs; within: how much is allowed of it. trial: a draw
    with an effect; effect: the one that the power is stated at."""

    name: str
    oracle: str
    difference: Callable[[Generator], float]
    within: float
    trial: trials.Trial
    effect: float


def bootstrap(rng: Generator) -> float:
    a, b = np.add(rng.normal(size=(2, 200)), [[0.1], [0.0]])
    return abs(sig.paired_bootstrap(a, b, resamples=1999).p - stats.ttest_rel(a, b).pvalue)


def mcnemar(rng: Generator) -> float:
    a, b = rng.random((2, 100)) < [[0.8], [0.7]]
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return abs(sig.mcnemar(a, b).p - stats.binomtest(only_a, only_a + only_b).pvalue)


def wilcoxon(rng: Generator) -> float:
    a, b = np.add(rng.standard_t(3, size=(2, 14)), [[0.5], [0.0]])
    return abs(sig.wilcoxon(a, b).p - stats.wilcoxon(a, b, method="exact").pvalue)


def resampled_t(rng: Generator) -> float:
    """Nadeau and Bengio's formula, written out."""
    a, b = np.add(rng.normal(size=(2, 10)), [[0.3], [0.0]])
    d = a - b
    t = d.mean() / np.sqrt((1 / 10 + 20 / 80) * d.var(ddof=1))
    return abs(sig.corrected_resampled_t(a, b, train_size=80, test_size=20).p - 2 * stats.t(9).sf(abs(t)))


def diebold_mariano(rng: Generator) -> float:
    """Ordinary least squares on a constant with robust errors, and Harvey's factor."""
    import statsmodels.api as sm

    count, h = 100, 3
    d = rng.normal(0.1, 1, count)
    fitted = sm.OLS(d, np.ones(count)).fit(
        cov_type="HAC", cov_kwds={"maxlags": h - 1, "kernel": "uniform", "use_correction": False}
    )
    factor = np.sqrt((count + 1 - 2 * h + h * (h - 1) / count) / count)
    expected = 2 * stats.t(count - 1).sf(abs(float(fitted.tvalues[0]) * factor))
    return abs(sig.diebold_mariano(d, np.zeros(count), horizon=h).p - expected)


def blocks(rng: Generator) -> float:
    a, b = np.add(rng.normal(size=(2, 300)), [[0.1], [0.0]])
    return abs(
        sig.moving_block_bootstrap(a, b, block_length=1, resamples=1999).p - stats.ttest_rel(a, b).pvalue
    )


def holm(rng: Generator) -> float:
    from statsmodels.stats.multitest import multipletests

    p = rng.random(8) ** 2
    return float(np.abs(sig.holm(p) - multipletests(p, method="holm")[1]).max())


def any_of_eight(rng: Generator, effect: float) -> sig.Significance:
    """The smallest Holm-adjusted p of eight comparisons, as a test."""
    found = [trials.signed_ranks(rng, effect) for _ in range(8)]
    least = int(np.argmin([one.p for one in found]))
    adjusted = sig.holm([one.p for one in found])
    values = {name: getattr(found[least], name) for name in found[least].__dataclass_fields__}
    return sig.Significance(**{**values, "p": float(adjusted[least])})


ROWS = (
    Row(
        name="paired bootstrap",
        oracle="Student's t (SciPy)",
        difference=bootstrap,
        within=0.05,
        trial=trials.bootstrap_of_accuracy,
        effect=0.15,
    ),
    Row(
        name="McNemar, exact",
        oracle="binomial test (SciPy)",
        difference=mcnemar,
        within=1e-9,
        trial=trials.exact_mcnemar,
        effect=0.15,
    ),
    Row(
        name="Wilcoxon",
        oracle="exact (SciPy)",
        difference=wilcoxon,
        within=1e-9,
        trial=trials.signed_ranks,
        effect=2.0,
    ),
    Row(
        name="resampled t",
        oracle="formula (SciPy's t)",
        difference=resampled_t,
        within=1e-9,
        trial=trials.random_splits,
        effect=0.7,
    ),
    Row(
        name="Diebold-Mariano",
        oracle="OLS + HAC (statsmodels)",
        difference=diebold_mariano,
        within=1e-6,
        trial=trials.forecasts,
        effect=1.0,
    ),
    Row(
        name="block bootstrap",
        oracle="Student's t (SciPy)",
        difference=blocks,
        within=0.05,
        trial=trials.blocks,
        effect=0.7,
    ),
    Row(
        name="Holm, of eight",
        oracle="multipletests (statsmodels)",
        difference=holm,
        within=1e-9,
        trial=any_of_eight,
        effect=2.0,
    ),
)


def main() -> int:
    """Print the table; 1 where an agreement or a level does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000, help="simulated data sets per test")
    draws = parser.parse_args().draws
    bound = stats.binom.ppf(0.99, draws, LEVEL) / draws
    print(
        f"{'test':<18}{'oracle':<29}{'worst |dp|':>11}{'false positives':>17}{'bound':>8}{'power':>8}  at effect"
    )
    held = [show(row, draws, bound) for row in ROWS]
    return 0 if all(held) else 1


def show(row: Row, draws: int, bound: float) -> bool:
    """Print one line; True where the oracle agrees and the level is held."""
    rng = np.random.default_rng(1)
    worst = max(row.difference(rng) for _ in range(INPUTS))
    false = trials.rejected(row.trial, draws) / draws
    power = trials.rejected(row.trial, min(draws, 200), row.effect) / min(draws, 200)
    print(
        f"{row.name:<18}{row.oracle:<29}{worst:>11.2g}{false:>17.3f}{bound:>8.3f}{power:>8.2f}  {row.effect:g}",
        flush=True,
    )
    return worst <= row.within and false <= bound


if __name__ == "__main__":
    sys.exit(main())
