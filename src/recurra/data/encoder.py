"""What turns sequences into what a model reads: the request (`InputSpec`) and the fitted `Encoder`.

A spec is asked for by the user and knows no data. `spec.fit(train)` learns vocabulary, scaling and the
treatment of missing values from the training split alone and returns the encoder, which never changes again
and travels in the bundle. The kinds stand in `text` (`Words`, `Characters`, `BPE`), `signal` (`Signal`) and
`events` (`Events`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, TypeAlias

import numpy as np

from recurra.errors import CorruptBundleError, NewerBundleError, SpecError, nearest
from recurra.ragged import Ragged
from recurra.spec import Spec
from recurra.storage import parse_json

FORMAT = 1
"""Version of what encoders write; a later one is refused with `NewerBundleError`."""

SIDES = ("end", "start")
"""Sides at which a sequence longer than `max_length` can be cut."""

UNKNOWN = 0
"""Id of everything that the vocabulary does not know. There is no id for padding: no padding exists."""

ENCODER_FILE = "encoder.json"

Memory: TypeAlias = dict[str, Any]
"""What an encoder remembers between two steps of a stream: plain values, ready for JSON."""

_KINDS: Mapping[str, tuple[str, str]] = {
    "words": ("recurra.data.text", "Words"),
    "characters": ("recurra.data.text", "Characters"),
    "bpe": ("recurra.data.text", "BPE"),
    "bytes": ("recurra.data.bytes", "Bytes"),
    "tokens": ("recurra.data.tokens", "Tokens"),
    "signal": ("recurra.data.signal", "Signal"),
    "events": ("recurra.data.events", "Events"),
}


class InputSpec(Spec, ABC):
    """Base of the input specs. `name` is the word for it in configuration files and bundles."""

    section: ClassVar[str] = "input"
    name: ClassVar[str]

    @abstractmethod
    def fit(self, inputs: Any, features: Any = None) -> Encoder:
        """Learn from the training split and return the encoder.

        inputs: what the kind of spec says. features: names of the numeric features, where the inputs are
            arrays
        without names (`Dataset.features`); None: no names are known, or the inputs carry them.
        """

    @classmethod
    @abstractmethod
    def restore(cls, record: Mapping[str, Any], files: Mapping[str, bytes]) -> Encoder:
        """Build the encoder from `Encoder.to_record` and `Encoder.files`; raises CorruptBundleError."""

    def to_record(self) -> dict[str, Any]:
        """All options as plain values, with the kind of spec; `input_spec` reads it."""
        return {"kind": self.name, **self.to_dict()}


class Encoder(ABC):
    """A fitted encoder: immutable, independent of the sequences it was not fitted on, and of the batch.

    spec: the request it was fitted from.
    notes: what happened in fitting that the user should know, one sentence each.
    """

    spec: InputSpec
    notes: tuple[str, ...]
    kind: ClassVar[str]

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers per step, F (0 for tokens)."""

    @property
    @abstractmethod
    def vocabularies(self) -> dict[str, int]:
        """Number of ids, with the unknown one, per categorical column: "tokens" for text, none for signals."""

    @property
    def spelling(self) -> dict[str, Any] | None:
        """By what the reading of characters is built, where the kind is "spelt"; else None."""
        return None

    @property
    @abstractmethod
    def feature_names(self) -> tuple[str, ...]:
        """Names of the F numbers per step."""

    @abstractmethod
    def encode(self, inputs: Any, features: Any = None) -> Ragged:
        """Encode whole sequences.

        Tokens: values int64 (N,). Signals: values float32 (N, F). Events: values float32 (N, F) and one int64
        column per categorical column. Raises DataError where the inputs are not what the encoder was fitted
        on.
        """

    @abstractmethod
    def step(self, item: Any, memory: Memory | None = None) -> tuple[Ragged, Memory]:
        """Encode the next piece of one sequence: a chunk of text, a step, or several steps.

        Returns one sequence of what `encode` would have added for it (possibly nothing), and the memory for
        the next call; None begins a sequence. Raises SpecError where the spec cannot be streamed.
        """

    @abstractmethod
    def _content(self) -> dict[str, Any]:
        """What the record says besides kind, spec and notes."""

    @abstractmethod
    def files(self) -> dict[str, bytes]:
        """What has to be stored: file name -> content. The same encoder gives the same bytes."""

    def to_record(self) -> dict[str, Any]:
        """As plain values; the rest is in `files`."""
        common = {
            "format": FORMAT,
            "kind": self.spec.name,
            "spec": self.spec.to_dict(),
            "notes": list(self.notes),
        }
        return {**common, **self._content()}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Encoder):
            return NotImplemented
        return self.to_record() == other.to_record() and self.files() == other.files()

    def __hash__(self) -> int:
        return hash((self.spec, *sorted(self.files().items())))

    def __reduce__(self) -> Any:
        return encoder_from_record, (self.to_record(), self.files())

    def check_stream(self) -> None:
        """Raise SpecError, with the reason, where the sequences cannot be encoded step by step."""
        self._room(None)

    def _room(self, memory: Memory | None) -> int | None:
        """Steps that a stream may still take before `max_length`; None: no bound."""
        limit: int | None = getattr(self.spec, "max_length", None)
        if limit is None:
            return None
        if getattr(self.spec, "truncate", "end") == "start":
            raise SpecError(
                f"truncate='start' with max_length={limit} keeps the last steps, which a stream cannot know; "
                "use truncate='end', or max_length=None"
            )
        return limit - int((memory or {}).get("steps", 0))

    def _counted(self, memory: Memory | None, rows: int) -> Memory:
        """The memory after `rows` more steps were let through."""
        if getattr(self.spec, "max_length", None) is None:
            return {}
        return {"steps": int((memory or {}).get("steps", 0)) + rows}


