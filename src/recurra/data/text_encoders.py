"""Fitted text encoders: the vocabulary, and how words, characters and pieces of text become ids."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, ClassVar

import numpy as np

from recurra.data.encoder import UNKNOWN, Encoder, InputSpec, Memory
from recurra.data.tokenization import (
    FILE,
    UNK,
    WINDOW,
    Cut,
    Merges,
    piece_pattern,
    pipeline,
    plain_words,
    sound,
    spans,
    text_items,
    tokenizer,
    windows,
    without_tags,
    word_pieces,
)
from recurra.errors import DataError
from recurra.ragged import Array, Ragged

MEMO_PIECES = 1 << 18
MEMO_LENGTH = 64
"""How many pieces of text an encoder remembers the ids of, and how long a remembered piece may be."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TextEncoder(Encoder):
    """A fitted vocabulary. Ids are positions in `vocabulary`; 0 is UNK.

    NUL and lone surrogates count as U+FFFD. A text of unknown tokens only keeps its UNKs; an empty text has
    length 0.
    """

    kind: ClassVar[str] = "tokens"

    spec: Any
    vocabulary: tuple[str, ...]
    merges: Merges = ()
    notes: tuple[str, ...] = ()
    _tokenizer: Any = field(init=False, repr=False)
    _memo: dict[str, list[int]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tokenizer", tokenizer(self.spec, self.vocabulary, self.merges))

    @property
    def width(self) -> int:
        return 0

    @property
    def feature_names(self) -> tuple[str, ...]:
        return ()

    @property
    def vocabularies(self) -> dict[str, int]:
        return {"tokens": len(self.vocabulary)}

    def encode(self, inputs: Any, features: Any = None) -> Ragged:
        """Encode texts to int64 ids (N,)."""
        no_features(features)
        rows = [self._cut(self._ids(item)) for item in text_items(inputs, words=self._takes_words)]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return Ragged(values=self._joined(rows, int(offsets[-1])), offsets=offsets)

    def step(self, item: Any, memory: Memory | None = None) -> tuple[Ragged, Memory]:
        """Encode the next chunk of a text (or a list of words).

        Words: the chunk counts as set off by white space, so pushing "not", "bad" is "not bad". BPE and
        Characters: chunks follow each other as they are; the result is that of the whole where no chunk
        begins inside a word (BPE: it begins with the space) or with a combining mark. Tags of HTML are seen
        inside a chunk only.
        """
        room = self._room(memory)
        (checked,) = text_items([item], words=self._takes_words)
        ids = np.asarray(self._ids(checked)[:room] if room is None or room > 0 else [], dtype=np.int64)
        offsets = np.asarray([0, len(ids)], dtype=np.int64)
        return Ragged(values=ids, offsets=offsets), self._counted(memory, len(ids))

    def tokens(self, text: Any) -> list[tuple[str, int, int]]:
        """Return the tokens that `encode` makes of one text as (token, begin, end).

        begin and end are positions of characters in the text as given (in a list of words: in the words
        joined by single spaces); an unknown token is "<unk>".
        """
        (item,) = text_items([text], words=self._takes_words)
        found = self._word_tokens(item) if isinstance(item, list) else self._text_tokens(sound(item))
        limit = self.spec.max_length
        if limit is None:
            return found
        return found[:limit] if self.spec.truncate == "end" else found[-limit:]

    def unknown_rate(self, inputs: Any) -> float:
        """Return the share of UNK among all tokens of the texts; 0.0 where there are none."""
        ids = np.asarray(self.encode(inputs).values)
        return float(np.mean(ids == UNKNOWN)) if len(ids) else 0.0

    def decode(self, ids: Any) -> str:
        """Return the text of token ids: words with spaces between, characters and pieces without."""
        return self._between.join(self.vocabulary[i] for i in self._checked(ids).tolist())

    def _checked(self, ids: Any) -> Array:
        """Token ids as int64; raises DataError for one that the vocabulary does not have."""
        found = np.asarray(ids, dtype=np.int64).ravel()
        if len(found) and not 0 <= found.min() <= found.max() < len(self.vocabulary):
            raise DataError(
                f"ids must lie between 0 and {len(self.vocabulary) - 1}, got {found.min()} to {found.max()}"
            )
        return found

    def files(self) -> dict[str, bytes]:
        """`tokenizer.json` in the format of the Hugging Face tokenizers library."""
        return {FILE: self._tokenizer.to_str(pretty=True).encode("utf-8")}

    _takes_words: ClassVar[bool] = False
    _between: ClassVar[str] = ""

    @abstractmethod
    def _ids(self, item: Any) -> Any:
        """The ids of one whole item: a list, or an array."""

    def _joined(self, rows: Sequence[Any], total: int) -> Array:
        return np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=total)

    def _cut(self, ids: Any) -> Any:
        limit = self.spec.max_length
        if limit is None or len(ids) <= limit:
            return ids
        return ids[:limit] if self.spec.truncate == "end" else ids[-limit:]

    def _text_tokens(self, text: str) -> list[tuple[str, int, int]]:
        made = self._tokenizer.encode(text)
        return list(spans(text, list(zip(made.tokens, made.offsets, strict=True))))

    def _word_tokens(self, words: Sequence[str]) -> list[tuple[str, int, int]]:
        raise NotImplementedError

    def _content(self) -> dict[str, Any]:
        return {"size": len(self.vocabulary)}

    def _by_pieces(self, pieces: Sequence[str]) -> list[int]:
        """The ids of pieces of text, from memory where they have been met."""
        memo, made = self._memo, []
        for piece in pieces:
            known = memo.get(piece)
            made.extend(self._piece(piece) if known is None else known)
        return made

    def _piece(self, piece: str) -> list[int]:
        ids = self._cut_up(piece)
        if len(piece) <= MEMO_LENGTH and len(self._memo) < MEMO_PIECES:
            self._memo[piece] = ids
        return ids

    def _cut_up(self, piece: str) -> list[int]:
        if len(piece) > WINDOW:
            return self._long(piece)
        ids: list[int] = self._tokenizer.encode(piece).ids
        return ids

    def _long(self, piece: str) -> list[int]:
        """The ids of a very long piece, cut between words (which BPE then cuts further)."""

        def cut(text: str) -> list[Cut]:
            made = self._tokenizer.encode(text)
            words = groupby(zip(made.word_ids, made.ids, made.offsets, strict=True), key=itemgetter(0))
            groups = (list(group) for _, group in words)
            return [([i for _, i, _ in group], (group[0][2][0], group[-1][2][1])) for group in groups]

        return [number for window in windows(piece, cut) for ids, _ in window for number in ids]


