"""A corpus as token ids in a file, read through memory mapping: what a language model is trained on.

Each document stands after one boundary id, the first that the vocabulary does not use: it is what the model reads
before the first token, and, where documents end of themselves, what it predicts after the last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data.corpus import Corpus
from recurra.data.encoder import UNKNOWN, Encoder, Memory
from recurra.errors import DataError
from recurra.ragged import Array
from recurra.storage.durable import storage_errors


@dataclass(frozen=True, kw_only=True)
class TokenFile:
    """Ids of all documents end to end, each after a boundary, and a last boundary.

    ids: (N,) as stored, mapped: uint8, uint16 or uint32. boundary: the id that begins a document. ends: whether
    ends of documents are predicted. characters: of the text; unknown: tokens that the vocabulary does not know.
    digest: a hash of the ids.
    """

    ids: Array
    boundary: int
    ends: bool
    documents: int
    characters: int
    unknown: int
    digest: str

    @property
    def tokens(self) -> int:
        """Tokens of the text, without boundaries."""
        return len(self.ids) - self.documents - 1

    @property
    def predicted(self) -> int:
        """How many predictions a model makes of it: of each token, and of the ends where these count."""
        return self.tokens + (self.documents if self.ends else 0)


def boundary_of(encoder: Encoder) -> int:
    """The id of the boundary: the first that the vocabulary does not use."""
    return int(encoder.vocabularies["tokens"])


def write_tokens(path: Path, corpus: Corpus, encoder: Encoder) -> TokenFile:
    """Encode a corpus into a file, piece by piece; the file may be removed once the result is no longer used.

    Raises DataError for a corpus without a token, StorageError where the disk is full.
    """
    boundary = boundary_of(encoder)
    dtype = np.min_scalar_type(boundary)
    digest = hashlib.sha256()
    documents = characters = unknown = tokens = 0
    with storage_errors("write", path), path.open("wb") as file:

        def keep(ids: Any) -> None:
            row = np.asarray(ids).astype(dtype).tobytes()
            file.write(row)
            digest.update(row)

        for ids, text, begins in _encoded(corpus, encoder):
            keep(np.concatenate([[boundary], ids]) if begins else ids)
            documents, characters, tokens = documents + begins, characters + text, tokens + len(ids)
            unknown += int(np.sum(ids == UNKNOWN))
        keep([boundary])
    if tokens == 0:
        raise DataError(f"{corpus.name} must hold at least one token, got none; is the file empty?")
    return TokenFile(
        ids=np.memmap(path, dtype=dtype, mode="r"),
        boundary=boundary,
        ends=corpus.ends,
        documents=documents,
        characters=characters,
        unknown=unknown,
        digest=digest.hexdigest(),
    )


def _encoded(corpus: Corpus, encoder: Encoder) -> Iterator[tuple[Array, int, bool]]:
    """Ids of each piece, its characters, and whether it begins a document."""
    memory: Memory | None = None
    begins = True
    for text, ends in corpus.pieces():
        batch, memory = encoder.step(text, memory)
        ids: Any = batch.values
        yield ids, len(text), begins
        begins, memory = ends, None if ends else memory
