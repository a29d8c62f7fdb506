"""What a language model offers to those who want it to write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from recurra.errors import SpecError

if TYPE_CHECKING:
    from recurra.ragged import Array
    from recurra.runtime.continuation import Continuation
    from recurra.runtime.keyed import Streams
    from recurra.runtime.language_model import LanguageModelPredictor
    from recurra.runtime.stream import Stream
    from recurra.runtime.writing import Writer, Written


class Generating:
    """Part of `LanguageModelPredictor`: texts that go on from a prompt, and what comes next after a text."""

    @cached_property
    def answering(self) -> Continuation:
        """The same model with one answer per text: what comes next. `stream`, `verify` and `export` are its."""
        from recurra.runtime.continuation import continuation

        return continuation(self._member(None))

    def outputs(self, inputs: Any, static: Any = None) -> Array:
        """(S, V) numbers before softmax, for what comes after each text."""
        return self.answering.outputs(inputs, static)

    def stream(
        self,
        *,
        static: Any = None,
        look_ahead: int | None = None,
        watch: bool = False,
        condition: Any = None,
    ) -> Stream:
        """Begin a text that arrives in pieces; `result()` names the likeliest next tokens.

        condition: of the text, where the model was trained under conditions.
        """
        if condition is not None:
            return self._member(condition).stream(static=static, look_ahead=look_ahead, watch=watch)
        return self.answering.stream(static=static, look_ahead=look_ahead, watch=watch)

    def streams(self, **options: Any) -> Streams:
        """Many texts that arrive in pieces, by key."""
        return self.answering.streams(**options)

    def _member(self, condition: Any) -> LanguageModelPredictor:
        """The model that writes: itself, or under a condition the one that this makes."""
        model = cast("LanguageModelPredictor", self)
        if condition is not None:
            return model.given(condition)
        if model.head.condition is not None:
            described = model.head.condition.described
            raise SpecError(f"this model was trained under conditions; give a condition, {described}")
        return model

    def generate(self, prompt: str = "", *, condition: Any = None, **options: Any) -> str:
        """Write on from a prompt; returns what comes after it.

        condition: what the text begins with, where the model was trained under conditions: a label or a vector.
        options: those of `recurra.decoding.generation.Generation`: length, temperature, seed, beam, stop, ... The
        same seed gives the same text, at any thread count. A prompt of unknown words is read as such; an empty one
        begins a document. Raises SpecError for options that make no sense together, and for texts to ban, require
        or stop at that the vocabulary cannot spell; DataError where they leave nothing to write.
        """
        return self._one(options, condition).texts([prompt])[0][0].text

    def pieces(self, prompt: str = "", *, condition: Any = None, **options: Any) -> Iterator[str]:
        """As `generate`, in pieces that come as soon as they are certain; joined they are the text."""
        return self._one(options, condition).pieces(prompt)

    def generations(
        self, prompts: Sequence[str], *, condition: Any = None, **options: Any
    ) -> list[list[Written]]:
        """For each of several prompts `count` texts, with their log-probabilities; of a beam, the best first.

        Each text is the same as if it were written alone.
        """
        return self._writer(options, condition).texts(prompts)

    def _one(self, options: Mapping[str, Any], condition: Any) -> Writer:
        if options.get("count", 1) != 1:
            raise SpecError(f"count={options['count']!r} needs generations(), which returns several texts")
        return self._writer(options, condition)

    def _writer(self, options: Mapping[str, Any], condition: Any) -> Writer:
        from recurra.decoding.generation import Generation
        from recurra.runtime.writing import Writer

        return Writer(self._member(condition), Generation.from_dict(options))
