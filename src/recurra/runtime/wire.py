"""Streams by key as lines of JSON: one line in, one line out, in order; a line that is wrong is answered by an error.

In: an object with any of

| field | what it does |
|---|---|
| `key` | which stream, a text or a whole number; left out: one stream without a key |
| `input` (or `text`) | the next piece: a chunk of text, a row of numbers, an event, or several steps |
| `static` | features of the sequence, with the line that begins it |
| `reset` | true: the stream begins anew before the input is taken |
| `state` | a state: the stream goes on from there; true: the answer carries the state |
| `end` | true, where a line is answered by `answers`: nothing follows; the rest is answered, the key forgotten |

or, for a stream without a key, the piece alone where it is no object. Out: `key`, `steps` (taken so far, so that a
stream that began anew is seen), then the record of `recurra predict`, or `next`, what a language or a frame model
foretells, or `answers` of a tagger that reads ahead or whose tags depend on their neighbours: the records of the
steps whose answers stand since; or `key`, `line` and `error` with its `type` and `message`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from recurra.errors import DataError, InputError, LostStreamError, nearest
from recurra.runtime.keyed import Streams
from recurra.runtime.step_streams import StepStreams

FIELDS = ("key", "input", "text", "static", "reset", "state", "end")
_NOTHING: Any = object()
_SCALARS = (str, int, type(None))


@dataclass(frozen=True, kw_only=True)
class _Request:
    """A line that could be read."""

    line: int
    key: Any
    item: Any
    static: Any
    reset: bool
    state: Any
    end: bool

    @property
    def name(self) -> Hashable:
        """The key with its type: 1 and true are different keys."""
        return type(self.key).__name__, self.key

    @property
    def is_push(self) -> bool:
        """Whether nothing but a push is asked for, so that it may be taken together with others."""
        return self.item is not _NOTHING and not (self.reset or self.end) and self.state is _NOTHING


class Wire:
    """Answers lines by streams. `answer` takes the lines that wait and steps as many as possible together."""

    def __init__(self, streams: Streams | StepStreams, *, most: int) -> None:
        self._streams, self._most = streams, most
        self._count = 0

    def answer(self, lines: Iterable[bytes | None]) -> list[dict[str, Any]]:
        """One answer per line, in order; None stands for a line that was too long to be kept."""
        answers: list[dict[str, Any]] = []
        waiting: dict[Hashable, _Request] = {}
        for line in lines:
            self._count += 1
            try:
                request = _read(line, self._count)
            except InputError as error:
                answers += self._push(waiting)
                answers.append(_refusal(None, self._count, error))
                continue
            if request.is_push and request.name not in waiting and len(waiting) < self._most:
                waiting[request.name] = request
                continue
            answers += self._push(waiting)
            if request.is_push:
                waiting[request.name] = request
            else:
                answers.append(self._alone(request))
        return answers + self._push(waiting)

    def _push(self, waiting: dict[Hashable, _Request]) -> list[dict[str, Any]]:
        """Step the waiting requests together and forget them."""
        requests = list(waiting.values())
        waiting.clear()
        if not requests:
            return []
        items = {request.name: request.item for request in requests}
        static = {request.name: request.static for request in requests if request.static is not None}
        errors = self._streams.push_many(items, static=static)
        try:
            done = self._streams.results([name for name in items if name not in errors])
        except LostStreamError:
            # A stream may pass its idle time between the two calls; then each is asked for itself.
            done = {}
        return [self._answered(request, errors, done) for request in requests]

    def _answered(
        self,
        request: _Request,
        errors: Mapping[Hashable, InputError],
        done: Mapping[Hashable, dict[str, Any]],
    ) -> dict[str, Any]:
        try:
            if request.name in errors:
                raise errors[request.name]
            record = done.get(request.name) or self._streams.result(request.name)
            return {"key": request.key, "steps": self._streams.steps(request.name), **record}
        except InputError as error:
            return _refusal(request.key, request.line, error)

    def _alone(self, request: _Request) -> dict[str, Any]:
        streams, name = self._streams, request.name
        try:
            if isinstance(request.state, dict):
                streams.restore(name, request.state)
            if request.reset:
                streams.start(name, static=request.static)
            if request.end and not isinstance(streams, StepStreams):
                raise DataError(
                    "end has no effect on this model: every line is answered for all steps so far"
                )
            if request.item is not _NOTHING:
                streams.push(name, request.item, static=None if request.reset else request.static)
            made = {"key": request.key, "steps": streams.steps(name), **streams.result(name)}
            made |= {"state": streams.state(name)} if request.state is True else {}
            if request.end and isinstance(streams, StepStreams):
                pushed = made["answers"] if request.item is not _NOTHING else []
                made["answers"] = pushed + streams.finish(name)
            return made
        except InputError as error:
            return _refusal(request.key, request.line, error)


def _refusal(key: Any, line: int, error: InputError) -> dict[str, Any]:
    return {"key": key, "line": line, "error": {"type": type(error).__name__, "message": str(error)}}


def _read(line: bytes | None, number: int) -> _Request:
    if line is None:
        raise DataError("the line is longer than is read")
    try:
        value = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"the line is not JSON: {error}") from None
    if not isinstance(value, dict):
        value = {"input": value}
    for field in value:
        if field not in FIELDS:
            raise DataError(f"the line has an unknown field {field!r}{nearest(field, FIELDS)}")
    return _request(value, number)


def _request(value: dict[str, Any], number: int) -> _Request:
    key, reset, state = value.get("key"), value.get("reset", False), value.get("state", _NOTHING)
    if not isinstance(key, _SCALARS) or isinstance(key, bool):
        raise DataError(f"key must be a text or a whole number, got {key!r:.40}")
    end = value.get("end", False)
    for field, given in (("reset", reset), ("end", end)):
        if not isinstance(given, bool):
            raise DataError(f"{field} must be true or false, got {given!r:.40}")
    if state is False or state is None:
        state = _NOTHING
    if state is not _NOTHING and state is not True and not isinstance(state, dict):
        raise DataError(f"state must be a state, or true to ask for it, got {state!r:.40}")
    if "input" in value and "text" in value:
        raise DataError("the line has both input and text; give one of them")
    item = value["text"] if "text" in value else value.get("input", _NOTHING)
    return _Request(
        line=number, key=key, item=item, static=value.get("static"), reset=reset, state=state, end=end
    )


def as_line(answer: dict[str, Any]) -> bytes:
    """An answer as a line of UTF-8; a lone surrogate in a key becomes "?"."""
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
