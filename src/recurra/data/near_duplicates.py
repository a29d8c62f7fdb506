"""Sequences that are nearly the same as another, found without comparing all pairs.

Texts: Jaccard likeness of their words and pairs of neighbouring words, at least `LIKE`; candidates by MinHash in
bands (Broder 1997; Leskovec, Rajaraman & Ullman 2014, chapter 3). Numbers: sequences of one length whose
differences are below `CLOSE` of the deviation of each feature; candidates are neighbours on random projections.
Exact duplicates are not counted here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.cells import Array
from recurra.data.dataset import PARTS
from recurra.data.duplicates import sequence_keys
from recurra.data.summaries import Record
from recurra.ragged import Ragged

LIKE = 0.8
CLOSE = 0.02
BANDS, ROWS_PER_BAND = 12, 4
PROJECTIONS, NEIGHBOURS, POINTS = 8, 2, 16
WORDS = 200
"""Words of a text that are compared, from its beginning."""
MOST = 50_000
"""Sequences that are looked at; of more, these many are drawn."""
SHOWN = 80
LARGE = 1e100
"""Beyond this numbers are cut, so that their squares stay finite."""


@dataclass(frozen=True, kw_only=True)
class NearDuplicates(Record):
    """Near-duplicates. sequences: how many are nearly the same as one before them; across: as "train and test" ->
    how many of the part named second are nearly the same as one of the part named first. examples: pairs of texts
    or row numbers. looked_at: sequences that were compared."""

    sequences: int
    across: dict[str, int]
    examples: tuple[tuple[str, str], ...]
    looked_at: int


def near_duplicates(inputs: Any, split: Array | None = None) -> NearDuplicates:
    """Find near-duplicates among texts or sequences of numbers, and those that stand in two parts of a split."""
    chosen = _first_of_each(inputs)
    if len(chosen) > MOST:
        chosen = np.sort(np.random.default_rng(0).permutation(chosen)[:MOST])
    found = _numeric_pairs(inputs, chosen) if isinstance(inputs, Ragged) else _text_pairs(inputs, chosen)
    pairs = sorted({(min(pair), max(pair)) for pair in found})
    return NearDuplicates(
        sequences=len({later for _, later in pairs}),
        across={} if split is None else _across(pairs, split),
        examples=tuple((_shown(inputs, a), _shown(inputs, b)) for a, b in pairs[:3]),
        looked_at=len(chosen),
    )


def _first_of_each(inputs: Any) -> Array:
    first: dict[bytes, int] = {}
    for row, key in enumerate(sequence_keys(inputs)):
        first.setdefault(key, row)
    return np.array(sorted(first.values()), dtype=np.int64)


def _across(pairs: Sequence[tuple[int, int]], split: Array) -> dict[str, int]:
    counts = {}
    for place, earlier in enumerate(PARTS):
        for later in PARTS[place + 1 :]:
            both = {earlier, later}
            rows = {
                row
                for pair in pairs
                if {split[pair[0]], split[pair[1]]} == both
                for row in pair
                if split[row] == later
            }
            if rows:
                counts[f"{earlier} and {later}"] = len(rows)
    return counts


def _shown(inputs: Any, row: int) -> str:
    if isinstance(inputs, Ragged):
        return f"row {row}"
    text = " ".join(str(inputs[row]).split())
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _text_pairs(texts: Sequence[str], chosen: Array) -> Iterator[tuple[int, int]]:
    """Pairs whose MinHash agrees in a band, and whose sets are indeed alike."""
    items, offsets = _shingles([texts[row] for row in chosen.tolist()])
    if not len(items):
        return
    marks = _minhash(items, offsets)
    full = np.diff(offsets) > 0
    for band in range(BANDS):
        begin = band * ROWS_PER_BAND
        block = np.ascontiguousarray(marks[:, begin : begin + ROWS_PER_BAND])
        _, bucket = np.unique(block.view([("", block.dtype)] * ROWS_PER_BAND).ravel(), return_inverse=True)
        # A member is compared with the first of its bucket only, so that a large bucket costs no more.
        first = np.full(int(bucket.max()) + 1, -1)
        first[bucket[::-1]] = np.arange(len(bucket))[::-1]
        for row in np.flatnonzero((first[bucket] != np.arange(len(bucket))) & full).tolist():
            other = int(first[bucket[row]])
            if full[other] and _jaccard(items, offsets, other, row) >= LIKE:
                yield int(chosen[other]), int(chosen[row])


def _shingles(texts: Sequence[str]) -> tuple[Array, Array]:
    """Numbers of the distinct words and pairs of neighbouring words of each text, sorted, end to end."""
    from recurra.data.text import Words

    ids = Words(min_count=1, max_length=WORDS).fit(texts).encode(texts)
    words = np.asarray(ids.values, dtype=np.uint64) + np.uint64(1)
    rows = np.repeat(np.arange(len(ids)), ids.lengths)
    inside = rows[:-1] == rows[1:]
    pairs = ((words[:-1] << np.uint64(32)) | words[1:])[inside]
    items, of = np.concatenate([words, pairs]), np.concatenate([rows, rows[:-1][inside]])
    order = np.lexsort((items, of))
    items, of = items[order], of[order]
    new = np.ones(len(items), dtype=bool)
    new[1:] = (items[1:] != items[:-1]) | (of[1:] != of[:-1])
    counts = np.bincount(of[new], minlength=len(texts))
    return items[new], np.concatenate([[0], np.cumsum(counts)])


def _minhash(items: Array, offsets: Array) -> Array:
    """(S, BANDS * ROWS_PER_BAND) least hashes of each set; sets without items get 0."""
    generator = np.random.default_rng(0)
    count = BANDS * ROWS_PER_BAND
    odd = generator.integers(0, 2**62, count, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    shift = generator.integers(0, 2**63, count, dtype=np.uint64)
    marks = np.zeros((len(offsets) - 1, count), dtype=np.uint64)
    full = np.flatnonzero(np.diff(offsets) > 0)
    for place in range(count):
        mixed = (items ^ (items >> np.uint64(29))) * odd[place] + shift[place]
        mixed ^= mixed >> np.uint64(32)
        marks[full, place] = np.minimum.reduceat(mixed * odd[place], offsets[:-1][full])
    return marks


def _jaccard(items: Array, offsets: Array, a: int, b: int) -> float:
    first, second = items[offsets[a] : offsets[a + 1]], items[offsets[b] : offsets[b + 1]]
    common = len(np.intersect1d(first, second, assume_unique=True))
    return common / (len(first) + len(second) - common)


def _numeric_pairs(inputs: Ragged, chosen: Array) -> Iterator[tuple[int, int]]:
    values = np.asarray(inputs.values)
    if values.dtype.kind not in "fiu" or not values.size:
        return
    numbers = (values if values.ndim == 2 else values[:, None]).astype(np.float64)
    numbers = np.clip(np.where(np.isfinite(numbers), numbers, 0.0), -LARGE, LARGE)
    deviation = numbers.std(axis=0)
    numbers = numbers / np.where(deviation > 0, deviation, 1.0)
    rows = chosen[inputs.lengths[chosen] > 1]
    for length in np.unique(inputs.lengths[rows]).tolist():
        yield from _close_pairs(numbers, inputs, rows[inputs.lengths[rows] == length], length)


def _close_pairs(numbers: Array, inputs: Ragged, rows: Array, length: int) -> Iterator[tuple[int, int]]:
    """Near-duplicates among sequences of one length: neighbours on any projection, then compared in full."""
    blocks = numbers[inputs.offsets[rows][:, None] + np.arange(length)]
    points = np.unique(np.linspace(0, length - 1, POINTS).round().astype(int))
    flat = blocks[:, points].reshape(len(rows), -1)
    generator = np.random.default_rng(0)
    for _ in range(PROJECTIONS):
        order = np.argsort(flat @ generator.standard_normal(flat.shape[1]), kind="stable")
        for step in range(1, NEIGHBOURS + 1):
            a, b = order[:-step], order[step:]
            near = np.sqrt(((blocks[a] - blocks[b]) ** 2).mean(axis=(1, 2))) < CLOSE
            same = [
                _same_columns(inputs, int(rows[i]), int(rows[j]))
                for i, j in zip(a[near], b[near], strict=True)
            ]
            pairs = zip(rows[a[near]].tolist(), rows[b[near]].tolist(), strict=True)
            yield from (pair for pair, alike in zip(pairs, same, strict=True) if alike)


def _same_columns(inputs: Ragged, a: int, b: int) -> bool:
    """Whether two sequences have the same categories, step by step."""
    spans = [slice(int(inputs.offsets[row]), int(inputs.offsets[row + 1])) for row in (a, b)]
    return all(
        np.array_equal(column[spans[0]], column[spans[1]])
        for name, column in inputs.columns.items()
        if name != "time"
    )
