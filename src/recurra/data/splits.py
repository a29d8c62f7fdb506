"""Splits into train, validation and test: stratified, by group, by time, by a column of the data.

Every function returns positions, never data, and the same ones for the same seed on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from recurra.data.dataset import PARTS, Dataset, take
from recurra.errors import DataError, nearest

Index: TypeAlias = npt.NDArray[np.int64]
Shares: TypeAlias = tuple[float, float, float]

SHARES: Shares = (0.6, 0.2, 0.2)
BINS = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Positions of the sequences of each part, ascending; no position is in two parts.

    train, validation, test: int64 positions. total: how many sequences there are; those in no part (a gap
    between parts in time) are dropped. how: what the split was made by, for messages.
    """

    train: Index
    validation: Index
    test: Index
    total: int
    how: str = ""

    def __post_init__(self) -> None:
        for name in PARTS:
            object.__setattr__(self, name, np.sort(np.asarray(getattr(self, name), dtype=np.int64)))
        everything = np.concatenate(self.parts())
        if len(np.unique(everything)) != len(everything):
            raise DataError("a sequence must be in at most one part of a split; some are in two")
        if len(everything) and (everything.min() < 0 or everything.max() >= self.total):
            raise DataError(
                f"a split of {self.total} sequences must hold positions from 0 to {self.total - 1}"
            )

    def parts(self) -> tuple[Index, Index, Index]:
        """Return the three parts in order."""
        return self.train, self.validation, self.test

    def __iter__(self) -> Any:
        return iter(self.parts())

    @property
    def dropped(self) -> int:
        """Number of sequences in no part."""
        return self.total - sum(len(part) for part in self.parts())

    @property
    def sizes(self) -> str:
        """One line for people: "train 600, validation 200, test 200 of 1,000 sequences (stratified)"."""
        counts = ", ".join(f"{name} {len(getattr(self, name)):,}" for name in PARTS)
        left = f", {self.dropped:,} dropped" if self.dropped else ""
        return f"{counts} of {self.total:,} sequences{left}" + (f" ({self.how})" if self.how else "")

    def names(self) -> npt.NDArray[np.str_]:
        """Return the name of the part of each sequence, "" for dropped ones."""
        made = np.full(self.total, "", dtype="U10")
        for name in PARTS:
            made[getattr(self, name)] = name
        return made


def stratified(targets: Any, shares: Shares = SHARES, seed: int = 0) -> Split:
    """Split at random with every class in the parts by its share.

    Numbers are stratified by tenths of their range of ranks, several labels per sequence by the rarest of
    them, targets of several numbers or of one per step not at all. Of a class of two, one is in train and one
    in test, and a single one is in train. Raises DataError where shares are not three numbers from 0 that
    add up to 1.
    """
    chosen = check_shares(shares)
    strata = strata_of(targets)
    generator = np.random.default_rng(seed)
    parts: list[list[Index]] = [[], [], []]
    owed = np.zeros(3)
    for code in range(int(strata.max(initial=-1)) + 1):
        members = generator.permutation(np.flatnonzero(strata == code))
        counts, owed = _apportion(len(members), chosen, owed)
        for part, piece in zip(parts, np.split(members, np.cumsum(counts)[:-1]), strict=True):
            part.append(piece)
    return _split([_joined(part) for part in parts], len(strata), f"stratified, seed {seed}")


def grouped(groups: Sequence[Any], shares: Shares = SHARES, seed: int = 0) -> Split:
    """Split so that no group (a person, a device, a document) is in two parts.

    Groups are dealt out by size, the largest first and equals in random order, each to the part that lacks
    most. Raises DataError where there are fewer groups than parts with a share.
    """
    chosen = check_shares(shares)
    codes, count = group_codes(groups)
    if count < sum(share > 0 for share in chosen):
        raise DataError(
            f"groups must be at least {sum(s > 0 for s in chosen)} to fill the parts, got {count}"
        )
    dealt = _deal(np.bincount(codes, minlength=count), chosen, np.random.default_rng(seed))
    parts = [np.flatnonzero(dealt[codes] == part) for part in range(3)]
    return _split(parts, len(codes), f"{count:,} groups, seed {seed}")


