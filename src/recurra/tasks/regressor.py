"""Numbers for sequences: one, or a vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np

from recurra import kernels
from recurra.data.encoder import InputSpec
from recurra.data.target_encoders import NumberEncoder
from recurra.errors import SpecError, nearest
from recurra.kernels.shaping import row_mean
from recurra.ragged import Array
from recurra.runtime.predictor import Predictor, RegressorPredictor
from recurra.spec import Network, Training
from recurra.tasks.estimator import SequenceEstimator
from recurra.tasks.materials import Materials
from recurra.tasks.problem import Examples

LOSSES = {
    "squared": kernels.squared_error,
    "absolute": kernels.absolute_error,
    "huber": kernels.huber,
}


class Regressor(SequenceEstimator):
    """Learn one number, or one vector of numbers, per sequence.

    ŷ = W · [dropout(pool(recurrence(x))), static] + b, learnt on standardised targets and given back in their
    own units.

    network, training, inputs, validation, pretrained: as `Classifier`.
    pooling: "mean", "last", "max" or "attention"; "auto": "mean".
    loss: "squared" (the mean), "absolute" (the median) or "huber" (squared up to one standard deviation of the
        targets, absolute beyond).

    Learnt: `history_`, `parameters_`, `encoder_`, `predictor_`.
    """

    task = "regressor"
    _estimator_type: ClassVar[str] = "regressor"

    def __init__(
        self,
        network: Network | None = None,
        training: Training | None = None,
        inputs: InputSpec | None = None,
        *,
        pooling: str = "auto",
        loss: str = "squared",
        validation: float = 0.2,
        pretrained: Any = None,
    ) -> None:
        self.network = network
        self.training = training
        self.inputs = inputs
        self.pooling = pooling
        self.loss = loss
        self.validation = validation
        self.pretrained = pretrained

    def _fit_target(self, targets: Any) -> NumberEncoder:
        if self.loss not in LOSSES:
            raise SpecError(
                f"loss must be one of {', '.join(LOSSES)}, got {self.loss!r}{nearest(self.loss, LOSSES)}"
            )
        return NumberEncoder.fit(targets)

    def _outputs(self) -> int:
        return int(self.target_.width)

    def _loss(self, training: Training) -> Callable[[Any, Any], Any]:
        if training.label_smoothing:
            raise SpecError("label_smoothing has no effect on numbers; leave it out")
        distance = LOSSES[self.loss]
        return lambda outputs, targets: row_mean(distance(outputs, targets))

    def _numpy_loss(self, outputs: Array, examples: Examples) -> float:
        losses = row_mean(LOSSES[self.loss](outputs, examples.targets))
        return float(kernels.weighted_mean(losses, examples.weights))

    def _epoch_scores(self, predictor: Any, outputs: Array, examples: Examples) -> dict[str, float]:
        from recurra.metrics import regression_scores

        return regression_scores(self.target_.decode(examples.targets), predictor.numbers(outputs))

    @property
    def _default_monitor(self) -> str:
        return "rmse"

    def answers(self, given: Materials) -> Array:
        """Predicted numbers in the targets' units."""
        return np.asarray(self.predictor_.predict(given.inputs, given.static), dtype=np.float64)

    def decided(self, answers: Array) -> Array:
        """The numbers themselves."""
        return answers

    def coded(self, given: Materials) -> Array:
        """Targets in their own units."""
        return np.asarray(given.targets, dtype=np.float64)

    def _config(self) -> dict[str, Any]:
        return {"loss": self.loss}

    @classmethod
    def _predictor_class(cls) -> type[Predictor]:
        return RegressorPredictor

    @classmethod
    def _from_predictor(cls, predictor: Predictor) -> Self:
        return cls(
            predictor.network,
            inputs=predictor.encoder.spec,
            pooling=str(predictor.head.pooling),
            loss=predictor.config["loss"],
        )
