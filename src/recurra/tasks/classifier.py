"""Classes for sequences: two, many, or several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from recurra import kernels
from recurra.data.encoder import InputSpec
from recurra.data.target_encoders import LabelEncoder, MultiLabelEncoder
from recurra.errors import SpecError
from recurra.kernels.shaping import row_mean
from recurra.metrics import choose_threshold, choose_thresholds
from recurra.ragged import Array
from recurra.runtime.predictor import ClassifierPredictor, Predictor
from recurra.spec import Network, Training
from recurra.tasks.estimator import SequenceEstimator
from recurra.tasks.materials import Materials, materials
from recurra.tasks.problem import Examples

THRESHOLDS = ("f1", "cost")


class Classifier(SequenceEstimator):
    """Learn classes of sequences: texts, signals or events.

    Logits = W · [dropout(pool(recurrence(embed(x)))), static] + b; softmax over classes with cross entropy, or
    for several labels at once a sigmoid and binary cross entropy per label.

    network: what is computed; None: `Network()`, the classic 2 x 128 LSTM.
    training: how it is learnt; None: `Training()`.
    inputs: `Words`, `Characters`, `BPE`, `Signal` or `Events`; None: by the kind of data.
    pooling: "max", "mean", "last" or "attention": how the steps become one vector. "auto": "max", but "mean" of the
        states of a pretrained language model, whose greatest values say little.
    multilabel: whether a sequence may have several labels or none; None: if the targets are sets or tuples.
    threshold: decision threshold; None: the most probable class (0.5 per label); a number; or "f1" / "cost":
        chosen on validation by the F1 of the second class (per label) or by `costs`, and stored.
    costs: (cost of a false alarm, cost of a miss) for threshold="cost".
    validation: share set aside where no validation data is given.
    pretrained: a `LanguageModel` that has learnt, or the path of a stored one: training starts from its embedding and
        its recurrent layers, with its vocabulary. `network` and `inputs` are then its own, or left out. See
        `Training.unfreeze` and `Training.layer_decay`.

    Learnt: `classes_`, `history_`, `threshold_`, `parameters_`, `encoder_`, `predictor_`.
    """

    task = "classifier"
    usual_pooling: ClassVar[str] = "max"
    _estimator_type: ClassVar[str] = "classifier"

    def __init__(
        self,
        network: Network | None = None,
        training: Training | None = None,
        inputs: InputSpec | None = None,
        *,
        pooling: str = "auto",
        multilabel: bool | None = None,
        threshold: float | str | None = None,
        costs: tuple[float, float] | None = None,
        validation: float = 0.2,
        pretrained: Any = None,
    ) -> None:
        self.network = network
        self.training = training
        self.inputs = inputs
        self.pooling = pooling
        self.multilabel = multilabel
        self.threshold = threshold
        self.costs = costs
        self.validation = validation
        self.pretrained = pretrained

    @property
    def classes_(self) -> Array:
        """(C,) the labels, in the order of the columns of `predict_proba`."""
        return np.asarray(self.predictor_.classes)

    def predict_proba(self, inputs: Any, static: Any = None) -> Array:
        """(S, C) probabilities, in the order of `classes_`."""
        given = materials(inputs, None, static)
        answer: Array = self.predictor_.predict_proba(given.inputs, given.static)
        return answer

    def _fit_target(self, targets: Sequence[Any]) -> LabelEncoder | MultiLabelEncoder:
        self._check_threshold()
        self.multilabel_ = _is_multilabel(targets) if self.multilabel is None else self.multilabel
        self.threshold_ = None if isinstance(self.threshold, str) else self.threshold
        made = MultiLabelEncoder.fit(targets) if self.multilabel_ else LabelEncoder.fit(targets)
        if self.threshold is not None and not self.multilabel_ and len(made.classes) != 2:
            raise SpecError(
                f"threshold has no effect with {len(made.classes)} classes; it needs two, or multilabel=True"
            )
        return made

    def _check_threshold(self) -> None:
        value = self.threshold
        if isinstance(value, str) and value not in THRESHOLDS:
            raise SpecError(f"threshold must be a number, 'f1' or 'cost', got {value!r}")
        if isinstance(value, (int, float)) and not 0 < value < 1:
            raise SpecError(f"threshold must be between 0 and 1, got {value!r}")
        if (self.costs is not None) != (value == "cost"):
            raise SpecError("costs and threshold='cost' go together: give both or neither")

    def _outputs(self) -> int:
        return len(self.target_.classes)

    def _weighted(self, train: Examples, training: Training) -> Examples:
        if training.class_weight is None:
            return train
        if self.multilabel_:
            raise SpecError("class_weight has no effect with several labels at once; leave it out")
        counts = np.bincount(train.targets, minlength=self._outputs())
        by_class = len(train) / (np.maximum(counts, 1) * self._outputs())
        given = np.ones(len(train)) if train.weights is None else train.weights
        weights = (given * by_class[train.targets]).astype(np.float32)
        return Examples(batch=train.batch, targets=train.targets, static=train.static, weights=weights)

    def _loss(self, training: Training) -> Callable[[Any, Any], Any]:
        smoothing = training.label_smoothing
        if self.multilabel_:
            return lambda outputs, targets: row_mean(
                kernels.binary_cross_entropy(outputs, _smoothed(targets, smoothing))
            )
        return lambda outputs, targets: kernels.cross_entropy(outputs, targets, label_smoothing=smoothing)

    def _numpy_loss(self, outputs: Array, examples: Examples) -> float:
        if self.multilabel_:
            losses = row_mean(kernels.binary_cross_entropy(outputs, examples.targets))
        else:
            losses = kernels.cross_entropy(outputs, examples.targets)
        return float(kernels.weighted_mean(losses, examples.weights))

    def _epoch_scores(self, predictor: Any, outputs: Array, examples: Examples) -> dict[str, float]:
        found: dict[str, float] = predictor.scores_of(predictor.probabilities(outputs), examples.targets)
        return found

    @property
    def _default_monitor(self) -> str:
        return "f1_micro" if self.multilabel_ else "accuracy"

    def _finish(self, held: Examples) -> None:
        if not isinstance(self.threshold, str):
            return
        predictor = self._predictor(self.parameters_)
        probabilities = predictor.probabilities(predictor.outputs_of(held.batch, held.static))
        alarm, miss = self.costs or (1.0, 1.0)
        options: dict[str, Any] = {"by": self.threshold, "cost": ((0.0, alarm), (miss, 0.0))}
        if self.multilabel_:
            self.threshold_ = choose_thresholds(held.targets, probabilities, **options).tolist()
        else:
            self.threshold_ = choose_threshold(held.targets, probabilities[:, 1], **options).threshold

    def answers(self, given: Materials) -> Array:
        """(S, C) probabilities."""
        found: Array = self.predictor_.predict_proba(given.inputs, given.static)
        return found

    def decided(self, answers: Array) -> Array:
        """Class numbers, or a 0/1 table, by the model's own threshold."""
        return np.asarray(self.predictor_.decide(answers))

    def coded(self, given: Materials) -> Array:
        """Targets as class numbers, or a 0/1 table."""
        return np.asarray(self.target_.encode(given.targets))

    def _config(self) -> dict[str, Any]:
        return {"multilabel": self.multilabel_, "threshold": self.threshold_}

    @classmethod
    def _predictor_class(cls) -> type[Predictor]:
        return ClassifierPredictor

    @classmethod
    def _from_predictor(cls, predictor: Predictor) -> Self:
        threshold = predictor.config["threshold"]
        made = cls(
            predictor.network,
            inputs=predictor.encoder.spec,
            pooling=str(predictor.head.pooling),
            multilabel=predictor.config["multilabel"],
            threshold=threshold if isinstance(threshold, float) else None,
        )
        made.multilabel_, made.threshold_ = predictor.config["multilabel"], threshold
        return made


def _is_multilabel(targets: Any) -> bool:
    if isinstance(targets, np.ndarray) and targets.ndim == 2:
        return True
    return any(isinstance(target, (set, frozenset, tuple, list)) for target in targets)


def _smoothed(targets: Any, smoothing: float) -> Any:
    return targets if smoothing == 0.0 else targets * (1.0 - smoothing) + 0.5 * smoothing
