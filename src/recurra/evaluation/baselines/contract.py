"""What every baseline is: fitted on the training split, asked for probabilities or numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recurra.data.encoder import Encoder, InputSpec
from recurra.ragged import Array
from recurra.spec import Network, Training
from recurra.tasks.materials import Materials


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a baseline is told of the comparison that it stands in.

    outputs: classes, labels or numbers. characters: whether the networks read characters. parameters,
    operations: of the network that it stands beside, the second per step in multiply-adds; trained baselines are
    built to a like number. network, training, inputs: that
    network's specifications. encoder: its encoder, which cuts texts into tokens. numeric: whether a tagger answers
    with numbers. seed: of everything random.
    """

    task: str
    outputs: int
    multilabel: bool
    characters: bool
    parameters: int
    operations: int
    network: Network
    training: Training
    inputs: InputSpec
    encoder: Encoder | None = None
    numeric: bool = False
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Training and other sequences, the mean and the largest number of steps."""

    train: int
    others: int
    mean: float
    longest: int


class Baseline(ABC):
    """`fit` on materials, then `answer`: probabilities (S, C) for classes, numbers for numbers; of a tagger
    probabilities (N, C) or numbers for every step of all sequences, in order.

    name: as in tables; tasks, kinds: what it is made for; multilabel, numeric: whether it can answer with several
    labels, and as a tagger with numbers; neural: whether it is a network of like size itself, trained with every
    seed; cheap otherwise, and without chance.
    """

    name: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]] = ("classifier", "regressor")
    kinds: ClassVar[tuple[str, ...]] = ("text", "signal", "events")
    multilabel: ClassVar[bool] = True
    numeric: ClassVar[bool] = True
    neural: ClassVar[bool] = False

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Load the libraries that it uses, so that the time of its training is not that of loading them."""

    @abstractmethod
    def fit(self, train: Materials, targets: Array, held: Materials, held_targets: Array) -> None:
        """Learn from the training split; `held` is the validation split, for those that stop early.

        targets: encoded: class ids (S,), a 0/1 table (S, C), or numbers; of a tagger `Ragged`, codes (below 0 where
        there is none) or numbers (NaN) of all steps.
        """

    @abstractmethod
    def answer(self, held: Materials) -> Array:
        """Probabilities or numbers for sequences."""

    def parameters(self) -> int:
        """How many learnt numbers it keeps."""
        return self.setting.outputs

    @classmethod
    def seconds(cls, setting: Setting, sizes: Sizes) -> float:
        """How long one fit and all answers take on one core, about; 0.0 for what takes a moment whatever the data."""
        return 0.0


class Majority(Baseline):
    """The share of each class in training, for every sequence."""

    name = "majority"
    tasks = ("classifier",)

    def fit(self, train: Materials, targets: Array, held: Materials, held_targets: Array) -> None:
        if self.setting.multilabel:
            self.shares = targets.mean(axis=0)
        else:
            self.shares = np.bincount(targets, minlength=self.setting.outputs) / max(len(targets), 1)

    def answer(self, held: Materials) -> Array:
        return np.repeat(self.shares[None, :], len(held), axis=0)


class Mean(Baseline):
    """The mean of the training targets, for every sequence."""

    name = "mean"
    tasks = ("regressor",)

    def fit(self, train: Materials, targets: Array, held: Materials, held_targets: Array) -> None:
        self.mean = np.asarray(targets, dtype=np.float64).mean(axis=0)

    def answer(self, held: Materials) -> Array:
        return np.repeat(self.mean[None], len(held), axis=0)
