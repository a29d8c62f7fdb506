"""Summaries of data, each a record that computes itself and turns into plain values: the parts of a data report."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recurra.data.cells import Array, Floats
from recurra.ragged import Ragged

BINS = 12
GROWTH_POINTS = 10
GAP = 1.5
WHOLE = (50, 75, 90, 95, 99, 100)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base: a record of plain values."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Bin(Record):
    """How many values lie from `low` to `high`: up to but without `high`, in the last bin with it."""

    low: float
    high: float
    count: int


def histogram(values: Array, *, whole: bool = False) -> tuple[Bin, ...]:
    """Return at most 12 bins of equal width over finite values; `whole` gives edges that are whole numbers."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ()
    low, high = float(finite.min()), float(finite.max())
    if low == high or not np.isfinite(high - low):
        return (Bin(low=low, high=high, count=len(finite)),)
    edges = np.linspace(low, high, BINS + 1)
    if whole:
        width = max(1, int(np.ceil((high - low + 1) / BINS)))
        edges = np.arange(low, high + width + 1, width)
    counts, edges = np.histogram(finite, bins=edges)
    edges[-1] = high
    pairs = zip(edges[:-1], edges[1:], counts, strict=True)
    return tuple(Bin(low=float(a), high=float(b), count=int(n)) for a, b, n in pairs)


@dataclass(frozen=True, kw_only=True)
class Lengths(Record):
    """Lengths of the sequences. unit: "words" or "steps". p95: 95 of 100 sequences are not longer."""

    unit: str
    mean: float
    median: float
    minimum: int
    maximum: int
    p95: float
    total: int
    empty: int
    histogram: tuple[Bin, ...]

    @classmethod
    def of(cls, lengths: Array, unit: str) -> Lengths:
        """Summarise (S,) lengths; there must be at least one."""
        return cls(
            unit=unit,
            mean=float(lengths.mean()),
            median=float(np.median(lengths)),
            minimum=int(lengths.min()),
            maximum=int(lengths.max()),
            p95=float(np.percentile(lengths, 95)),
            total=int(lengths.sum()),
            empty=int((lengths == 0).sum()),
            histogram=histogram(lengths.astype(np.float64), whole=True),
        )


@dataclass(frozen=True, kw_only=True)
class LabelSummary(Record):
    """How often each label occurs, the most frequent first. several: whether a sequence may have several."""

    counts: dict[str, int]
    several: bool
    unlabelled: int

    @classmethod
    def of(cls, targets: Sequence[Any]) -> LabelSummary:
        """Summarise labels, or tuples of labels."""
        several = any(not isinstance(target, str) for target in targets)
        rows = [(target,) if isinstance(target, str) else tuple(target) for target in targets]
        counts = Counter(label for row in rows for label in row)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return cls(counts=dict(ordered), several=several, unlabelled=sum(not row for row in rows))

    @property
    def imbalance(self) -> float:
        """How many times the most frequent label is more frequent than the rarest."""
        values = list(self.counts.values())
        return values[0] / values[-1] if values else 1.0


@dataclass(frozen=True, kw_only=True)
class NumberSummary(Record):
    """A column of numbers: a feature, a target, a static feature. missing: NaN; infinite: ±inf."""

    name: str
    mean: float | None
    deviation: float | None
    minimum: float | None
    median: float | None
    maximum: float | None
    missing: int
    infinite: int
    constant: bool
    histogram: tuple[Bin, ...]

    @classmethod
    def of(cls, name: str, values: Floats) -> NumberSummary:
        """Summarise (N,) numbers; the moments leave out what is missing or infinite."""
        finite = values[np.isfinite(values)]
        some = len(finite) > 0
        with np.errstate(over="ignore"):
            mean, deviation = (float(finite.mean()), float(finite.std())) if some else (None, None)
        return cls(
            name=name,
            mean=_plain(mean),
            deviation=_plain(deviation),
            minimum=float(finite.min()) if some else None,
            median=float(np.median(finite)) if some else None,
            maximum=float(finite.max()) if some else None,
            missing=int(np.isnan(values).sum()),
            infinite=int(np.isinf(values).sum()),
            constant=bool(some and finite.min() == finite.max() and len(finite) == len(values)),
            histogram=histogram(values),
        )


def _plain(value: float | None) -> float | None:
    """JSON has no infinity: moments of numbers near the end of float64 are left out."""
    return value if value is not None and np.isfinite(value) else None


@dataclass(frozen=True, kw_only=True)
class CategorySummary(Record):
    """A column of categories: how many there are, how many steps have none, and the most frequent ones."""

    name: str
    distinct: int
    missing: int
    once: int
    frequent: dict[str, int]

    @classmethod
    def of(cls, name: str, column: Array) -> CategorySummary:
        """Summarise (N,) texts, "" where missing."""
        counts = Counter(str(item) for item in column.tolist())
        missing = counts.pop("", 0)
        return cls(
            name=name,
            distinct=len(counts),
            missing=missing,
            once=sum(count == 1 for count in counts.values()),
            frequent=dict(counts.most_common(5)),
        )