def chronological(times: Any, shares: Shares = SHARES, *, ends: Any = None, gap: float = 0.0) -> Split:
    """Split by time: everything in validation is later than everything in train, and test later still.

    times: (S,) when each sequence begins. ends: (S,) when it ends; None: as it begins. gap: least time between
    the end of one part and the beginning of the next. Sequences that reach over a border are dropped, and
    those that begin at the same time stay together.
    """
    chosen = check_shares(shares)
    starts = finite_times(times, "times")
    stops = starts if ends is None else finite_times(ends, "ends")
    if len(stops) != len(starts) or np.any(stops < starts) or gap < 0:
        raise DataError("ends must be one per sequence and not before its time, and gap must be at least 0")
    train = starts <= time_border(starts, chosen[0])
    test = starts > time_border(starts, chosen[0] + chosen[1])
    middle = ~train & ~test
    test_begins = starts[test].min(initial=np.inf)
    middle_begins = starts[middle].min(initial=test_begins)
    train &= over_before(stops, middle_begins, gap)
    middle &= over_before(stops, test_begins, gap)
    if not train.any():
        raise DataError(
            "no sequence ends before the validation begins; they all overlap in time: split by group"
        )
    parts = [np.flatnonzero(part) for part in (train, middle, test)]
    return _split(parts, len(starts), "chronological")


def by_column(column: Any, *, targets: Any = None, missing: float = 0.1, seed: int = 0) -> Split:
    """Split as a column of "train", "validation" and "test" says.

    A part of which the column has none is cut from the training rows, stratified by `targets`: the share
    `missing` of them; 0 leaves it empty. Raises DataError where there are no training rows.
    """
    names = np.asarray(column)
    parts = {name: np.flatnonzero(names == name) for name in PARTS}
    if not len(parts["train"]):
        raise DataError(
            "the split must name training sequences, got none; check the split column or the file names"
        )
    lacking = [name for name in PARTS if not len(parts[name])]
    if lacking and missing:
        train = parts["train"]
        cut = {name: missing if name in lacking else 0.0 for name in PARTS[1:]}
        shares = (1 - sum(cut.values()), cut["validation"], cut["test"])
        inner = stratified([0] * len(train) if targets is None else take(targets, train), shares, seed)
        parts["train"] = train[inner.train]
        parts.update({name: train[getattr(inner, name)] for name in lacking})
    how = "as the data say" + (f", {' and '.join(lacking)} cut from train" if lacking and missing else "")
    return _split([parts[name] for name in PARTS], len(names), how)


def split_dataset(
    dataset: Dataset,
    shares: Shares = SHARES,
    seed: int = 0,
    *,
    group: str | None = None,
    time: str | None = None,
    gap: float = 0.0,
) -> Split:
    """Split a dataset by what is known of it: its own split, else by `group`, by `time`, else stratified.

    group: a column whose values must not be in two parts; goes before the dataset's own split. time: a column
    of numbers to split by, or "time" for the times of the steps. gap: with `time`, the least time between parts
    (seconds, where the column holds dates).
    """
    if gap and time is None:
        raise DataError(f"gap={gap:g} has no effect on a split that is not by time; leave it out")
    if group is not None:
        return grouped(column_of(dataset, group).tolist(), shares, seed)
    if time is not None:
        starts, ends = spans_of(dataset, time)
        return chronological(starts, shares, ends=ends, gap=gap)
    if dataset.split is not None:
        return by_column(dataset.split, targets=dataset.targets, seed=seed)
    return stratified([0] * len(dataset) if dataset.targets is None else dataset.targets, shares, seed)


def column_of(dataset: Dataset, name: str) -> Any:
    """Return a column of a dataset; raises DataError with the nearest name."""
    if name not in dataset.columns:
        raise DataError(f"{dataset.source} has no column {name!r}{nearest(name, dataset.columns)}")
    return dataset.columns[name]


def check_shares(shares: Sequence[float]) -> Shares:
    """Return three shares that add up to 1; raises DataError otherwise."""
    values = tuple(float(share) for share in shares)
    if len(values) != 3 or min(values) < 0 or abs(sum(values) - 1) > 1e-6 or values[0] == 0:
        raise DataError(
            f"shares must be three numbers from 0 for train, validation and test that add up to 1, got {shares}; "
            "use for example (0.6, 0.2, 0.2)"
        )
    return values[0], values[1], values[2]


def strata_of(targets: Any) -> Index:
    """Return for each target the number of its stratum."""
    if isinstance(targets, np.ndarray) and targets.dtype.kind == "f":
        return _tenths(targets) if targets.ndim == 1 else np.zeros(len(targets), dtype=np.int64)
    items = targets.tolist() if isinstance(targets, np.ndarray) else list(targets)
    if items and all(isinstance(item, (tuple, set, frozenset, list)) for item in items):
        return _rarest(items)
    if any(isinstance(item, np.ndarray) for item in items):
        return np.zeros(len(items), dtype=np.int64)
    return group_codes(items)[0]


