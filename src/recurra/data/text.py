"""Texts to token ids: by words, by characters, or by learnt pieces (byte pair encoding)."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

from recurra.data.encoder import (
    SIDES,
    InputSpec,
    expect,
    restored_notes,
    restored_spec,
)
from recurra.data.text_encoders import (
    BPEEncoder,
    CharacterEncoder,
    TextEncoder,
    WordEncoder,
    encoder_class,
    no_features,
    normalizing,
    ready,
)
from recurra.data.tokenization import (
    FILE,
    FORMS,
    UNK,
    Merges,
    checked_items,
    most_frequent,
    pipeline,
    sound,
    stored,
    text_items,
    token_counts,
    word_pieces,
)
from recurra.errors import CorruptBundleError, DataError, SpecError
from recurra.spec import option


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
        return encoder_class(spec)(spec=spec, vocabulary=vocabulary, merges=merges, notes=notes)

    def validate(self) -> None:
        """Refuse accents stripped from text that is not in a normal form."""
        if getattr(self, "strip_accents", False) and getattr(self, "normalize", "") == "none":
            raise SpecError(
                "strip_accents brings text into a normal form; use normalize='NFC' or 'NFKC' with it"
            )

    def _learnt(self, vocabulary: tuple[str, ...], merges: Merges = ()) -> TextEncoder:
        empty = ("no token occurs often enough for the vocabulary: everything is unknown; lower min_count",)
        notes = empty if len(vocabulary) == 1 else ()
        return encoder_class(self)(spec=self, vocabulary=vocabulary, merges=merges, notes=notes)


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
                pieces.update(word_pieces(ready(item, self.clean_html)))
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
        normalized = normalizing(self)
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
    punctuation. The space before a word belongs to it, so that the tokens in order are the text where all
    characters are known. Words of more than 100 letters are cut before.

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
        normalized = normalizing(self)
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


def _training(inputs: Any, features: Any, *, words: bool) -> Iterator[Any]:
    """The texts to learn from, checked; an iterator is walked once and never held whole."""
    no_features(features)
    lazily = isinstance(inputs, Iterator)
    found = checked_items(inputs, words=words) if lazily else iter(text_items(inputs, words=words))
    first = next(found, None)
    if first is None:
        raise DataError("inputs must hold at least one text to learn from, got none")
    return chain([first], found)