@dataclass(frozen=True, kw_only=True)
class Vocabulary(Record):
    """The words of texts, as the `Words` spec cuts them with its defaults and min_count=1.

    once: words that occur once. growth: how many different words the first part of the sequences (in random
    order) has, as (sequences, words). unseen: for validation and test, the share of their words that do not
    occur in train. with_tags: texts that hold HTML tags.
    """

    tokens: int
    words: int
    once: int
    frequent: dict[str, int]
    growth: tuple[tuple[int, int], ...]
    unseen: dict[str, float]
    with_tags: int

    @classmethod
    def of(cls, texts: Sequence[str], split: Array | None) -> tuple[Vocabulary, Array]:
        """Summarise texts; returns the summary and the lengths of the texts in words."""
        from recurra.data.text import Words

        encoder = Words(min_count=1).fit(texts)
        ids = encoder.encode(texts)
        made = cls._of_ids(
            ids, encoder.vocabulary, split, sum(_TAG.search(text) is not None for text in texts)
        )
        return made, ids.lengths

    @classmethod
    def _of_ids(
        cls, ids: Ragged, vocabulary: Sequence[str], split: Array | None, with_tags: int
    ) -> Vocabulary:
        values = np.asarray(ids.values, dtype=np.int64)
        counts = np.bincount(values, minlength=len(vocabulary))
        top = np.argsort(-counts, kind="stable")[:10]
        return cls(
            tokens=len(values),
            words=int((counts > 0).sum()),
            once=int((counts == 1).sum()),
            frequent={vocabulary[i]: int(counts[i]) for i in top.tolist() if counts[i]},
            growth=_growth(ids),
            unseen={} if split is None else _unseen(ids, split),
            with_tags=with_tags,
        )


def _growth(ids: Ragged) -> tuple[tuple[int, int], ...]:
    shuffled = ids.permute(np.random.default_rng(0).permutation(len(ids)))
    _, first = np.unique(np.asarray(shuffled.values), return_index=True)
    first = np.sort(first)
    sizes = sorted({round(len(ids) * (i + 1) / GROWTH_POINTS) for i in range(GROWTH_POINTS)} - {0})
    return tuple((size, int(np.searchsorted(first, shuffled.offsets[size]))) for size in sizes)


def _unseen(ids: Ragged, split: Array) -> dict[str, float]:
    known = np.unique(np.asarray(ids.select(split == "train").values))
    shares = {}
    for name in ("validation", "test"):
        values = np.asarray(ids.select(split == name).values)
        if len(values):
            shares[name] = float(1 - np.isin(values, known).mean())
    return shares


@dataclass(frozen=True, kw_only=True)
class Spacing(Record):
    """Seconds between the steps of sequences that have times.

    regular: whether all are the same; irregular: share of them that is off the median by more than 1%.
    gaps: places where more than 1.5 median spacings lie between two steps; missing: steps that would fill them.
    repeated: steps at the time of the one before; backwards: steps at an earlier time than the one before.
    """

    minimum: float
    median: float
    maximum: float
    regular: bool
    irregular: float
    gaps: int
    missing: int
    repeated: int
    backwards: int

    @classmethod
    def of(cls, inputs: Ragged) -> Spacing | None:
        """Summarise the column "time"; None where there is none, or no sequence has two steps."""
        if "time" not in inputs.columns:
            return None
        inner = np.ones(len(inputs.values), dtype=bool)
        inner[inputs.offsets[:-1][inputs.lengths > 0]] = False
        steps = np.diff(inputs.columns["time"], prepend=0.0)[inner]
        if not len(steps):
            return None
        low, high, middle = float(steps.min()), float(steps.max()), float(np.median(steps))
        forward = steps[steps > 0]
        usual = float(np.median(forward)) if len(forward) else 0.0
        wide = forward[forward > GAP * usual]
        return cls(
            minimum=low,
            median=middle,
            maximum=high,
            regular=high - low <= 1e-6 * max(abs(high), 1.0),
            irregular=float((np.abs(steps - usual) > 0.01 * usual).mean()),
            gaps=len(wide),
            missing=int((np.round(wide / usual) - 1).sum()) if len(wide) else 0,
            repeated=int((steps == 0).sum()),
            backwards=int((steps < 0).sum()),
        )


@dataclass(frozen=True, kw_only=True)
class Cut(Record):
    """What `sequence_length=limit` costs and saves: share of the sequences that are cut, of the steps that are lost,
    and the steps that remain as a share (training time goes with it)."""

    limit: int
    sequences: float
    lost: float
    remaining: float


def cuts(lengths: Array) -> tuple[Cut, ...]:
    """Return what truncation costs at the lengths that leave 50, 75, 90, 95, 99 and 100 of 100 sequences whole."""
    total = max(int(lengths.sum()), 1)
    limits = sorted({max(1, int(np.ceil(np.percentile(lengths, share)))) for share in WHOLE})
    kept = [int(np.minimum(lengths, limit).sum()) for limit in limits]
    return tuple(
        Cut(
            limit=limit,
            sequences=float((lengths > limit).mean()),
            lost=1 - left / total,
            remaining=left / total,
        )
        for limit, left in zip(limits, kept, strict=True)
    )
