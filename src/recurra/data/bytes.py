"""Texts as the bytes of their UTF-8 form: nothing to learn, nothing unknown, any script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from recurra.data.encoder import (
    ENCODER_FILE,
    SIDES,
    UNKNOWN,
    InputSpec,
    read_json,
    restored_notes,
    restored_spec,
)
from recurra.data.text_encoders import TextEncoder, no_features
from recurra.data.tokenization import UNK, sound, text_items
from recurra.errors import CorruptBundleError
from recurra.spec import option
from recurra.storage import dump_json

VOCABULARY = (UNK, *(f"<0x{value:02X}>" for value in range(256)))
"""Id 0 is that of the unknown, which never occurs; byte b has the id b + 1."""


@dataclass(frozen=True, kw_only=True)
class Bytes(InputSpec):
    """Texts as the bytes of UTF-8: 256 kinds, learnt from nothing; one to four per character.

    No text is unknown and nothing is lost, but sequences are longer than with `Characters` where the script is not
    Latin, and a model may write bytes that are no text.

    max_length: bytes that are read of a text, in training and prediction alike; None: all.
    truncate: side that is cut off, by `max_length` and by the training's `sequence_length`: "end" or "start".
    """

    name: ClassVar[str] = "bytes"

    max_length: int | None = option(None, int, low=1, optional=True, usual="200-5000")
    truncate: str = option("end", str, choices=SIDES)

    def fit(self, inputs: Any, features: Any = None) -> BytesEncoder:
        """There is nothing to learn; the inputs are not read."""
        no_features(features)
        return BytesEncoder(spec=self, vocabulary=VOCABULARY)

    @classmethod
    def restore(cls, record: Mapping[str, Any], files: Mapping[str, bytes]) -> BytesEncoder:
        """Build the encoder from its record and file; raises CorruptBundleError."""
        spec = restored_spec(cls, record)
        if read_json(files, ENCODER_FILE) != _CONTENT:
            raise CorruptBundleError(f"{ENCODER_FILE} does not describe bytes of UTF-8")
        return BytesEncoder(spec=spec, vocabulary=VOCABULARY, notes=restored_notes(record))


_CONTENT = {"kind": "bytes", "encoding": "utf-8"}


@dataclass(frozen=True, kw_only=True, eq=False)
class BytesEncoder(TextEncoder):
    """The encoder of `Bytes`."""

    def __post_init__(self) -> None:
        pass

    def _ids(self, item: Any) -> Any:
        return np.frombuffer(sound(item).encode("utf-8"), dtype=np.uint8).astype(np.int64) + 1

    def tokens(self, text: Any) -> list[tuple[str, int, int]]:
        """Every byte as (token, begin, end) of the character that it belongs to."""
        (item,) = text_items([text], words=False)
        found: list[tuple[str, int, int]] = []
        for place, character in enumerate(sound(item)):
            found += [(VOCABULARY[byte + 1], place, place + 1) for byte in character.encode("utf-8")]
        return self._cut(found)  # type: ignore[no-any-return]

    def decode(self, ids: Any) -> str:
        """Return the text of byte ids; bytes that are no UTF-8 become U+FFFD, unknown ids are left out."""
        kept = self._checked(ids)
        return bytes((kept[kept != UNKNOWN] - 1).tolist()).decode("utf-8", errors="replace")

    def files(self) -> dict[str, bytes]:
        """`encoder.json`, which says that there is nothing to know."""
        return {ENCODER_FILE: dump_json(_CONTENT)}

    def _content(self) -> dict[str, Any]:
        return {}
