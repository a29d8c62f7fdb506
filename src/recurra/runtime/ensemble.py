"""Several trained models that answer as one: the mean of their probabilities, or of their numbers."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from recurra.data.target_encoders import NumberEncoder
from recurra.errors import SpecError, nearest
from recurra.ragged import Array, Ragged
from recurra.runtime.predictor import ClassifierPredictor, Head, Predictor, RegressorPredictor
from recurra.runtime.together import Together

if TYPE_CHECKING:
    from recurra.runtime.stream import Stream

LEAST, MOST = 2, 64
"""Members that an ensemble has at least and at most."""


class Ensemble(Predictor):
    """Several models of one task, which predict, stream and serve as one. Made by `Ensemble.of(...)` or `load`.

    classifier: the mean of the members' probabilities; where members have a decision threshold, the mean of the
    thresholds (0.5 for one without). regressor: the mean of their numbers, in the units of the targets. The answer
    for a sequence depends as little on the batch as each member's does.

    Members may differ in everything but the task, the labels and what a sequence is; where they share one encoder
    (trained on one split, with different seeds or networks), the ensemble can be streamed as well.
    """

    members: tuple[Predictor, ...]

    # The records of a dataclass would look for the network that an ensemble has not.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.members)} members, path={self.path!r})"

    def __init__(self, members: Sequence[Predictor], **kept: Any) -> None:
        self.members = tuple(members)
        _check(self.members)
        first = self.members[0]
        self.encoder, self.precision = first.encoder, "float32"
        self.target = self._common_target()
        self.head = Head(outputs=first.head.outputs, pooling="mean of members", static=first.head.static)
        self.path, self.model_id = kept.get("path"), kept.get("model_id")
        reading = first.config.get("data", {}).get("reading")
        data = {} if reading is None else {"reading": reading}
        plain = {"training": {}, "scores": {}, "data": data, **self._options()}
        self.config = {**plain, **kept.get("config", {})}

    @property
    def engine(self) -> str:
        """Which kernels run the members' recurrent layers."""
        return "; ".join(dict.fromkeys(member.engine for member in self.members))

    @staticmethod
    def of(*models: Any) -> Ensemble:
        """Make an ensemble of models: loaded ones, fitted estimators, or paths of bundles.

        Raises SpecError for fewer than two, and for models that cannot answer as one, with the reason.
        """
        members = [_loaded(model) for model in models]
        if not LEAST <= len(members) <= MOST:
            raise SpecError(f"an ensemble has {LEAST} to {MOST} models, got {len(members)}")
        return ensemble_of(members[0].task, members)

    def save(self, path: str | Path) -> Path:
        """Write the ensemble, all members with it, as one bundle that `recurra.load` reads; atomic."""
        from recurra.runtime.ensemble_store import save_ensemble

        return save_ensemble(self, path)

    @cached_property
    def shares_steps(self) -> bool:
        """Whether all members read sequences in the very same way, so that one stream can feed them all."""
        first = self.members[0]
        return all(
            member.encoder == first.encoder and _static(member) == _static(first)
            for member in self.members[1:]
        )

    @property
    def bidirectional(self) -> bool:
        """Whether a member reads from the end, too."""
        return any(member.bidirectional for member in self.members)

    def outputs(self, inputs: Any, static: Any = None) -> Array:
        """(S, outputs): the mean of the members' probabilities, or of their standardised numbers."""
        return self.joined([member.outputs(inputs, static) for member in self.members])

    def outputs_of(self, batch: Ragged, scaled: Array | None = None) -> Array:
        """As `outputs`, for what `encode` gave; for members that share an encoder."""
        self.check_shared()
        return self.joined([member.outputs_of(batch, scaled) for member in self.members])

    def joined(self, outputs: Sequence[Array]) -> Array:
        """The outputs of the ensemble for those of its members: summed in their order, in double precision."""
        parts = [self._said(m, made) for m, made in zip(self.members, outputs, strict=True)]
        total = np.zeros(parts[0].shape, np.float64)
        for part in parts:
            total += part
        made: Array = (total / len(parts)).astype(np.float32)
        return made

    def stepping(self, *, rows: int = 1, look_ahead: int | None = None, watch: bool = False) -> Any:
        """The members one step at a time; `stream` is for everybody else."""
        self.check_shared()
        if watch:
            raise SpecError("watch is for one model: its members have states of their own; watch a member")
        one_way = not self.bidirectional
        parts = [
            member.stepping(rows=rows, look_ahead=look_ahead if one_way or member.bidirectional else None)
            for member in self.members
        ]
        return Together(parts, self.joined)

    def stream(self, *, static: Any = None, look_ahead: int | None = None, watch: bool = False) -> Stream:
        """Begin a sequence that arrives step by step, for members that share an encoder."""
        self.check_shared()
        return super().stream(static=static, look_ahead=look_ahead, watch=watch)

    @cached_property
    def identity(self) -> str:
        """What states of streams are tagged with."""
        if self.model_id:
            return self.model_id
        parts = [b"recurra live ensemble 1", *(member.identity.encode() for member in self.members)]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def check_shared(self) -> None:
        """Raises SpecError, with the reason, where the members cannot be streamed as one."""
        if not self.shares_steps:
            raise SpecError(
                "the members of this ensemble read sequences in different ways (other vocabularies, scales or static "
                "features), so a single step means something else to each; predict whole sequences, or make an "
                "ensemble of models that were trained on one split"
            )

    @abstractmethod
    def _common_target(self) -> Any:
        """The target encoder of the ensemble; raises SpecError where the members' cannot be joined."""

    @abstractmethod
    def _options(self) -> dict[str, Any]:
        """What the task needs in `config`."""

    @abstractmethod
    def _said(self, member: Predictor, outputs: Array) -> Array:
        """What a member answers, in the terms of the ensemble's outputs."""

    def _has_none(self, what: str) -> NoReturn:
        raise SpecError(
            f"an ensemble has no {what} of its own: this cannot be done with an ensemble; do it with its members"
        )

    @property
    def network(self) -> Any:  # type: ignore[override]
        """Each member has its own; raises SpecError."""
        self._has_none("network")

    @property
    def parameters(self) -> Any:  # type: ignore[override]
        """Each member has its own; raises SpecError."""
        self._has_none("weights")

    @property
    def model(self) -> Any:  # type: ignore[override]
        """Each member has its own; raises SpecError."""
        self._has_none("graph")