@dataclass(frozen=True, kw_only=True, eq=False)
class WordEncoder(TextEncoder):
    """The encoder of `Words`."""

    _takes_words: ClassVar[bool] = True
    _between: ClassVar[str] = " "
    _known: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_known", {token: number for number, token in enumerate(self.vocabulary)})

    def _ids(self, item: Any) -> Any:
        if isinstance(item, str):
            return self._by_pieces(word_pieces(ready(item, self.spec.clean_html)))
        return [self._known.get(word, UNKNOWN) for word in map(self._normalized, item)]

    def _cut_up(self, piece: str) -> list[int]:
        found = plain_words(self.spec, piece)
        return super()._cut_up(piece) if found is None else [self._known.get(word, UNKNOWN) for word in found]

    def _normalized(self, word: str) -> str:
        made: str = self._tokenizer.normalizer.normalize_str(sound(word))
        return made

    def _word_tokens(self, words: Sequence[str]) -> list[tuple[str, int, int]]:
        found, begin = [], 0
        for word in words:
            token = self._normalized(word)
            found.append((token if token in self._known else UNK, begin, begin + len(word)))
            begin += len(word) + 1
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class BPEEncoder(TextEncoder):
    """The encoder of `BPE`."""

    _pieces: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_pieces", piece_pattern(self.spec.normalize))

    def _ids(self, item: Any) -> Any:
        return self._by_pieces(self._pieces.findall(ready(item, self.spec.clean_html)))


@dataclass(frozen=True, kw_only=True, eq=False)
class CharacterEncoder(TextEncoder):
    """The encoder of `Characters`: a table from code points to ids."""

    _table: Any = field(init=False, repr=False)
    _normalized: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        points = [ord(character) for character in self.vocabulary[1:]]
        table = np.full(max(points, default=0) + 2, UNKNOWN, dtype=np.int64)
        table[points] = np.arange(1, len(self.vocabulary))
        object.__setattr__(self, "_table", table)
        object.__setattr__(self, "_normalized", normalizing(self.spec))

    def _ids(self, item: Any) -> Any:
        points = np.frombuffer(self._normalized(item).encode("utf-32-le"), dtype="<u4")
        return self._table[np.minimum(points, len(self._table) - 1)]

    def _joined(self, rows: Sequence[Any], total: int) -> Array:
        return np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)


def encoder_class(spec: InputSpec) -> type[TextEncoder]:
    kinds: dict[str, type[TextEncoder]] = {
        "words": WordEncoder,
        "characters": CharacterEncoder,
        "bpe": BPEEncoder,
    }
    return kinds[spec.name]


def no_features(features: Any) -> None:
    if features is not None and len(features):
        raise DataError(f"features has no effect on texts, got {list(features)[:3]!r}; leave it out")


def ready(text: str, clean_html: bool) -> str:
    return without_tags(sound(text)) if clean_html else sound(text)


def normalizing(spec: Any) -> Any:
    """The normaliser of a spec as a function; ASCII without markup needs no look-up in the Unicode tables."""
    normalizer = pipeline(spec).normalizer

    def normalized(text: str) -> str:
        if text.isascii() and "\0" not in text and not (spec.clean_html and ("<" in text or "&" in text)):
            return text.lower() if spec.lowercase else text
        made: str = normalizer.normalize_str(sound(text))
        return made

    return normalized
