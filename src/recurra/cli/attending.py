"""`evaluate` of a language model that attends to what the text said lately: a cache, or learning as it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from recurra.cli.options import plain
from recurra.data.corpus import Corpus
from recurra.errors import InputError, SpecError
from recurra.runtime.corpus_scores import Encoded, encoded_corpus
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

    def __post_init__(self) -> None:
        """Raises InputError for what does not fit together."""
        if self.cache and self.dynamic:
            raise InputError("--cache and --dynamic are measured one at a time; leave one of them out")
        if self.cache and self.training_text:
            raise InputError("--training-text has no effect with --cache; leave it out")
        if bool(self.dynamic) != bool(self.training_text):
            raise InputError("--dynamic and --training-text need each other; give both")

    def __bool__(self) -> bool:
        return bool(self.cache or self.dynamic)

    def scores(self, held: Encoded, reading: Callable[[str], Corpus]) -> dict[str, Any]:
        """The scores of an encoded corpus; `reading` opens `training_text`. Raises InputError for unknown options."""
        if self.cache:
            from recurra.runtime.neural_cache import NeuralCache, cached_losses

            cache = _spec(NeuralCache, "--cache", self.cache)
            return held.scores(cached_losses(held.predictor, held.batch, held.following, cache))
        from recurra.evaluation.dynamic import DynamicEvaluation, dynamic_losses

        assert self.training_text is not None
        how = _spec(DynamicEvaluation, "--dynamic", self.dynamic or ())
        with encoded_corpus(held.predictor, reading(self.training_text)) as training:
            scored, learnt = ((each.batch, each.following) for each in (held, training))
            return held.scores(dynamic_losses(held.predictor, scored, learnt, how))


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