def group_codes(items: Sequence[Any]) -> tuple[Index, int]:
    """Number the distinct items in their order of appearance; returns the numbers and how many there are."""
    known: dict[Any, int] = {}
    codes = np.fromiter((known.setdefault(item, len(known)) for item in items), np.int64, count=len(items))
    return codes, len(known)


def _tenths(targets: Any) -> Index:
    if np.isnan(targets).any():
        raise DataError("targets must not be missing in a split; leave those sequences out")
    ranks = np.argsort(np.argsort(targets, kind="stable"), kind="stable")
    return np.asarray(ranks * min(BINS, max(1, len(targets) // 10)) // max(len(targets), 1), dtype=np.int64)


def _rarest(items: Sequence[Any]) -> Index:
    counts: dict[Any, int] = {}
    for item in items:
        for label in item:
            counts[label] = counts.get(label, 0) + 1
    return group_codes([min(item, key=lambda label: (counts[label], label), default=None) for item in items])[
        0
    ]


def _apportion(members: int, shares: Shares, owed: Any) -> tuple[Any, Any]:
    """Return how many members go to each part, and by how much the parts fall short over all classes so far.

    Whole members first; what is left goes to the part that is owed most, so that many small classes do not
    all round the same way.
    """
    quota = members * np.array(shares)
    counts = np.floor(quota + 1e-9).astype(np.int64)
    owed = owed + quota - counts
    for _ in range(members - int(counts.sum())):
        wanting = np.where(np.array(shares) > 0, owed, -np.inf)
        second_of_two = members == 2 and counts[2] == 0 and shares[2] > 0
        part = 0 if counts[0] == 0 else 2 if second_of_two else int(np.argmax(wanting))
        counts[part] += 1
        owed[part] -= 1
    return counts, owed


def _deal(sizes: Any, shares: Shares, generator: np.random.Generator) -> Any:
    order = generator.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    wanted = sizes.sum() * np.array(shares)
    dealt, filled = np.zeros(len(sizes), dtype=np.int64), np.zeros(3)
    open_parts = [part for part in range(3) if shares[part] > 0]
    for rank, group in enumerate(order):
        empty = [part for part in open_parts if filled[part] == 0]
        must = empty if len(order) - rank <= len(empty) else open_parts
        part = max(must, key=lambda p: (wanted[p] - filled[p], -p))
        dealt[group] = part
        filled[part] += sizes[group]
    return dealt


def over_before(stops: Any, begins: Any, gap: float) -> Any:
    """Tell which of the sequences are over before others begin, by at least `gap`."""
    return (stops < begins) & (stops + gap <= begins)


def finite_times(values: Any, name: str) -> Any:
    """Return times as numbers; raises DataError where one is missing or infinite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise DataError(f"{name} must be one finite number per sequence")
    return array


def time_border(times: Any, share: float) -> float:
    """Return the last time of about the first `share` of the sequences; equal times are never torn apart."""
    distinct, counts = np.unique(times, return_counts=True)
    reached = np.concatenate([[0], np.cumsum(counts)])
    nearest_count = int(np.argmin(np.abs(reached - share * len(times))))
    return -np.inf if nearest_count == 0 else float(distinct[nearest_count - 1])


def spans_of(dataset: Dataset, name: str) -> tuple[Any, Any]:
    """Return when each sequence begins, and when it ends (None: as it begins), by a column or the steps' times."""
    if name in dataset.columns:
        from recurra.data.tables import Table
        from recurra.data.timestamps import seconds

        return seconds(Table(columns={name: dataset.columns[name]}, source=dataset.source), name), None
    steps = getattr(dataset.inputs, "columns", {}).get("time") if name == "time" else None
    if steps is None:
        raise DataError(
            f"{dataset.source} has no column {name!r} to split by{nearest(name, dataset.columns)}"
        )
    offsets = dataset.inputs.offsets  # type: ignore[union-attr]
    if np.any(np.diff(offsets) == 0):
        raise DataError(f"{dataset.source} has sequences without steps, which have no time; leave them out")
    return np.minimum.reduceat(steps, offsets[:-1]), np.maximum.reduceat(steps, offsets[:-1])


def _joined(pieces: list[Index]) -> Index:
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)


def _split(parts: Sequence[Any], total: int, how: str) -> Split:
    return Split(train=parts[0], validation=parts[1], test=parts[2], total=total, how=how)