def input_spec(record: Mapping[str, Any], default: str | None = None) -> InputSpec:
    """Build an input spec from a section `[input]` or `InputSpec.to_record`: `kind` and its options.

    default: the kind where the record names none. Raises SpecError.
    """
    options = dict(record)
    kind = options.pop("kind", default)
    if kind not in _KINDS:
        raise SpecError(
            f"kind of input must be one of {', '.join(_KINDS)}, got {kind!r}{nearest(str(kind), _KINDS)}"
        )
    return _spec_class(kind).from_dict(options)


def encoder_from_record(record: Mapping[str, Any], files: Mapping[str, bytes]) -> Encoder:
    """Build the encoder that `Encoder.to_record` and `Encoder.files` describe.

    Raises CorruptBundleError, naming the part, where they are not what an encoder writes, and
    NewerBundleError where a later version wrote them.
    """
    version = expect(record, "format", int, "encoder record")
    if version > FORMAT:
        raise NewerBundleError(
            f"encoder has format {version}, this Recurra reads up to {FORMAT}; upgrade Recurra"
        )
    kind = expect(record, "kind", str, "encoder record")
    if kind not in _KINDS or version < 1:
        raise CorruptBundleError(
            f"encoder record has kind {kind!r} and format {version}, which nothing writes"
        )
    return _spec_class(kind).restore(record, files)


def restored_spec(cls: type[InputSpec], record: Mapping[str, Any]) -> Any:
    """The spec inside an encoder's record; raises CorruptBundleError where its options are invalid."""
    try:
        return cls.from_dict(expect(record, "spec", dict, "encoder record"))
    except (SpecError, TypeError) as error:
        raise CorruptBundleError(f"encoder record has an invalid spec: {error}") from None


def restored_notes(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The notes inside an encoder's record."""
    return tuple(texts(expect(record, "notes", list, "encoder record"), "encoder record: notes"))


def expect(record: Any, name: str, kind: type, where: str) -> Any:
    """Return `record[name]`; raises CorruptBundleError where it is missing or of another type."""
    if not isinstance(record, Mapping) or name not in record:
        raise CorruptBundleError(f"{where} has no {name!r}")
    value = record[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise CorruptBundleError(
            f"{where}: {name!r} must be of type {kind.__name__}, got {type(value).__name__}"
        )
    return value


def texts(values: Any, where: str) -> list[str]:
    """Return a list of texts from a stored file; raises CorruptBundleError."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise CorruptBundleError(f"{where} must be a list of texts")
    return values


def read_json(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """Return the JSON object in a stored file; raises CorruptBundleError where it is missing or malformed."""
    if name not in files:
        raise CorruptBundleError(f"{name} is missing; the bundle is incomplete")
    made = parse_json(bytes(files[name]), name)
    if not isinstance(made, dict):
        raise CorruptBundleError(f"{name} must hold a JSON object, got {type(made).__name__}")
    return made


def truncated(batch: Ragged, limit: int | None, side: str) -> Ragged:
    """Return every sequence with at most `limit` steps, cut at its "end" or its "start"; None: as it is."""
    if limit is None or not len(batch) or int(batch.lengths.max()) <= limit:
        return batch
    lengths = np.minimum(batch.lengths, limit)
    begin = np.zeros_like(lengths) if side == "end" else batch.lengths - lengths
    return batch.cut(begin, begin + lengths)


def _spec_class(kind: str) -> type[InputSpec]:
    module, name = _KINDS[kind]
    found: type[InputSpec] = getattr(import_module(module), name)
    return found
