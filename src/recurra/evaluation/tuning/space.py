"""What a search may choose: the usual ranges of the usual options, less what the user has chosen already."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.spec import without_effect
from recurra.tasks.estimator import SequenceEstimator


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A whole number from low to high; log: drawn so that each doubling is as likely; step: multiples of it."""

    low: int
    high: int
    log: bool = False
    step: int = 1


@dataclass(frozen=True, kw_only=True)
class Share:
    """A number from low to high; log: drawn so that each doubling is as likely."""

    low: float
    high: float
    log: bool = False


Space = Mapping[str, Whole | Share | Sequence[Any]]
"""Option as `network.hidden_size` or `training.learning_rate` -> range, or the values to choose from."""

DEFAULTS: Space = {
    "network.cell": ("lstm", "gru", "rnn"),
    "network.bidirectional": (False, True),
    "network.hidden_size": Whole(low=32, high=512, log=True, step=16),
    "network.num_layers": Whole(low=1, high=4),
    "network.dropout": Share(low=0.2, high=0.5),
    "training.learning_rate": Share(low=1e-4, high=1e-2, log=True),
    "training.gradient_clip": Share(low=1.0, high=10.0),
}
"""Dropout stands between layers; with one layer it is that of the output."""


def default_space(fixed: Collection[str] = ()) -> dict[str, Whole | Share | Sequence[Any]]:
    """`DEFAULTS` without the options that are `fixed`."""
    return {name: among for name, among in DEFAULTS.items() if name not in fixed}


def suggested(trial: Any, space: Space) -> dict[str, Any]:
    """One draw from the space; `trial` is Optuna's."""
    found: dict[str, Any] = {}
    for name, among in space.items():
        if isinstance(among, Whole):
            value = trial.suggest_int(name, among.low, among.high, log=among.log)
            found[name] = max(among.low, round(value / among.step) * among.step)
        elif isinstance(among, Share):
            found[name] = trial.suggest_float(name, among.low, among.high, log=among.log)
        else:
            found[name] = trial.suggest_categorical(name, list(among))
    return found


def applied(estimator: SequenceEstimator, options: Mapping[str, Any]) -> SequenceEstimator:
    """A copy of the estimator with these options; what a drawn cell or depth cannot use is left out or moved."""
    made = type(estimator)(**estimator.get_params(deep=False))
    network = {n.removeprefix("network."): v for n, v in options.items() if n.startswith("network.")}
    training = {n.removeprefix("training."): v for n, v in options.items() if n.startswith("training.")}
    asked = _own(made, "network")
    if network.get("num_layers", asked.num_layers) == 1:
        dropout = network.pop("dropout", None)
        network |= {"dropout": None} | ({} if dropout is None else {"output_dropout": dropout})
    network |= dict.fromkeys(without_effect(network.get("cell", asked.cell)))
    made.set_params(**{f"network__{name}": value for name, value in network.items()})
    return made.set_params(**{f"training__{name}": value for name, value in training.items()})


def as_asked(estimator: SequenceEstimator, space: Space) -> dict[str, Any]:
    """The estimator's own values of the options of the space."""
    parts = [name.partition(".")[::2] for name in space]
    return {
        f"{section}.{option}": getattr(_own(estimator, section).resolved(), option)
        for section, option in parts
    }


def _own(estimator: SequenceEstimator, section: str) -> Any:
    """The specification that the estimator was given, else the one that it would use."""
    return getattr(estimator, section) or estimator.default(section)
