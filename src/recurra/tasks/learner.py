"""What every estimator has once it has learnt: the predictor inside, its size, saving and loading."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from recurra.data.encoder import Encoder
from recurra.errors import InputError, NotFittedError
from recurra.graph.model import Model
from recurra.metrics.calibrated import Conformal
from recurra.ragged import Array
from recurra.runtime.predictor import Head, Predictor
from recurra.runtime.store import load_predictor, save_predictor
from recurra.spec import Network, Training
from recurra.tasks.configured import Configured
from recurra.tasks.summary import Summary, summarise
from recurra.training import Fitted
from recurra.training.history import History


class Learner(Configured, ABC):
    """Base of all estimators: parameters on which the runtime's own predictor answers."""

    task: ClassVar[str]

    training: Training | None
    network_: Network
    training_: Training
    encoder_: Encoder
    head_: Head
    target_: Any
    model_: Model
    parameters_: dict[str, Array]
    history_: History
    fingerprint_: str
    lengths_: Mapping[str, int]
    notes_: tuple[str, ...]
    conformal_: Conformal | None

    def _predictor(self, parameters: Mapping[str, Array]) -> Any:
        return self._predictor_class()(
            network=self.network_,
            encoder=self.encoder_,
            head=self.head_,
            target=self.target_,
            parameters=parameters,
            config={**self._config(), **self._promise()},
        )

    def _promise(self) -> dict[str, Any]:
        found = getattr(self, "conformal_", None)
        return {} if found is None else {"conformal": found.to_dict()}

    def _adopt(self, fitted: Fitted) -> None:
        self.fitted_ = fitted
        self.parameters_ = dict(fitted.parameters)
        self.history_ = fitted.history

    @property
    def predictor_(self) -> Any:
        """The runtime's predictor on the live parameters: what `predict` uses, without torch."""
        if not hasattr(self, "parameters_"):
            name = type(self).__name__
            raise NotFittedError(
                f"this {name} has not learnt anything yet; call fit(...) or {name}.load(path)"
            )
        return self._predictor(self.parameters_)

    @property
    def engine(self) -> str:
        """Which kernel answers and why: see `recurra.runtime.predictor.Predictor.engine`."""
        return str(self.predictor_.engine)

    def summary(self) -> Summary:
        """Parameters in all and by part, stored megabytes, operations per step."""
        if not hasattr(self, "model_"):
            raise NotFittedError("the model is built from data; call fit(...) first")
        return summarise(self.model_)

    def save(
        self,
        path: str | Path,
        *,
        scores: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        extras: Mapping[str, bytes] | None = None,
    ) -> Path:
        """Write a bundle: a folder that `recurra.load` reads without torch. Atomic.

        scores: measured scores by split, for the model card. data: facts about the data, kept in the bundle.
        extras: further files to leave beside the model; never read by `load`.
        """
        return save_predictor(
            self.predictor_,
            path,
            training=self.training_.to_dict(),
            scores=dict(scores or self.fitted_best()),
            data={
                "fingerprint": self.fingerprint_,
                "notes": list(self.notes_),
                "training_lengths": dict(self.lengths_),
                **dict(data or {}),
            },
            extras=extras,
        )

    def fitted_best(self) -> dict[str, Any]:
        """Scores of the restored weights on validation."""
        best = getattr(self, "fitted_", None)
        return (
            {}
            if best is None or best.best_score is None
            else {"validation": {self._monitor(): best.best_score}}
        )

    def _monitor(self) -> str:
        return self.training_.monitor or self._default_monitor

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a bundle back into the workshop, to predict, explain or go on training."""
        predictor = load_predictor(path)
        if predictor.task != cls.task:
            raise InputError(f"{path} holds a {predictor.task}; load it with recurra.load or its own class")
        if predictor.precision != "float32":
            raise InputError(
                f"{path} holds {predictor.precision} weights, which predict and stream but are not trained on; "
                "load it with recurra.load, or the float32 model here"
            )
        return cls.from_predictor(predictor)

    @classmethod
    def from_predictor(cls, predictor: Predictor) -> Self:
        """The estimator behind what a bundle in float32 gave, to go on with."""
        made = cls._from_predictor(predictor)
        made.network_, made.encoder_, made.head_ = predictor.network, predictor.encoder, predictor.head
        made.target_, made.parameters_ = predictor.target, dict(predictor.parameters)
        made.model_, made.history_ = predictor.model, History()
        made.training_ = Training.from_dict(predictor.config["training"])
        made.training = made.training_
        known = predictor.config.get("data", {})
        made.fingerprint_, made.lengths_ = known.get("fingerprint", ""), known.get("training_lengths", {})
        made.notes_, made.conformal_ = (), predictor.conformal
        return made

    @classmethod
    @abstractmethod
    def _from_predictor(cls, predictor: Predictor) -> Self: ...

    @classmethod
    @abstractmethod
    def _predictor_class(cls) -> type[Predictor]: ...

    @property
    @abstractmethod
    def _default_monitor(self) -> str: ...

    @abstractmethod
    def _config(self) -> dict[str, Any]: ...
