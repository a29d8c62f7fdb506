"""Frame models: language models of steps that are many yes/no's at once, such as the keys of a piano."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from recurra.data.dataset import Dataset
from recurra.data.signal import Signal
from recurra.data.target_encoders import NextToken
from recurra.errors import DataError, SpecError
from recurra.ragged import Array, Ragged
from recurra.runtime.frame_model import FrameModelPredictor
from recurra.runtime.predictor import Head, Predictor, build_model
from recurra.spec import Network, Training
from recurra.tasks.language_problem import LanguageProblem, nats_side_by_side
from recurra.tasks.learner import Learner
from recurra.tasks.problem import fingerprint
from recurra.tasks.sources import FrameSource
from recurra.tasks.streams import check_streamed, planned_in_windows
from recurra.training import fit
from recurra.training.callbacks import Callback
from recurra.training.device import check_precision, resolve_device

INPUTS = Signal(scaling="none", missing="refuse")


def _sequences(given: Any) -> list[Any]:
    """The sequences of whatever holds some."""
    return list(given.inputs if isinstance(given, Dataset) else given)


class FrameModel(Learner):
    """Learn the probability of each frame, K yes/no's at once, after all frames before it.

    log p(x_t | x_1 ... x_{t-1}) is the sum over the K of log sigmoid(±y), y = W · dropout(recurrence(0, x_1 ...
    x_{t-1})) + b: given the past, the yes/no's of a frame are independent. Trained as a `LanguageModel`: the
    sequences lie end to end and are read by `batch_size` streams in windows of about `sequence_length` frames.

    network: what is computed; None: `Network()`. It reads in one direction.
    training: how it is learnt; None: `Training()`.
    validation: share of the sequences that is set aside; 0: none.

    Learnt: `history_`, `parameters_`, `predictor_`.
    """

    task = "frame_model"

    def __init__(
        self,
        network: Network | None = None,
        training: Training | None = None,
        *,
        validation: float = 0.1,
    ) -> None:
        self.network = network
        self.training = training
        self.validation = validation

    def fit(
        self,
        inputs: Any,
        *,
        validation_data: Any = None,
        folder: str | Path | None = None,
        resume: bool = False,
        callbacks: Sequence[Any] = (),
        progress: str | Callback | None = None,
    ) -> Self:
        """Learn from sequences: a list of (T, K) arrays of 0 and 1, a `Ragged` or a `Dataset` of them (`read`).

        validation_data: further sequences; else a share `validation` is set aside. The rest as of
            `LanguageModel.fit`.

        Raises InputError for what are no such sequences.
        """
        network, training = self._spec("network"), self._spec("training")
        assert isinstance(network, Network)
        assert isinstance(training, Training)
        check_streamed(network, training)
        if training.label_smoothing:
            raise SpecError("label_smoothing has no effect on a frame model; leave it out")
        train, held = self._parts(_sequences(inputs), validation_data, training.seed)
        self.network_, self.training_ = network.resolved(), training
        self.encoder_ = INPUTS.fit(train)
        self.target_ = NextToken()
        self.head_ = Head(outputs=self.encoder_.width, pooling=None)
        self.model_ = build_model(self.network_, self.encoder_, self.head_)
        self.device_ = resolve_device(training.device)
        check_precision(self.network_, training, self.device_)
        parameters = self.model_.initial(training.seed)
        encode = self._predictor(parameters).encode
        read = encode(train)
        training = self.training_ = planned_in_windows(training, int(read.lengths.sum()))
        problem = self._problem(read, encode(held) if held else None, training, parameters)
        self._adopt(
            fit(problem, training, callbacks=callbacks, folder=folder, resume=resume, progress=progress)
        )
        return self

    def _parts(self, inputs: list[Any], validation_data: Any, seed: int) -> tuple[list[Any], list[Any]]:
        if validation_data is not None or not self.validation:
            return inputs, [] if validation_data is None else _sequences(validation_data)
        if not 0 < self.validation < 1 or len(inputs) < 2:
            raise DataError(
                "validation must be a share below 1 of at least two sequences, got "
                f"{self.validation!r} of {len(inputs)}"
            )
        order = np.random.Generator(np.random.Philox(seed)).permutation(len(inputs)).tolist()
        count = max(1, round(self.validation * len(inputs)))
        return [inputs[i] for i in sorted(order[count:])], [inputs[i] for i in sorted(order[:count])]

    def _problem(
        self, train: Ragged, held: Ragged | None, training: Training, parameters: dict[str, Array]
    ) -> LanguageProblem:
        source = FrameSource(train)
        self.fingerprint_ = fingerprint(train)
        self.notes_ = (f"{source.steps - len(train):,} frames in {len(train):,} sequences",)
        self.lengths_ = {"frames": source.steps - len(train), "sequences": len(train)}
        return LanguageProblem.of(
            self.model_,
            training,
            source,
            None if held is None else FrameSource(held),
            self._epoch_scores,
            parameters=parameters,
            monitor=self._monitor(),
            fingerprint=fingerprint(train, held, self.network_.to_dict()),
            notes=self.notes_,
            device=self.device_,
        )

    def _epoch_scores(self, parameters: Mapping[str, Array], source: FrameSource) -> dict[str, float]:
        nats, frames = nats_side_by_side(source, self._predictor(parameters), 1)
        return {"loss": nats / frames, "nats_per_frame": nats / frames}

    def scores(self, inputs: Any) -> dict[str, Any]:
        """Nats per frame, frames and sequences."""
        return dict(self.predictor_.scores(_sequences(inputs)))

    def score(self, inputs: Any, targets: Any = None) -> float:
        """Minus the nats per frame, so that higher is better."""
        return -float(self.scores(inputs)["nats_per_frame"])

    def predict(self, inputs: Any) -> Array:
        """(S,) nats per frame of each sequence."""
        return np.asarray(self.predictor_.predict(_sequences(inputs)))

    @property
    def _default_monitor(self) -> str:
        return "nats_per_frame"

    def _config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def _predictor_class(cls) -> type[Predictor]:
        return FrameModelPredictor

    @classmethod
    def _from_predictor(cls, predictor: Predictor) -> Self:
        return cls(predictor.network)