class ClassifierEnsemble(Ensemble, ClassifierPredictor):
    """The mean of the probabilities of several classifiers."""

    members: tuple[ClassifierPredictor, ...]

    def probabilities(self, outputs: Array) -> Array:
        """What leaves an ensemble are probabilities already."""
        return outputs

    def _common_target(self) -> Any:
        first = self.members[0]
        for place, member in enumerate(self.members[1:], 2):
            if member.multilabel != first.multilabel:
                kinds = {True: "several labels", False: "one label"}
                raise SpecError(
                    f"the members of an ensemble must answer alike: member 1 gives {kinds[first.multilabel]} per "
                    f"sequence, member {place} {kinds[member.multilabel]}"
                )
            if member.classes != first.classes:
                raise SpecError(
                    f"the members of an ensemble must have the same labels: member 1 has {_few(first.classes)}, "
                    f"member {place} {_few(member.classes)}"
                )
        return first.target

    def _options(self) -> dict[str, Any]:
        return {"multilabel": self.members[0].multilabel, "threshold": self._threshold()}

    def _threshold(self) -> Any:
        found = [member.threshold for member in self.members]
        if all(threshold is None for threshold in found):
            return None
        mean = np.mean(np.broadcast_arrays(*[0.5 if t is None else np.asarray(t) for t in found]), axis=0)
        return mean.tolist()

    def _said(self, member: Predictor, outputs: Array) -> Array:
        assert isinstance(member, ClassifierPredictor)
        return member.probabilities(outputs)


