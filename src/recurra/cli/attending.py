"""`evaluate` of a language model that attends to what the text said lately: a cache, or learning as it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from recurra.cli.options import plain
from recurra.errors import InputError, SpecError
from recurra.spec import Spec

Made = TypeVar("Made", bound=Spec)


@dataclass(frozen=True, kw_only=True)
class Attending:
    """What the command line asks for: options as "name=value"; None where a way was not asked for.

    training_text: a file that the model was trained on, for `dynamic`.
    """

    cache: Sequence[str] | None = None
    dynamic: Sequence[str] | None = None
    training_text: str | None = None

    def __bool__(self) -> bool:
        return bool(self.cache or self.dynamic or self.training_text)

    def scores(self, predictor: Any, texts: Sequence[str], training: Sequence[str]) -> dict[str, Any]:
        """As `predictor.scores`; training: the texts of `training_text`. Raises InputError for what does not fit."""
        found = self._found(predictor, texts, training)
        unknown = int(np.sum(np.asarray(predictor.encode(texts).values) == 0))
        scores: dict[str, Any] = predictor.scores_of(found, characters=sum(map(len, texts)), unknown=unknown)
        return scores

    def _found(self, predictor: Any, texts: Sequence[str], training: Sequence[str]) -> Any:
        if self.cache and self.dynamic:
            raise InputError("--cache and --dynamic are measured one at a time; leave one of them out")
        if self.cache:
            from recurra.runtime.neural_cache import NeuralCache

            if training:
                raise InputError("--training-text has no effect with --cache; leave it out")
            return predictor.log_probabilities(texts, cache=_spec(NeuralCache, "--cache", self.cache))
        if not self.dynamic or not training:
            raise InputError("--dynamic and --training-text need each other; give both")
        from recurra.evaluation.dynamic import DynamicEvaluation, dynamic_log_probabilities

        how = _spec(DynamicEvaluation, "--dynamic", self.dynamic)
        return dynamic_log_probabilities(predictor, texts, training, how)


def _spec(kind: type[Made], flag: str, settings: Sequence[str]) -> Made:
    """A specification from texts such as "window=2000"."""
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            names = ", ".join(kind.names())
            raise SpecError(f"{flag} must be option=value with one of {names}, got {setting!r}")
        values[name.strip()] = plain(value.strip())
    return kind.from_dict(values)
