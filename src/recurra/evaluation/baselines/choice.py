"""Which baselines stand beside a network: those that fit the task and the data, by their cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recurra.errors import SpecError, nearest
from recurra.evaluation.baselines.contract import Baseline, Majority, Mean, Setting
from recurra.evaluation.baselines.linear import (
    NaiveBayes,
    SummaryLogistic,
    SummaryRidge,
    TfidfLogistic,
    TfidfRidge,
)
from recurra.evaluation.baselines.neighbours import NearestWarped
from recurra.evaluation.baselines.neural import Convolution, Perceptron, Transformer, recurrent_parameters

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
FREE = 2e9
"""Multiply-adds, some seconds of work, that a baseline may always take."""


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
    names: Any, setting: Setting, kind: str, *, sizes: tuple[int, int, int], networks: int = 1
) -> Chosen:
    """The baselines by "auto", "all", "none", or names out of those that fit.

    "auto": everything that is cheap, and of the rest as many, in the order of `BASELINES`, as together take no
    more multiply-adds than the `networks` themselves. sizes: (training, other) sequences, longest length.
    """
    known = fitting(setting, kind)
    if names in (None, "none", ()):
        return Chosen(kinds=())
    if names == "all":
        return Chosen(kinds=tuple(known.values()))
    if names == "auto":
        return _affordable(known, setting, sizes, networks)
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in known:
            raise SpecError(
                f"baselines must be 'auto', 'all', 'none' or of this task, got {name!r}{nearest(name, known)}"
            )
    return Chosen(kinds=tuple(known[name] for name in dict.fromkeys(wanted)))


def _affordable(
    known: Mapping[str, type[Baseline]], setting: Setting, sizes: tuple[int, int, int], networks: int
) -> Chosen:
    left = networks * network_cost(setting, sizes)
    kinds, dear = [], []
    for name, baseline in known.items():
        cost = baseline.cost(setting, sizes)
        free = cost <= FREE and not baseline.neural
        if not free and cost > left:
            dear.append(name)
            continue
        left -= 0.0 if free else cost
        kinds.append(baseline)
    notes = (
        (
            f"baselines left out for their cost: {', '.join(dear)}; 'auto' spends no more on them than on the "
            "networks; name them, or say 'all', to have them",
        )
        if dear
        else ()
    )
    return Chosen(kinds=tuple(kinds), notes=notes)


def network_cost(setting: Setting, sizes: tuple[int, int, int]) -> float:
    """Multiply-adds of training and asking a recurrent network, about: three passes per epoch, then one."""
    train, others, longest = sizes
    return float(recurrent_parameters(setting) * longest * (3 * setting.training.epochs * train + others))