class RegressorEnsemble(Ensemble, RegressorPredictor):
    """The mean of the numbers of several regressors."""

    def _common_target(self) -> NumberEncoder:
        """In units of the mean scale of the members' targets: their own, where all were trained on one split."""
        targets = [member.target for member in self.members]
        for place, target in enumerate(targets[1:], 2):
            if (target.width, target.vector) != (targets[0].width, targets[0].vector):
                raise SpecError(
                    f"the members of an ensemble must answer alike: member 1 gives {targets[0].width} number(s) per "
                    f"sequence, member {place} {target.width}"
                )
        mean, scale = (
            tuple(float(x) for x in np.mean([getattr(target, name) for target in targets], axis=0))
            for name in ("mean", "scale")
        )
        return NumberEncoder(mean=mean, scale=scale, vector=targets[0].vector)

    def _options(self) -> dict[str, Any]:
        return {}

    def _said(self, member: Predictor, outputs: Array) -> Array:
        if member.target == self.target:
            return outputs
        numbers = member.target.decode(outputs).reshape(outputs.shape)
        made: Array = (numbers - np.asarray(self.target.mean)) / np.asarray(self.target.scale)
        return made


_KINDS: Mapping[str, type[Ensemble]] = {
    ClassifierPredictor.task: ClassifierEnsemble,
    RegressorPredictor.task: RegressorEnsemble,
}


def ensemble_of(task: str, members: Sequence[Predictor], **kept: Any) -> Ensemble:
    """The ensemble that a bundle holds; `kept`: its path, model_id and config."""
    if task not in _KINDS:
        raise SpecError(
            f"there are ensembles of the tasks {', '.join(_KINDS)}, not of {task!r}{nearest(task, _KINDS)}"
        )
    return _KINDS[task](members, **kept)


def _loaded(model: Any) -> Predictor:
    if isinstance(model, (str, Path)):
        from recurra.runtime.store import load_predictor

        model = load_predictor(model)
    model = getattr(model, "predictor_", model)
    if not isinstance(model, Predictor):
        raise SpecError(
            f"a member must be a loaded model, a fitted estimator or the path of a bundle, got {type(model).__name__}"
        )
    if isinstance(model, Ensemble):
        raise SpecError("a member must be a single model, got an ensemble; give its members")
    return model


def _check(members: tuple[Predictor, ...]) -> None:
    first = members[0]
    for place, member in enumerate(members[1:], 2):
        if member.task != first.task:
            raise SpecError(
                f"the members of an ensemble must be of one task: member 1 is a {first.task}, member {place} a "
                f"{member.task}"
            )
        if _reads(member) != _reads(first):
            raise SpecError(
                f"the members of an ensemble must read the same data: member 1 reads {_told(first)}, member {place} "
                f"{_told(member)}"
            )


def _reads(member: Predictor) -> tuple[Any, ...]:
    """What a sequence has to be: texts, or steps with these columns; and the features beside it."""
    encoder: Any = member.encoder
    static = member.head.static
    names = () if encoder.kind == "tokens" else (*encoder.numbers.names, *encoder.vocabularies)
    return encoder.kind, names, None if static is None else static.names


def _told(member: Predictor) -> str:
    kind, names, static = _reads(member)
    what = "texts" if kind == "tokens" else f"steps of {_few(names)}"
    return what if static is None else f"{what} with the features {_few(static)}"


def _few(names: Sequence[Any]) -> str:
    shown = ", ".join(repr(name) for name in list(names)[:5])
    return f"{shown}, ... ({len(names)} in all)" if len(names) > 5 else shown


def _static(member: Predictor) -> Any:
    return None if member.head.static is None else member.head.static.to_record()
