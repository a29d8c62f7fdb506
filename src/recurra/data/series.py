"""What can be wrong with, or be known of, numbers in time: stuck and extreme values, trend, season."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from recurra.data.cells import Array, Floats
from recurra.data.summaries import Record
from recurra.ragged import Ragged

TESTS = 60
"""Tests of stationarity and season in all; of each feature the longest sequences are tested, 2 to 10."""
LEAST = 50
POINTS = 3000
EXTREME = 4.0
STUCK = 0.2
SEASON = 0.3
LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class SeriesSummary(Record):
    """One feature in time.

    extreme: values more than 4 times farther from the median than 99 of 100 are. stuck: share of the steps in runs
    of equal values that are longer than a fifth of their sequence (50 steps at least). constant: sequences that
    never change.
    adf, kpss: median p-values over the tested sequences (small adf: no unit root; small kpss: not stationary around a
    level); None where untested. trend: "stationary", "trend or unit root", or "unclear" where the two disagree.
    season: period in steps, None where there is none; season_strength: autocorrelation there.
    tested: how many sequences were.
    """

    name: str
    extreme: int
    stuck: float
    constant: int
    adf: float | None
    kpss: float | None
    trend: str | None
    season: int | None
    season_strength: float | None
    tested: int


def series_summaries(inputs: Ragged, names: Sequence[str]) -> tuple[SeriesSummary, ...]:
    """Summarise every feature of the steps."""
    values = np.asarray(inputs.values, dtype=np.float64)
    values = values if values.ndim == 2 else values[:, None]
    each = int(np.clip(TESTS // max(len(names), 1), 2, 10))
    return tuple(_summary(name, values[:, place], inputs.offsets, each) for place, name in enumerate(names))


def _summary(name: str, column: Floats, offsets: Array, most: int) -> SeriesSummary:
    pieces = [column[begin:end] for begin, end in pairwise(offsets)]
    long = sorted((piece for piece in pieces if len(piece) >= LEAST), key=len, reverse=True)[:most]
    series = [_filled(piece[:POINTS]) for piece in long]
    series = [one for one in series if len(one) and np.ptp(one) > 0]
    tests = [_stationarity(one) for one in series]
    known = [found for found in tests if found is not None]
    adf, kpss = (float(np.median([found[k] for found in known])) if known else None for k in (0, 1))
    period, strength = _agreed([_season(one, found) for one, found in zip(series, tests, strict=True)])
    return SeriesSummary(
        name=name,
        extreme=_extreme(column),
        stuck=_stuck(pieces, len(column)),
        constant=sum(len(piece) > 1 and bool(np.all(piece == piece[0])) for piece in pieces),
        adf=adf,
        kpss=kpss,
        trend=None if adf is None or kpss is None else _verdict(adf, kpss),
        season=period,
        season_strength=strength,
        tested=len(series),
    )


def _verdict(adf: float, kpss: float) -> str:
    if adf <= LEVEL < kpss:
        return "stationary"
    return "trend or unit root" if kpss <= LEVEL < adf else "unclear"


def _filled(series: Floats) -> Floats:
    """Missing values on the line between their neighbours; empty where nothing is known."""
    known = np.flatnonzero(np.isfinite(series))
    if not len(known):
        return np.zeros(0)
    return np.interp(np.arange(len(series)), known, series[known])


def _extreme(column: Floats) -> int:
    known = column[np.isfinite(column)]
    if not len(known):
        return 0
    far = np.abs(known - np.median(known))
    usual = float(np.quantile(far, 0.99))
    return int((far > EXTREME * usual).sum()) if usual > 0 else 0


def _stuck(pieces: Sequence[Floats], steps: int) -> float:
    stuck = 0
    for piece in pieces:
        edges = np.flatnonzero(np.diff(piece) != 0) + 1
        runs = np.diff(np.concatenate([[0], edges, [len(piece)]]))
        if len(runs) > 1:
            stuck += int(runs[runs > max(LEAST, STUCK * len(piece))].sum())
    return stuck / steps if steps else 0.0


def _stationarity(series: Floats) -> tuple[float, float, float] | None:
    """p-values of the augmented Dickey-Fuller test and of KPSS, both around a level, and of the former around a
    trend; None without statsmodels."""
    try:
        from statsmodels.tools.sm_exceptions import InterpolationWarning
        from statsmodels.tsa.stattools import adfuller, kpss
    except ImportError:
        return None
    with warnings.catch_warnings():
        # KPSS p-values are tabulated from 0.01 to 0.1: beyond, the nearest is given, which is all that is needed.
        warnings.simplefilter("ignore", InterpolationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        try:
            level, line = (float(adfuller(series, regression=kind)[1]) for kind in ("c", "ct"))
            return level, float(kpss(series, regression="c", nlags="auto")[1]), line
        except (ValueError, np.linalg.LinAlgError):
            return None


def _season(series: Floats, tests: tuple[float, float, float] | None) -> tuple[int, float] | None:
    """The lag of the highest peak of the autocorrelation, of at least three periods; and how high it is.

    A series with a unit root has peaks by chance, so its differences are looked at instead.
    """
    wanders = tests is not None and tests[2] > LEVEL
    time = np.arange(len(series))
    flat = np.diff(series) if wanders else series - np.polyval(np.polyfit(time, series, 1), time)
    found = _autocorrelation(flat)[: len(flat) // 3 + 1]
    if len(found) < 4:
        return None
    inner = np.arange(2, len(found) - 1)
    peaks = inner[(found[inner] >= found[inner - 1]) & (found[inner] > found[inner + 1])]
    # A peak before the correlation has ever fallen is no repetition but mere smoothness.
    fallen = np.flatnonzero(found < SEASON / 2)
    peaks = peaks[peaks > fallen[0]] if len(fallen) else peaks[:0]
    least = max(SEASON, 4 / np.sqrt(len(flat)))
    peaks = peaks[found[peaks] > least]
    if not len(peaks):
        return None
    best = int(peaks[found[peaks].argmax()])
    # Multiples of the period are nearly as high: the shortest lag that is nearly as high is the period.
    nearly = peaks[found[peaks] >= 0.9 * found[best]]
    return int(nearly[0]), float(found[nearly[0]])


def _autocorrelation(series: Floats) -> Floats:
    centred = series - series.mean()
    size = 1 << (2 * len(centred) - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(centred, size)) ** 2
    found = np.fft.irfft(spectrum, size)[: len(centred)]
    # Each lag by its own number of pairs: otherwise long periods would look weaker than they are.
    found = found / np.arange(len(centred), 0, -1)
    return np.asarray(found / found[0] if found[0] > 0 else np.zeros(len(centred)))


def _agreed(found: Sequence[tuple[int, float] | None]) -> tuple[int | None, float | None]:
    """The period that at least half of the series share, within a tenth."""
    periods = [one for one in found if one is not None]
    if not periods or 2 * len(periods) < len(found):
        return None, None
    middle = int(np.median([period for period, _ in periods]))
    near: list[Any] = [one for one in periods if abs(one[0] - middle) <= max(1, 0.1 * middle)]
    if 2 * len(near) < len(found):
        return None, None
    return int(np.median([period for period, _ in near])), float(np.median([height for _, height in near]))
