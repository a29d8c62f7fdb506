"""Sequences of words that are read by their characters too: what a tagger reads of a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from recurra.data.encoder import (
    ENCODER_FILE,
    UNKNOWN,
    Encoder,
    InputSpec,
    Memory,
    expect,
    read_json,
    restored_notes,
    restored_spec,
    texts,
    truncated,
)
from recurra.data.sentences import Sentence
from recurra.data.text import Words
from recurra.data.tokenization import FORMS, UNK, most_frequent, normalized_form, sound, text_items
from recurra.errors import CorruptBundleError, DataError
from recurra.ragged import Ragged
from recurra.spec import option
from recurra.storage import dump_json

WORDS, CHARACTERS = "words", "characters"

RARE_AFFIX = 2
"""Times that a beginning or an ending must occur in training to be looked up: rarer ones train the unknown one."""


@dataclass(frozen=True, kw_only=True)
class Tokens(InputSpec):
    """Words, each as one of a vocabulary and as the characters that it is written with.

    An input is a list of words, each of which is exactly one token whatever it holds, or a text, which is cut into
    words and punctuation marks as `Words` does. Characters keep their case, so that capitals and endings are seen
    of words that training never had.

    min_count: times a word must occur in training to be looked up; rarer ones are known by their characters
        alone. Usual: 1-3.
    max_size: known words at most, the most frequent ones; None: all.
    max_length: tokens that are read of a sequence, in training and prediction alike; None: all.
    lowercase: whether "Good" and "good" are looked up as one word.
    normalize: Unicode normal form of words and characters: "NFC", "NFKC" or "none".
    character_size: numbers per character. Usual: 16-64.
    units: of the LSTM that reads the characters, per direction. Usual: 25-100.
    max_characters: characters that are read of a word, the first and the last half of them. Usual: 20-100.
    affixes: characters of the longest beginning and of the longest ending of a word that are looked up by themselves,
        beside all shorter ones; 0: none. Endings tell much where few sentences are at hand to learn from. Usual: 0-5.
    affix_size: numbers per beginning or ending. Usual: 8-16.
    word_dropout: probability that a word is looked up as unknown in training. Usual: 0.2-0.5.
    """

    name: ClassVar[str] = "tokens"

    min_count: int = option(1, int, low=1, usual="1-3")
    max_size: int | None = option(None, int, low=1, optional=True, usual="5000-100000")
    max_length: int | None = option(None, int, low=1, optional=True, usual="100-1000")
    lowercase: bool = option(True, bool)
    normalize: str = option("NFC", str, choices=FORMS)
    character_size: int = option(32, int, low=1, high=4096, usual="16-64")
    units: int = option(48, int, low=1, high=4096, usual="25-100")
    max_characters: int = option(40, int, low=2, usual="20-100")
    affixes: int = option(4, int, low=0, high=20, usual="0-5")
    affix_size: int = option(8, int, low=1, high=4096, usual="8-16")
    word_dropout: float = option(0.4, float, low=0.0, high=1.0, open_high=True, usual="0.2-0.5")

    def fit(self, inputs: Any, features: Any = None) -> TokenEncoder:
        """Learn which words and which characters occur in the training sequences."""
        _no_features(features)
        reader = _Reader(self)
        words: Counter[str] = Counter()
        characters: Counter[str] = Counter()
        affixes = {slot: Counter[str]() for slot in self.slots}
        rows = reader.rows(inputs)
        if not rows:
            raise DataError("inputs must hold at least one sequence to learn from, got none")
        for row in rows:
            for word in row:
                words[reader.looked_up(word)] += 1
                for slot, affix in reader.affixes(word).items():
                    affixes[slot][affix] += 1
                characters.update(reader.spelling(word))
        return TokenEncoder(
            spec=self,
            words=most_frequent(words, min_count=self.min_count, max_size=self.max_size),
            characters=most_frequent(characters, min_count=1, max_size=None),
            affixes={
                slot: most_frequent(found, min_count=RARE_AFFIX, max_size=None)
                for slot, found in affixes.items()
            },
        )

    @property
    def slots(self) -> tuple[str, ...]:
        """The columns of beginnings and endings, by their length."""
        sizes = range(1, self.affixes + 1)
        return (*(f"begin{size}" for size in sizes), *(f"end{size}" for size in sizes))

    @classmethod
    def restore(cls, record: Mapping[str, Any], files: Mapping[str, bytes]) -> TokenEncoder:
        """Build the encoder from what it wrote; raises CorruptBundleError."""
        spec: Any = restored_spec(cls, record)
        stored = read_json(files, ENCODER_FILE)
        found = {}
        for name in (WORDS, CHARACTERS, *spec.slots):
            known = tuple(texts(expect(stored, name, list, ENCODER_FILE), f"{ENCODER_FILE}: {name}"))
            if not known or known[0] != UNK or len(set(known)) != len(known):
                raise CorruptBundleError(
                    f"{ENCODER_FILE}: {name} must be different texts that begin with {UNK!r}"
                )
            if expect(record, name, int, "encoder record") != len(known):
                raise CorruptBundleError(
                    f"{ENCODER_FILE} holds {len(known)} {name}, the record says {record[name]}"
                )
            found[name] = known
        affixes = {slot: found.pop(slot) for slot in spec.slots}
        return TokenEncoder(spec=spec, notes=restored_notes(record), affixes=affixes, **found)


class _Reader:
    """How sequences become words, and words what is looked up and spelt; by the spec alone."""

    def __init__(self, spec: Tokens) -> None:
        self.spec = spec
        self._words = Words(lowercase=False, normalize=spec.normalize, min_count=1).fit([""])

    def rows(self, inputs: Any) -> list[list[str]]:
        """The words of each sequence."""
        written: dict[str, str] = {}
        return [list(self._row(item, written)) for item in text_items(inputs, words=True)]

    def _row(self, item: str | Sequence[str], written: dict[str, str]) -> Iterator[str]:
        """The words of one sequence, as they are written; written: those that are known already."""
        given = item
        if isinstance(item, str):
            given = [item[begin:end] for _, begin, end in self._words.tokens(item)]
        for word in given:
            if word not in written:
                written[word] = normalized_form(sound(word), self.spec.normalize)
            yield written[word]

    def places(self, item: str | Sequence[str]) -> list[tuple[str, int, int]]:
        """Words as given, and where they begin and end in `text_of` them."""
        if isinstance(item, str):
            return [(item[begin:end], begin, end) for _, begin, end in self._words.tokens(item)]
        if isinstance(item, Sentence):
            return [(word, begin, end) for word, (begin, end) in zip(item, item.spans, strict=True)]
        found, begin = [], 0
        for word in item:
            found.append((word, begin, begin + len(word)))
            begin += len(word) + 1
        return found

    def looked_up(self, word: str) -> str:
        """What a word is looked up as."""
        return word.lower() if self.spec.lowercase else word

    def affixes(self, word: str) -> dict[str, str]:
        """The beginnings and endings of a word, by their columns; a shorter word is its own."""
        own, sizes = self.looked_up(word), range(1, self.spec.affixes + 1)
        begins = {f"begin{size}": own[:size] for size in sizes}
        return {**begins, **{f"end{size}": own[-size:] for size in sizes}}

    def spelling(self, word: str) -> str:
        """The characters that are read of a word: of a long one the first and the last half of the most."""
        most = self.spec.max_characters
        if len(word) <= most:
            return word
        head = (most + 1) // 2
        return word[:head] + word[len(word) - (most - head) :]


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenEncoder(Encoder):
    """The encoder of `Tokens`: ids of words, and the ids of the characters of each of them.

    Id 0 of either vocabulary is everything unknown.
    """

    kind: ClassVar[str] = "spelt"

    spec: Any
    words: tuple[str, ...]
    characters: tuple[str, ...]
    affixes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    _reader: _Reader = field(init=False, repr=False)
    _word_ids: dict[str, int] = field(init=False, repr=False)
    _character_ids: dict[str, int] = field(init=False, repr=False)
    _affix_ids: dict[str, dict[str, int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_reader", _Reader(self.spec))
        object.__setattr__(self, "_word_ids", {word: i for i, word in enumerate(self.words) if i})
        object.__setattr__(self, "_character_ids", {c: i for i, c in enumerate(self.characters) if i})
        tables = {slot: {affix: i for i, affix in enumerate(row) if i} for slot, row in self.affixes.items()}
        object.__setattr__(self, "_affix_ids", tables)

    @property
    def width(self) -> int:
        return 0

    @property
    def feature_names(self) -> tuple[str, ...]:
        return ()

    @property
    def vocabularies(self) -> dict[str, int]:
        return {name: len(known) for name, known in self._vocabularies.items()}

    @property
    def _vocabularies(self) -> dict[str, tuple[str, ...]]:
        return {WORDS: self.words, CHARACTERS: self.characters, **self.affixes}

    @property
    def spelling(self) -> dict[str, Any]:
        """What the model has to be built by, besides the vocabularies."""
        spec = self.spec
        return {
            "character_size": spec.character_size,
            "units": spec.units,
            "affix_size": spec.affix_size,
            "word_dropout": spec.word_dropout,
        }

    def encode(self, inputs: Any, features: Any = None) -> Ragged:
        """Encode sequences: values are the characters of the words, int64; column "words" holds their ids."""
        _no_features(features)
        return truncated(self._encoded(self._reader.rows(inputs)), self.spec.max_length, "end")

    def _encoded(self, rows: Sequence[Sequence[str]]) -> Ragged:
        # Each different word is looked up and spelt once: texts repeat most of theirs.
        places: dict[str, int] = {}
        at = [places.setdefault(word, len(places)) for row in rows for word in row]
        spelt, columns = self._spelt(list(places)), self._looked_up(list(places))
        if len(places) < len(at):
            index = np.asarray(at, dtype=np.int64)
            spelt, columns = spelt.select(index), {name: ids[index] for name, ids in columns.items()}
        return Ragged(values=spelt, offsets=_offsets(map(len, rows)), columns=columns)

    def _spelt(self, words: Sequence[str]) -> Ragged:
        """The ids of the characters that are read of each word."""
        spelt, known = [self._reader.spelling(word) for word in words], self._character_ids
        parts = [known.get(character, UNKNOWN) for word in spelt for character in word]
        return Ragged(values=np.asarray(parts, dtype=np.int64), offsets=_offsets(map(len, spelt)))

    def _looked_up(self, words: Sequence[str]) -> dict[str, Any]:
        """Of all words their ids and those of their beginnings and endings, (N,) per column."""
        own = [self._reader.looked_up(word) for word in words]
        found = {WORDS: [self._word_ids.get(word, UNKNOWN) for word in own]}
        each = [self._reader.affixes(word) for word in words] if self._affix_ids else []
        for slot, known in self._affix_ids.items():
            found[slot] = [known.get(affixes[slot], UNKNOWN) for affixes in each]
        return {name: np.asarray(ids, dtype=np.int64) for name, ids in found.items()}

    def step(self, item: Any, memory: Memory | None = None) -> tuple[Ragged, Memory]:
        """Encode the next chunk of a text, which counts as set off by white space, or a list of words."""
        room = self._room(memory)
        (row,) = self._reader.rows([item])
        kept = row if room is None else row[: max(room, 0)]
        return self._encoded([kept]), self._counted(memory, len(kept))

    def tokens(self, item: Any) -> list[tuple[str, int, int]]:
        """The words of one sequence as given, and where each begins and ends in the text (see `text_of`)."""
        (checked,) = [item] if isinstance(item, Sentence) else text_items([item], words=True)
        return self._reader.places(checked)[: self.spec.max_length]

    def unknown_rate(self, inputs: Any) -> float:
        """The share of words that are not looked up; 0.0 where there are no words."""
        ids = self.encode(inputs).columns[WORDS]
        return float(np.mean(ids == UNKNOWN)) if len(ids) else 0.0

    def files(self) -> dict[str, bytes]:
        """`encoder.json`."""
        return {ENCODER_FILE: dump_json({name: list(known) for name, known in self._vocabularies.items()})}

    def _content(self) -> dict[str, Any]:
        return self.vocabularies


def _offsets(lengths: Any) -> Any:
    counts = np.fromiter(lengths, dtype=np.int64)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _no_features(features: Any) -> None:
    if features is not None and len(features):
        raise DataError(f"features has no effect on texts, got {list(features)[:3]!r}; leave it out")
