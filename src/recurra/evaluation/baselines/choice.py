"""Which baselines stand beside a network: those that fit the task and the data, by their cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recurra.errors import SpecError, nearest
from recurra.evaluation.baselines.contract import Baseline, Majority, Mean, Setting, Sizes
from recurra.evaluation.baselines.linear import (
    NaiveBayes,
    SummaryLogistic,
    SummaryRidge,
    TfidfLogistic,
    TfidfRidge,
)
from recurra.evaluation.baselines.neighbours import NearestWarped
from recurra.evaluation.baselines.neural import Convolution, Perceptron, Transformer
from recurra.training.progress import duration

BASELINES: Mapping[str, type[Baseline]] = {
    kind.name: kind
    for kind in (
        Majority,
        Mean,
        TfidfLogistic,
        TfidfRidge,
        NaiveBayes,
        SummaryLogistic,
        SummaryRidge,
        NearestWarped,
        Convolution,
        Perceptron,
        Transformer,
    )
}
ALWAYS_SECONDS = 10.0
"""What a baseline without chance may always take."""
LEAST_SECONDS = 120.0
"""What the others may always take in all."""
OWN_RATE = 3e10
"""Multiply-adds per second of training a recurrent network, about; measured between 1.5e10 and 1.4e11."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The baselines that were chosen, and in words what was left out of "auto" and why."""

    kinds: tuple[type[Baseline], ...]
    notes: tuple[str, ...] = ()


def fitting(setting: Setting, kind: str) -> dict[str, type[Baseline]]:
    """All baselines for a task and a kind of data ("text", "signal", "events"), by name."""
    return {
        name: baseline
        for name, baseline in BASELINES.items()
        if setting.task in baseline.tasks
        and kind in baseline.kinds
        and (baseline.multilabel or not setting.multilabel)
    }


def choose(
    names: Any,
    setting: Setting,
    kind: str,
    *,
    sizes: Sizes,
    networks: int = 1,
    seeds: int = 1,
    folds: int = 1,
) -> Chosen:
    """The baselines by "auto", "all", "none", or names out of those that fit.

    "auto": everything that takes a moment, and of the rest as many, in the order of `BASELINES`, as together take
    about two minutes, or the time of the `networks` with all their `seeds` and `folds` where that is longer.
    """
    known = fitting(setting, kind)
    if names in (None, "none", ()):
        return Chosen(kinds=())
    if names == "all":
        return Chosen(kinds=tuple(known.values()))
    if names == "auto":
        return _affordable(known, setting, sizes, networks * seeds * folds, (seeds, folds))
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in known:
            raise SpecError(
                f"baselines must be 'auto', 'all', 'none' or of this task, got {name!r}{nearest(name, known)}"
            )
    return Chosen(kinds=tuple(known[name] for name in dict.fromkeys(wanted)))


def _affordable(
    known: Mapping[str, type[Baseline]],
    setting: Setting,
    sizes: Sizes,
    trainings: int,
    repeated: tuple[int, int],
) -> Chosen:
    left = max(LEAST_SECONDS, trainings * network_seconds(setting, sizes))
    seeds, folds = repeated
    kinds, dear = [], []
    for name, baseline in known.items():
        cost = baseline.seconds(setting, sizes) * folds * (seeds if baseline.neural else 1)
        if not baseline.neural and cost <= ALWAYS_SECONDS:
            kinds.append(baseline)
        elif cost <= left:
            left -= cost
            kinds.append(baseline)
        else:
            dear.append(f"{name} (about {duration(cost)})")
    note = (
        f"baselines left out for their cost: {', '.join(dear)}; 'auto' spends about as long on them as on the "
        "networks; name them, or say 'all', to have them"
    )
    return Chosen(kinds=tuple(kinds), notes=(note,) if dear else ())


def network_seconds(setting: Setting, sizes: Sizes) -> float:
    """How long a recurrent network takes, about: three passes per epoch, then one over the rest."""
    steps = sizes.mean * (3 * setting.training.epochs * sizes.train + sizes.others)
    return float(setting.operations * steps / OWN_RATE)
