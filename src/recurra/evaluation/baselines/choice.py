"""Which baselines stand beside a network: those that fit the task and the data, by their cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
from recurra.evaluation.baselines.tagging import SignalWindows, StepConstant, WordTag, WordWindows
from recurra.training.progress import duration

BASELINES: Mapping[str, type[Baseline]] = {
    kind.name: kind
    for kind in (
        Majority,
        Mean,
        StepConstant,
        WordTag,
        WordWindows,
        SignalWindows,
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
LEAST_SECONDS = 180.0
"""What the others may always take in all."""
OWN_RATE = 3e10
"""Multiply-adds per second of training a recurrent network, about; measured between 1.5e10 and 1.4e11."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The baselines that were chosen, and in words what was left out of "auto" and why.

    seeds: with how many seeds each is trained; the baselines without chance with one.
    """

    kinds: tuple[type[Baseline], ...]
    seeds: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def fitting(setting: Setting, kind: str) -> dict[str, type[Baseline]]:
    """All baselines for a task and a kind of data ("text", "signal", "events"), by name."""
    return {
        name: baseline
        for name, baseline in BASELINES.items()
        if setting.task in baseline.tasks
        and kind in baseline.kinds
        and (baseline.multilabel or not setting.multilabel)
        and (baseline.numeric or not setting.numeric)
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
    about three minutes, or the time of the `networks` with all their `seeds` and `folds` where that is longer. Each
    is there with one seed before any has more: a baseline that is missing can turn a verdict.
    """
    known = fitting(setting, kind)
    if names in (None, "none", ()):
        return Chosen(kinds=())
    if names == "all":
        return _chosen(known.values(), seeds)
    if names == "auto":
        return _affordable(known, setting, sizes, networks * seeds * folds, (seeds, folds))
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in known:
            raise SpecError(
                f"baselines must be 'auto', 'all', 'none' or of this task, got {name!r}{nearest(name, known)}"
            )
    return _chosen([known[name] for name in dict.fromkeys(wanted)], seeds)


def _chosen(kinds: Iterable[type[Baseline]], seeds: int) -> Chosen:
    taken = tuple(kinds)
    return Chosen(kinds=taken, seeds={kind.name: seeds if kind.neural else 1 for kind in taken})


def _affordable(
    known: Mapping[str, type[Baseline]],
    setting: Setting,
    sizes: Sizes,
    trainings: int,
    repeated: tuple[int, int],
) -> Chosen:
    left = max(LEAST_SECONDS, trainings * network_seconds(setting, sizes))
    seeds, folds = repeated
    costs = {name: baseline.seconds(setting, sizes) * folds for name, baseline in known.items()}
    taken: dict[str, int] = {}
    for name, baseline in known.items():
        free = not baseline.neural and costs[name] <= ALWAYS_SECONDS
        if free or costs[name] <= left:
            taken[name] = 1
            left -= 0.0 if free else costs[name]
    for name in taken:
        if known[name].neural:
            more = seeds - 1 if costs[name] == 0 else min(seeds - 1, int(left / costs[name]))
            taken[name] += more
            left -= more * costs[name]
    return Chosen(
        kinds=tuple(known[name] for name in taken), seeds=taken, notes=_left_out(known, costs, taken, seeds)
    )


def _left_out(
    known: Mapping[str, type[Baseline]], costs: Mapping[str, float], taken: Mapping[str, int], seeds: int
) -> tuple[str, ...]:
    """In words, which baselines are missing for their cost, and which have fewer seeds than the networks."""
    dear = [f"{name} (about {duration(cost)})" for name, cost in costs.items() if name not in taken]
    few = [f"{name} {count}" for name, count in taken.items() if known[name].neural and count < seeds]
    said = [f"baselines left out for their cost: {', '.join(dear)}"] if dear else []
    said += [f"baselines with fewer seeds than {seeds}: {', '.join(few)}"] if few else []
    how = (
        "'auto' spends about as long on them as on the networks; name them, or say 'all', to have them whole"
    )
    return (f"{'; '.join(said)}; {how}",) if said else ()


def network_seconds(setting: Setting, sizes: Sizes) -> float:
    """How long a recurrent network takes, about: three passes per epoch, then one over the rest."""
    steps = sizes.mean * (3 * setting.training.passes * sizes.train + sizes.others)
    return float(setting.operations * steps / OWN_RATE)
