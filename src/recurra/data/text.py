"""Texts to token ids: by words, by characters, or by learnt pieces (byte pair encoding)."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, ClassVar

import numpy as np

from recurra.data.encoder import (
    SIDES,
    UNKNOWN,
    Encoder,
    InputSpec,
    Memory,
    expect,
    restored_notes,
    restored_spec,
)
from recurra.data.tokenization import (
    FILE,
    FORMS,
    UNK,
    WINDOW,
    Cut,
    Merges,
    most_frequent,
    piece_pattern,
    pipeline,
    plain_words,
    sound,
    spans,
    stored,
    text_items,
    token_counts,
    tokenizer,
    windows,
    without_tags,
    word_pieces,
)
from recurra.errors import CorruptBundleError, DataError, SpecError
from recurra.ragged import Array, Ragged
from recurra.spec import option

MEMO_PIECES = 1 << 18
MEMO_LENGTH = 64
"""How many pieces of text an encoder remembers the ids of, and how long a remembered piece may be."""


@dataclass(frozen=True, kw_only=True)
class _TextSpec(InputSpec):
    """What the three text specs share; the fields stand in each of them with its own defaults."""

    @classmethod
    def restore(cls, record: Mapping[str, Any], files: Mapping[str, bytes]) -> TextEncoder:
        spec = restored_spec(cls, record)
        vocabulary, merges = stored(spec, files)
        if expect(record, "size", int, "encoder record") != len(vocabulary):
            raise CorruptBundleError(
                f"{FILE} holds {len(vocabulary)} tokens, the record says {record['size']}"
            )
        notes = restored_notes(record)
        return _encoder_class(spec)(spec=spec, vocabulary=vocabulary, merges=merges, notes=notes)

    def validate(self) -> None:
        """Refuse accents stripped from text that is not in a normal form."""
        if getattr(self, "strip_accents", False) and getattr(self, "normalize", "") == "none":
            raise SpecError(
                "strip_accents brings text into a normal form; use normalize='NFC' or 'NFKC' with it"
            )

    def _learnt(self, vocabulary: tuple[str, ...], merges: Merges = ()) -> TextEncoder:
        empty = ("no token occurs often enough for the vocabulary: everything is unknown; lower min_count",)
        notes = empty if len(vocabulary) == 1 else ()
        return _encoder_class(self)(spec=self, vocabulary=vocabulary, merges=merges, notes=notes)


@dataclass(frozen=True, kw_only=True)
class Words(_TextSpec):
    """Texts as words and punctuation marks, or lists of words as they are.

    A word is a run of letters, marks and digits of any script; apostrophes stay inside (don't, l'été), a
    curly one counting as straight. Each punctuation mark, symbol, emoji (with its joiners and modifiers) and
    each character of Chinese and Hiragana is a token of its own. White space and control characters separate.
    Scripts that write no spaces (Thai, Lao, Khmer) come out as long runs: use `BPE` or `Characters` there. An
    input may also be a list of words: each is then exactly one token, whatever it holds.

    min_count: times a token must occur in training to be known; rarer ones become UNK, which is thereby
        trained. Usual: 1-5.
    max_size: known tokens at most, the most frequent ones (ties by text); None: all.
    max_length: tokens that are read of a text, in training and prediction alike; None: all.
    truncate: side that is cut off, by `max_length` and by the training's `sequence_length`: "end" or "start".
    lowercase: whether "Good" and "good" are one.
    strip_accents: whether "été" and "ete" are one. Vowel signs of Indic scripts, Arabic and Hebrew stay.
    clean_html: whether tags (<br />) become spaces and common entities (&amp;) their characters.
    normalize: Unicode normal form: "NFC", "NFKC" (also full-width and ligatures as plain characters) or
        "none".
    """

    name: ClassVar[str] = "words"

    min_count: int = option(2, int, low=1, usual="1-5")
    max_size: int | None = option(None, int, low=1, optional=True, usual="5000-50000")
    max_length: int | None = option(None, int, low=1, optional=True, usual="100-1000")
    truncate: str = option("end", str, choices=SIDES)
    lowercase: bool = option(True, bool)
    strip_accents: bool = option(False, bool)
    clean_html: bool = option(False, bool)
    normalize: str = option("NFC", str, choices=FORMS)

    def fit(self, inputs: Any, features: Any = None) -> WordEncoder:
        """Learn the vocabulary of training texts (or lists of words)."""
        items = _training(inputs, features, words=True)
        pieces: Counter[str] = Counter()
        words: Counter[str] = Counter()
        for item in items:
            if isinstance(item, str):
                pieces.update(word_pieces(_ready(item, self.clean_html)))
            else:
                words.update(item)
        counts = token_counts(self, pieces)
        normalizer = pipeline(self).normalizer
        for word, times in words.items():
            counts[normalizer.normalize_str(sound(word))] += times
        del counts[""]
        made = self._learnt(most_frequent(counts, min_count=self.min_count, max_size=self.max_size))
        assert isinstance(made, WordEncoder)
        return made


@dataclass(frozen=True, kw_only=True)
class Characters(_TextSpec):
    """Texts as single Unicode characters (code points), white space included.

    With the default options nothing is lost: the tokens in order are the text. Composed characters (é) are
    one token in NFC; an emoji with joiners is several.

    min_count: times a character must occur in training to be known. 1 keeps all, but leaves UNK untrained.
    max_size, max_length, truncate, lowercase, strip_accents, clean_html, normalize: as for `Words`.
    """

    name: ClassVar[str] = "characters"

    min_count: int = option(1, int, low=1, usual="1-5")
    max_size: int | None = option(None, int, low=1, optional=True, usual="50-5000")
    max_length: int | None = option(None, int, low=1, optional=True, usual="100-5000")
    truncate: str = option("end", str, choices=SIDES)
    lowercase: bool = option(False, bool)
    strip_accents: bool = option(False, bool)
    clean_html: bool = option(False, bool)
    normalize: str = option("NFC", str, choices=FORMS)

    def fit(self, inputs: Any, features: Any = None) -> CharacterEncoder:
        """Learn which characters occur in the training texts."""
        normalized = _normalizing(self)
        counts: Counter[str] = Counter()
        for text in _training(inputs, features, words=False):
            counts.update(normalized(text))
        made = self._learnt(most_frequent(counts, min_count=self.min_count, max_size=self.max_size))
        assert isinstance(made, CharacterEncoder)
        return made


@dataclass(frozen=True, kw_only=True)
class BPE(_TextSpec):
    """Texts as pieces of words learnt by byte pair encoding over characters (Sennrich et al. 2016).

    Frequent words become one token, rare ones several; pieces never reach over a space or from letters into
    punctuation. The space before a word belongs to it, so that the tokens in order are the text.

    vocab_size: ids in all: UNK, characters and merged pieces. Usual: 1000-32000. Fewer where training is too
        small.
    min_count: times a character or a pair must occur in training to be known.
    max_length, truncate, lowercase, strip_accents, clean_html, normalize: as for `Words`.
    """

    name: ClassVar[str] = "bpe"

    vocab_size: int = option(8000, int, low=2, high=10_000_000, usual="1000-32000")
    min_count: int = option(2, int, low=1, usual="1-5")
    max_length: int | None = option(None, int, low=1, optional=True, usual="100-2000")
    truncate: str = option("end", str, choices=SIDES)
    lowercase: bool = option(False, bool)
    strip_accents: bool = option(False, bool)
    clean_html: bool = option(False, bool)
    normalize: str = option("NFC", str, choices=FORMS)

    def fit(self, inputs: Any, features: Any = None) -> BPEEncoder:
        """Learn the pieces from the training texts; the same texts give the same pieces."""
        normalized = _normalizing(self)
        ready = [normalized(text) for text in _training(inputs, features, words=False)]
        counts = Counter(chain.from_iterable(ready))
        alphabet = most_frequent(counts, min_count=self.min_count, max_size=None)
        if len(alphabet) > self.vocab_size:
            raise DataError(
                f"vocab_size={self.vocab_size} must hold at least UNK and the "
                f"{len(alphabet) - 1} characters of training; use vocab_size={2 * len(alphabet)} or more, "
                f"or raise min_count={self.min_count}"
            )
        vocabulary, merges = _merged(self, ready, alphabet)
        made = self._learnt(vocabulary, merges)
        assert isinstance(made, BPEEncoder)
        return made


def _merged(spec: BPE, ready: Sequence[str], alphabet: Sequence[str]) -> tuple[tuple[str, ...], Merges]:
    """Train the library's BPE on normalised texts; returns vocabulary and merges."""
    import json

    from tokenizers import normalizers, trainers

    made = pipeline(spec)
    made.normalizer = normalizers.Sequence([])
    trainer = trainers.BpeTrainer(
        vocab_size=spec.vocab_size,
        min_frequency=spec.min_count,
        special_tokens=[UNK],
        limit_alphabet=len(alphabet) - 1,
        show_progress=False,
    )
    with _one_thread():
        made.train_from_iterator(ready, trainer)
    model = json.loads(made.to_str())["model"]
    vocabulary = tuple(sorted(model["vocab"], key=model["vocab"].__getitem__))
    return vocabulary, tuple((left, right) for left, right in model["merges"])


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep the library from starting threads, after which it would warn in every forked process."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


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
        _no_features(features)
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
        found = np.asarray(ids, dtype=np.int64).ravel()
        if len(found) and not 0 <= found.min() <= found.max() < len(self.vocabulary):
            raise DataError(
                f"ids must lie between 0 and {len(self.vocabulary) - 1}, got {found.min()} to {found.max()}"
            )
        return self._between.join(self.vocabulary[i] for i in found.tolist())

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
            return self._by_pieces(word_pieces(_ready(item, self.spec.clean_html)))
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
        return self._by_pieces(self._pieces.findall(_ready(item, self.spec.clean_html)))


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
        object.__setattr__(self, "_normalized", _normalizing(self.spec))

    def _ids(self, item: Any) -> Any:
        points = np.frombuffer(self._normalized(item).encode("utf-32-le"), dtype="<u4")
        return self._table[np.minimum(points, len(self._table) - 1)]

    def _joined(self, rows: Sequence[Any], total: int) -> Array:
        return np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)


def _encoder_class(spec: _TextSpec) -> type[TextEncoder]:
    kinds: dict[str, type[TextEncoder]] = {
        "words": WordEncoder,
        "characters": CharacterEncoder,
        "bpe": BPEEncoder,
    }
    return kinds[spec.name]


def _training(inputs: Any, features: Any, *, words: bool) -> list[Any]:
    _no_features(features)
    items = text_items(inputs, words=words)
    if not items:
        raise DataError("inputs must hold at least one text to learn from, got none")
    return items


def _no_features(features: Any) -> None:
    if features is not None and len(features):
        raise DataError(f"features has no effect on texts, got {list(features)[:3]!r}; leave it out")


def _ready(text: str, clean_html: bool) -> str:
    return without_tags(sound(text)) if clean_html else sound(text)


def _normalizing(spec: Any) -> Any:
    """The normaliser of a spec as a function; ASCII without markup needs no look-up in the Unicode tables."""
    normalizer = pipeline(spec).normalizer

    def normalized(text: str) -> str:
        if text.isascii() and "\0" not in text and not (spec.clean_html and ("<" in text or "&" in text)):
            return text.lower() if spec.lowercase else text
        made: str = normalizer.normalize_str(sound(text))
        return made

    return normalized
