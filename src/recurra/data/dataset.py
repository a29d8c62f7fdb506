"""`Dataset`: sequences with what is known about each of them, whatever file they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from recurra.errors import DataError
from recurra.ragged import Ragged

Array: TypeAlias = npt.NDArray[Any]
Targets: TypeAlias = "list[str] | list[tuple[str, ...]] | list[list[Any]] | Array | None"

KINDS = ("text", "signal", "events")
PARTS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """S sequences, what is asked about each, and what else is known of each.

    inputs: kind "text": a list of S texts, or of S lists of words. Kind "signal": a `Ragged` whose values are
        (N, F) float64, NaN where a value is missing. Kind "events": a `Ragged` whose values are the numeric
        features, (N, F) float64 and F may be 0, and whose `columns` hold the categorical features as texts (""
        where missing). Signals and events have a column "time" (float64, seconds; dates count from 1970 in UTC)
        where the data have one.
    targets: labels (list of S texts), numbers ((S,) or (S, K) float64), several labels per sequence (list of S
        tuples of texts, in alphabetical order, may be empty), for tagged text a list of tags per sequence, one per
        word, or None where there are none.
    kind: "text", "signal" or "events".
    features: names of the F columns of `inputs.values`; empty for text.
    columns: further columns, one value per sequence: ids, groups, dates.
    static: (S, K) float64 numeric features of whole sequences, NaN where missing, or None.
    static_names: names of the K columns of `static`.
    split: (S,) of "train", "validation" and "test" where the data say it, else None.
    source: where it came from, for messages.
    notes: what the reader did besides reading, one sentence each: rows sorted, characters replaced.

    Raises DataError where the parts are not of one length.
    """

    inputs: list[Any] | Ragged
    targets: Targets = None
    kind: str = "text"
    features: tuple[str, ...] = ()
    columns: Mapping[str, Array] = field(default_factory=dict)
    static: Array | None = None
    static_names: tuple[str, ...] = ()
    split: Array | None = None
    source: str = "memory"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        object.__setattr__(self, "columns", {name: np.asarray(c) for name, c in self.columns.items()})
        sized = {"targets": self.targets, "static": self.static, "split": self.split}
        for name, part in {**sized, **self.columns}.items():
            if part is not None and len(part) != len(self.inputs):
                raise DataError(
                    f"{name} must have one row per sequence ({len(self.inputs)}), got {len(part)}"
                )
        if self.split is not None:
            _check_parts(self.split)

    @classmethod
    def from_frame(
        cls, frame: Any, input: Any = None, target: Any = None, *, source: str = "frame", **options: Any
    ) -> Dataset:
        """Build from a pandas or polars frame or a mapping of names to columns; options as of `read`."""
        from recurra.data.reading import read_frame

        return read_frame(frame, input, target, source=source, **options)

    def __len__(self) -> int:
        return len(self.inputs)

    def __repr__(self) -> str:
        known = "no targets" if self.targets is None else "targets"
        return f"Dataset({len(self)} sequences of {self.kind}, {known}, from {self.source})"

    def select(self, index: Sequence[int] | Array) -> Dataset:
        """Return the sequences at `index` (positions or a boolean mask), in that order; repeats allowed."""
        rows = np.asarray(index)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        inputs = self.inputs.select(rows) if isinstance(self.inputs, Ragged) else take(self.inputs, rows)
        return self._with(
            inputs=inputs,
            targets=None if self.targets is None else take(self.targets, rows),
            columns={name: column[rows] for name, column in self.columns.items()},
            static=None if self.static is None else self.static[rows],
            split=None if self.split is None else self.split[rows],
        )

    def part(self, name: str) -> Dataset:
        """Return the sequences that `split` calls `name`."""
        if self.split is None:
            raise DataError(f"{self.source} does not say which sequences are {name!r}; name a split column")
        return self.select(self.split == name)

    @property
    def fingerprint(self) -> str:
        """Sha256 (hex) of the content: inputs, targets, static features, split and columns; not of the source."""
        digest = hashlib.sha256()
        for piece in self._pieces():
            digest.update(len(piece).to_bytes(8, "little"))
            digest.update(piece)
        return digest.hexdigest()

    def _pieces(self) -> Iterator[bytes]:
        yield from (self.kind.encode(), repr(self.features).encode(), repr(self.static_names).encode())
        yield from _content(self.inputs)
        for part in (self.targets, self.static, self.split):
            yield from _content(part)
        for name in sorted(self.columns):
            yield name.encode()
            yield from _content(self.columns[name])

    def _with(self, **changes: Any) -> Dataset:
        same = {f.name: getattr(self, f.name) for f in fields(self)}
        return Dataset(**{**same, **changes})


def take(items: Any, rows: Array) -> Any:
    """Return the items at `rows`, as an array or a list like the one given."""
    return items[rows] if isinstance(items, np.ndarray) else [items[i] for i in rows.tolist()]


def classes(targets: Any) -> list[str]:
    """Return the distinct labels in alphabetical order; for several labels per sequence, of all of them."""
    labels: set[str] = set()
    for target in targets:
        labels.update(target) if isinstance(target, (tuple, list, set, frozenset)) else labels.add(
            str(target)
        )
    return sorted(labels)


def require_classes(targets: Any, *, least: int = 2, name: str = "target") -> list[str]:
    """Return the distinct labels; raises DataError where there are fewer than `least`."""
    found = classes(targets)
    if len(found) < least:
        shown = ", ".join(repr(label) for label in found) or "none"
        raise DataError(
            f"{name} must hold at least {least} different labels to learn from, got {len(found)} ({shown}); "
            "check that the right column is named as target"
        )
    return found


def require_targets(dataset: Dataset, task: str) -> Targets:
    """Return the targets; raises DataError where the data have none."""
    if dataset.targets is None:
        raise DataError(f"{task} needs targets and {dataset.source} has none; name the column with target=")
    return dataset.targets


def _check_parts(split: Array) -> None:
    strange = sorted(set(np.unique(split).tolist()) - set(PARTS))
    if strange:
        raise DataError(f"split must hold only {', '.join(PARTS)}, got {strange[0]!r}")


def _content(part: Any) -> Iterator[bytes]:
    """Yield bytes that two equal contents share on every machine."""
    if part is None:
        yield b"none"
    elif isinstance(part, Ragged):
        yield from _content(part.values)
        yield from _content(part.offsets)
        for name in sorted(part.columns):
            yield name.encode()
            yield from _content(part.columns[name])
    elif isinstance(part, np.ndarray) and part.dtype.kind in "biuf":
        yield f"{part.dtype.kind}{part.dtype.itemsize}{part.shape}".encode()
        yield np.ascontiguousarray(part.astype(part.dtype.newbyteorder("<"), copy=False)).tobytes()
    else:
        yield from _texts(part)


def _texts(items: Iterable[Any]) -> Iterator[bytes]:
    for item in items:
        text = item if isinstance(item, str) else repr(_python(item))
        yield text.encode("utf-8", "surrogatepass")


def _python(item: Any) -> Any:
    return item.item() if isinstance(item, np.generic) else item
