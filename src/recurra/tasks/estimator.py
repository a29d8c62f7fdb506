"""What all estimators share: scikit-learn's contract, fitting, saving and loading, and the predictor inside."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from recurra.data.encoder import Encoder, InputSpec
from recurra.data.signal import Signal
from recurra.data.text import Words
from recurra.errors import InputError, SpecError
from recurra.metrics import higher_is_better
from recurra.metrics.calibrated import Conformal
from recurra.ragged import Array, Ragged
from recurra.runtime.language_model import LanguageModelPredictor
from recurra.runtime.predictor import Head, build_model
from recurra.runtime.static_scaler import StaticScaler
from recurra.spec import Network, Training
from recurra.tasks.learner import Learner
from recurra.tasks.materials import Materials, materials, split_validation
from recurra.tasks.penalties import Penalties
from recurra.tasks.pretrained import checked_inputs, donor_of, network_for, taken_over
from recurra.tasks.problem import Examples, SupervisedProblem, fingerprint
from recurra.training import fit
from recurra.training.callbacks import Callback
from recurra.training.device import check_precision, resolve_device


class SequenceEstimator(Learner):
    """Base of the estimators with one answer per sequence. The constructor stores, `fit` learns."""

    task: ClassVar[str]
    text_unit: ClassVar[str] = "words"
    usual_pooling: ClassVar[str] = "mean"

    network: Network | None
    training: Training | None
    inputs: InputSpec | None
    pooling: str | None
    validation: float
    pretrained: Any = None
    _donor: LanguageModelPredictor | None = None

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            estimator_type=self._estimator_type,
            target_tags=TargetTags(required=True),
            input_tags=InputTags(string=True, two_d_array=False, three_d_array=True, allow_nan=True),
        )

    _estimator_type: ClassVar[str]
    _problem_class: ClassVar[type[SupervisedProblem]] = SupervisedProblem

    def fit(
        self,
        inputs: Any,
        targets: Any = None,
        *,
        static: Any = None,
        sample_weight: Any = None,
        validation_data: tuple[Any, Any] | tuple[Any, Any, Any] | None = None,
        folder: str | Path | None = None,
        resume: bool = False,
        callbacks: Sequence[Any] = (),
        progress: str | Callback | None = None,
    ) -> Self:
        """Learn from sequences.

        inputs: list of texts; list of (T, F) or (T,) arrays; (S, T, F) array; `Ragged`; or a `Dataset`, which
            brings its own targets, static features and split.
        targets: one per sequence.
        static: (S, K) features per sequence.
        sample_weight: (S,) weight of each sequence in the loss.
        validation_data: (inputs, targets[, static]); else a share `validation` of the data is set aside.
        folder: where checkpoints and `history.jsonl` go; with `resume`, training goes on from there, bit for bit.
        callbacks: see `recurra.training.callbacks`.
        progress: "bar", "lines", a callback or None.

        Raises InputError for unusable data, DivergedError, MemoryBudgetError, Interrupted (the work is saved).
        """
        network, training = (self._spec("network"), self._spec("training"))
        assert isinstance(network, Network)
        assert isinstance(training, Training)
        self._donor = None if self.pretrained is None else donor_of(self.pretrained)
        if self._donor is not None:
            network = self._network_of(self._donor, None if self.network is None else network)
        train, held = self._materials(inputs, targets, static, sample_weight, validation_data, training)
        training, planned = training.planned(len(train)), training.epochs == "auto"
        self._learn_encoders(network, train)
        examples, notes, window = self._examples(train, training, network)
        if planned:
            notes = (
                *notes,
                f"{training.epochs} epochs for {len(train):,} training sequences (epochs='auto')",
            )
        held_examples = self._encode(held)
        self._prepare(network, training, examples, held_examples)
        problem = self._problem(examples, held_examples, training, notes, window)
        self.notes_ = problem.notes
        fitted = fit(
            problem,
            training,
            callbacks=callbacks,
            folder=folder,
            resume=resume,
            progress=progress,
        )
        self._adopt(fitted)
        self._finish(held_examples)
        return self

    def _materials(
        self,
        inputs: Any,
        targets: Any,
        static: Any,
        weights: Any,
        validation_data: Any,
        training: Training,
    ) -> tuple[Materials, Materials]:
        given = materials(inputs, targets, static, weights)
        if given.targets is None:
            raise InputError("targets must be given: one per sequence")
        if validation_data is not None:
            return given, materials(*validation_data)
        if given.split is not None:
            return given.part("train"), given.part("validation")
        if not 0 < self.validation < 1:
            raise SpecError(
                f"validation must be a share between 0 and 1, got {self.validation!r}; usual: 0.2"
            )
        return split_validation(given, self.validation, training.seed)

    def _learn_encoders(self, network: Network, train: Materials) -> None:
        """Fit everything that is learnt from data before training, on the training split alone."""
        self.network_ = network.resolved()
        self.encoder_ = self._fitted_encoder(train)
        self.target_ = self._fit_target(train.targets)
        scaler = None if train.static is None else StaticScaler.fit(train.static, train.static_names)
        self.head_ = self._head(scaler)
        self.fingerprint_ = train.fingerprint()
        self.conformal_: Conformal | None = None

    def _fitted_encoder(self, train: Materials) -> Encoder:
        if self._donor is not None:
            return checked_inputs(self.inputs, self._donor)
        spec = self.inputs if self.inputs is not None else self._default_inputs(train)
        return spec.fit(train.inputs, train.features or None)

    def _network_of(self, donor: LanguageModelPredictor, network: Network | None) -> Network:
        """The network to train where training starts from a language model."""
        return network_for(network, donor)

    def _default_inputs(self, train: Materials) -> InputSpec:
        return _default_spec(train)

    @property
    def _pooled(self) -> str | None:
        """How the steps become one vector; the greatest values of a language model's states say little."""
        if self.pooling != "auto":
            return self.pooling
        return self.usual_pooling if self.pretrained is None else "mean"

    def _head(self, scaler: StaticScaler | None) -> Head:
        return Head(outputs=self._outputs(), pooling=self._pooled, static=scaler)

    def _encode(self, held: Materials) -> Examples:
        static = None if self.head_.static is None else self.head_.static.transform(held.static, len(held))
        return Examples(
            batch=self.encode_materials(held),
            targets=self.target_.encode(held.targets),
            static=static,
            weights=None if held.weights is None else np.asarray(held.weights, dtype=np.float32),
        )

    def _examples(
        self, train: Materials, training: Training, network: Network
    ) -> tuple[Examples, tuple[str, ...], int | None]:
        """Training examples, cut or windowed to `sequence_length`, with what was cut in words."""
        made = self._encode(train)
        self.lengths_ = _length_facts(made.batch.lengths)
        limit = training.sequence_length
        over = 0 if limit is None else int(np.sum(made.batch.lengths > limit))
        if limit is None or not over:
            return made, (), None
        if self.encoder_.kind in ("tokens", "spelt"):
            side = getattr(self.encoder_.spec, "truncate", "end")
            cut = made.truncated(limit, side)
            lost = len(made.batch.values) - len(cut.batch.values)
            note = (
                f"{over} of {len(made)} training sequences are longer than sequence_length={limit}: their {side} "
                f"was cut for training ({lost} of {len(made.batch.values)} tokens); predictions read all of it"
            )
            return cut, (note,), None
        if network.bidirectional or self._pooled == "attention":
            reason = "a bidirectional network" if network.bidirectional else "attention pooling"
            note = (
                f"{over} of {len(made)} training sequences are longer than sequence_length={limit}; "
                f"{reason} cannot carry its state over windows, so they are trained whole"
            )
            return made, (note,), None
        note = (
            f"{over} of {len(made)} training sequences are longer than sequence_length={limit}: "
            "they are trained in windows with carried state"
        )
        return made, (note,), limit

    def _prepare(self, network: Network, training: Training, train: Examples, held: Examples) -> None:
        self.model_ = build_model(self.network_, self.encoder_, self.head_)
        self.training_ = training
        self.device_ = resolve_device(training.device)
        check_precision(self.network_, training, self.device_)

    def _problem(
        self, train: Examples, held: Examples, training: Training, notes: tuple[str, ...], window: int | None
    ) -> SupervisedProblem:
        weighted = self._weighted(train, training)
        monitor = training.monitor or self._default_monitor
        splits = {"train": weighted, "validation": held}

        def scorer(parameters: Mapping[str, Array], split: str) -> dict[str, float]:
            return self._evaluate(parameters, splits[split])

        return self._problem_class(
            model=self.model_,
            train=weighted,
            loss_function=self._loss(training),
            scorer=scorer,
            parameters=self._initial(training),
            monitor=monitor,
            higher_is_better=higher_is_better(monitor),
            fingerprint=self._fit_fingerprint(weighted, held),
            average=training.average,
            window=window,
            penalties=Penalties.of(training),
            notes=notes,
            device=self.device_,
            precision=training.precision,
        )

    def lesson(self, train: Examples, training: Training) -> SupervisedProblem:
        """What training this architecture on encoded sequences hands to the loop: fresh weights, no validation."""
        made = copy(self)
        made._prepare(self.network_, training, train, train)
        return made._problem(train, train, training, (), None)

    def _initial(self, training: Training) -> dict[str, Array]:
        """Starting values: drawn, or those of the pretrained model where it has them."""
        drawn = self.model_.initial(training.seed)
        return drawn if self._donor is None else taken_over(drawn, self._donor)

    def _fit_fingerprint(self, train: Examples, held: Examples) -> str:
        data = (
            train.batch,
            train.targets,
            train.static,
            train.weights,
            held.batch,
            held.targets,
            held.static,
        )
        specs = (self.network_.to_dict(), self.encoder_.to_record(), self.head_.to_record(), self._config())
        return fingerprint(*data, *specs, None if self._donor is None else self._donor.identity)

    def _weighted(self, train: Examples, training: Training) -> Examples:
        if training.class_weight is not None:
            raise SpecError("class_weight has no effect on numbers; leave it out")
        return train

    def _evaluate(self, parameters: Mapping[str, Array], examples: Examples) -> dict[str, float]:
        predictor = self._predictor(parameters)
        outputs = predictor.outputs_of(examples.batch, examples.static)
        loss = self._numpy_loss(outputs, examples)
        # Finite weights of a network that explodes can give outputs that no score is defined for.
        if not np.isfinite(outputs).all():
            return {"loss": float("nan")}
        return {"loss": loss, **self._epoch_scores(predictor, outputs, examples)}

    def _finish(self, held: Examples) -> None:
        """What is chosen on validation after training; nothing by default."""

    def predict(self, inputs: Any, static: Any = None) -> Any:
        """One answer per sequence."""
        given = materials(inputs, None, static)
        return self.predictor_.predict(given.inputs, given.static)

    def score(self, inputs: Any, targets: Any = None, static: Any = None) -> float:
        """The task's main score."""
        given = materials(inputs, targets, static)
        return float(self.predictor_.score(given.inputs, given.targets, given.static))

    def scores(self, inputs: Any, targets: Any = None, static: Any = None) -> dict[str, Any]:
        """All scores of the task."""
        given = materials(inputs, targets, static)
        return dict(self.predictor_.scores(given.inputs, given.targets, given.static))

    def conformal(
        self, inputs: Any, targets: Any = None, static: Any = None, *, coverage: float = 0.9, **options: Any
    ) -> Self:
        """Calibrate on held-out rows, so that `predict_set` holds the truth with the promised chance.

        inputs, targets, static: rows that the model was neither trained nor chosen on (not the validation split),
            and that are like those to come; 9 at least for a coverage of 0.9, some hundreds to be useful.
        coverage: chance that a set or an interval holds the truth; usual: 0.8-0.99.
        options: for one class per sequence `method` ("lac" or "aps", see `ClassSets`) and `max_error`, the share
            of wrong answers above which the model is to keep silent.

        Learnt: `conformal_`, which travels in the bundle. A later `fit` forgets it.
        """
        given = materials(inputs, targets, static)
        if given.targets is None:
            raise InputError("targets must be given: one per calibration sequence")
        predictor = self.predictor_
        for name in options:
            if name not in predictor.conformal_options:
                known = ", ".join(predictor.conformal_options) or "none besides coverage"
                raise SpecError(f"conformal has no option {name!r} for this task; it knows {known}")
        outputs = predictor.outputs(given.inputs, given.static)
        encoded = self._truth(given)
        self.conformal_ = predictor.calibrated(outputs, encoded, coverage=coverage, **options)
        return self

    def _truth(self, given: Materials) -> Any:
        """The encoded targets of held-out sequences."""
        return self.target_.encode(given.targets)

    def predict_set(self, inputs: Any, static: Any = None, *, coverage: float | None = None) -> Any:
        """Per sequence what holds the truth with the promised chance: a tuple of labels, or lower and upper limits;
        of a tagger a list of them, one per step.

        coverage: any whole per cent; None: that of calibration. Raises NotFittedError before `conformal`.
        """
        given = materials(inputs, None, static)
        return self.predictor_.predict_set(given.inputs, given.static, coverage=coverage)

    def encode_materials(self, given: Materials) -> Ragged:
        """What the model reads of some materials."""
        return self.encoder_.encode(given.inputs, given.features or None)

    @abstractmethod
    def answers(self, given: Materials) -> Array:
        """Probabilities (S, C), or numbers in the targets' units."""

    @abstractmethod
    def decided(self, answers: Array) -> Array:
        """Class numbers, a 0/1 table, or the numbers themselves."""

    @abstractmethod
    def coded(self, given: Materials) -> Any:
        """Targets as class numbers, a 0/1 table, or numbers in their own units; of steps as `Ragged`."""

    @abstractmethod
    def _fit_target(self, targets: Any) -> Any: ...

    @abstractmethod
    def _outputs(self) -> int: ...

    @abstractmethod
    def _loss(self, training: Training) -> Callable[[Any, Any], Any]: ...

    @abstractmethod
    def _numpy_loss(self, outputs: Array, examples: Examples) -> float: ...

    @abstractmethod
    def _epoch_scores(self, predictor: Any, outputs: Array, examples: Examples) -> dict[str, float]: ...


def _default_spec(train: Materials) -> InputSpec:
    if train.kind == "text":
        return Words()
    if train.kind == "events":
        from recurra.data.events import Events

        return Events()
    return Signal()


def _length_facts(lengths: Array) -> dict[str, int]:
    """How long the training sequences are, in steps as the model reads them."""
    if not len(lengths):
        return {}
    facts = {"least": lengths.min(), "median": np.median(lengths), "most": lengths.max()}
    return {"sequences": len(lengths), **{name: int(value) for name, value in facts.items()}}
