"""The one variable-length batch: sequences lie end to end and `offsets` says where each begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from recurra.errors import DataError

Array: TypeAlias = npt.NDArray[Any]
Offsets: TypeAlias = npt.NDArray[np.int64]


def _offsets_of(lengths: Iterable[int]) -> Offsets:
    counts = np.fromiter(lengths, dtype=np.int64)
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def _checked_offsets(offsets: Any, tokens: int) -> Offsets:
    result = np.ascontiguousarray(offsets, dtype=np.int64)
    if result.ndim != 1 or len(result) == 0 or result[0] != 0:
        raise DataError(f"offsets must be one row that begins with 0, got {np.shape(offsets)}")
    if result[-1] != tokens or np.any(result[1:] < result[:-1]):
        raise DataError(
            f"offsets must never decrease and must end at the number of values ({tokens}), "
            f"got an end of {int(result[-1])}"
        )
    return result


@dataclass(frozen=True, kw_only=True, eq=False)
class Ragged:
    """Sequences of different lengths without padding.

    values: (N, ...) all elements of all sequences, in order; an array of any dtype, or again a `Ragged`
        (characters in words in sentences), whose own sequences are then the elements.
    offsets: (S + 1,) int64; sequence `i` is `values[offsets[i]:offsets[i + 1]]`. Length 0 is allowed.
    columns: named further arrays of N rows that share the offsets (covariates, masks, pairs).
    """

    values: Array | Ragged
    offsets: Offsets
    columns: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = self.values if isinstance(self.values, Ragged) else np.asarray(self.values)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "offsets", _checked_offsets(self.offsets, len(values)))
        columns = {name: np.asarray(column) for name, column in self.columns.items()}
        for name, column in columns.items():
            if len(column) != len(values):
                raise DataError(
                    f"column {name!r} must have {len(values)} rows as the values, got {len(column)}"
                )
        object.__setattr__(self, "columns", columns)

    @classmethod
    def from_lists(cls, sequences: Iterable[Any], dtype: npt.DTypeLike | None = None) -> Ragged:
        """Join sequences (lists or arrays, all of one width) end to end."""
        rows = list(sequences)
        arrays = [np.asarray(row, dtype=dtype) for row in rows]
        _check_widths(arrays)
        filled = [array for array in arrays if len(array)]
        empty = arrays[0] if arrays else np.zeros(0, dtype=dtype or np.float32)
        values = np.concatenate(filled) if filled else empty
        return cls(values=values, offsets=_offsets_of(len(array) for array in arrays))

    @classmethod
    def from_nested(cls, sequences: Iterable[Iterable[Any]], dtype: npt.DTypeLike | None = None) -> Ragged:
        """Join sequences of sequences: the characters of the words of each sentence, for example."""
        rows = [list(row) for row in sequences]
        inner = cls.from_lists([item for row in rows for item in row], dtype)
        return cls(values=inner, offsets=_offsets_of(len(row) for row in rows))

    @classmethod
    def from_padded(cls, padded: Array, lengths: Iterable[int], *, batch_first: bool = True) -> Ragged:
        """Take the real tokens out of a padded array: (S, T, ...) or, without `batch_first`, (T, S, ...)."""
        block = np.asarray(padded) if batch_first else np.swapaxes(np.asarray(padded), 0, 1)
        counts = np.fromiter(lengths, dtype=np.int64)
        if block.ndim < 2 or len(counts) != block.shape[0]:
            raise DataError(
                f"lengths must be one per row of the padded array {block.shape}, got {len(counts)}"
            )
        if len(counts) and (counts.min() < 0 or counts.max() > block.shape[1]):
            raise DataError(
                f"lengths must lie between 0 and {block.shape[1]}, got {counts.min()} to {counts.max()}"
            )
        real = np.arange(block.shape[1])[None, :] < counts[:, None]
        return cls(values=block[real], offsets=_offsets_of(counts))

    @classmethod
    def from_packed(cls, packed: Any) -> Ragged:
        """Take over a `torch.nn.utils.rnn.PackedSequence`, in its original (unsorted) order."""
        data, batch_sizes = packed.data.detach().cpu().numpy(), packed.batch_sizes.cpu().numpy()
        starts = np.concatenate([[0], np.cumsum(batch_sizes)[:-1]]).astype(np.int64)
        rows = int(batch_sizes[0]) if len(batch_sizes) else 0
        lengths = [int(np.sum(batch_sizes > row)) for row in range(rows)]
        order = range(rows) if packed.unsorted_indices is None else packed.unsorted_indices.tolist()
        index = [starts[: lengths[row]] + row for row in order]
        flat = np.concatenate(index) if index else np.zeros(0, dtype=np.int64)
        return cls(values=data[flat], offsets=_offsets_of(len(i) for i in index))

    def to_padded(self, fill: Any = 0) -> tuple[Array, Offsets]:
        """Return the padded array (S, T, ...) and the lengths (S,); for the world outside of Recurra."""
        values = self._flat("to_padded")
        lengths = self.lengths
        longest = int(lengths.max()) if len(lengths) else 0
        padded = np.full((len(self), longest, *values.shape[1:]), fill, dtype=values.dtype)
        padded[np.arange(longest)[None, :] < lengths[:, None]] = values
        return padded, lengths

    def to_packed(self) -> Any:
        """Return a `torch.nn.utils.rnn.PackedSequence` of the sequences (none may be empty)."""
        import torch

        padded, lengths = self.to_padded()
        return torch.nn.utils.rnn.pack_padded_sequence(
            torch.from_numpy(padded), torch.from_numpy(lengths), batch_first=True, enforce_sorted=False
        )

    @property
    def lengths(self) -> Offsets:
        """(S,) number of elements of each sequence."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Any:
        position = range(len(self))[index]
        begin, end = int(self.offsets[position]), int(self.offsets[position + 1])
        if isinstance(self.values, Ragged):
            return self.values.select(np.arange(begin, end))
        return self.values[begin:end]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        inner = (
            repr(self.values)
            if isinstance(self.values, Ragged)
            else f"{self.values.dtype}{self.values.shape}"
        )
        return f"Ragged({len(self)} sequences, {len(self.values)} values, {inner})"

    def select(self, index: Sequence[int] | Array) -> Ragged:
        """Return the sequences at `index` (positions or a boolean mask), in that order; repeats allowed."""
        chosen = np.asarray(index)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        rows = self.token_index(chosen)
        values = self.values.select(rows) if isinstance(self.values, Ragged) else self.values[rows]
        columns = {name: column[rows] for name, column in self.columns.items()}
        return Ragged(values=values, offsets=_offsets_of(self.lengths[chosen]), columns=columns)

    def token_index(self, index: Array) -> Offsets:
        """Return the positions in `values` of all elements of the sequences at `index`, in that order."""
        lengths = self.lengths[index]
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        shift = np.repeat(self.offsets[:-1][index] - (ends - lengths), lengths)
        positions: Offsets = np.arange(total, dtype=np.int64) + shift
        return positions

    def span(self, begin: int, end: int) -> Ragged:
        """Return the values from `begin` up to `end` as one sequence; of flat values a view, nothing is copied."""
        columns = {name: column[begin:end] for name, column in self.columns.items()}
        whole = self.values
        values = whole.select(np.arange(begin, end)) if isinstance(whole, Ragged) else whole[begin:end]
        return Ragged(values=values, offsets=_offsets_of([end - begin]), columns=columns)

    def cut(self, begin: Array, end: Array) -> Ragged:
        """Return of every sequence its elements from `begin` up to `end`, (S,) places inside of it."""
        lengths = np.asarray(end, dtype=np.int64) - begin
        offsets = _offsets_of(lengths)
        rows = np.arange(int(offsets[-1]), dtype=np.int64)
        rows += np.repeat(self.offsets[:-1] + begin - offsets[:-1], lengths)
        values = self.values.select(rows) if isinstance(self.values, Ragged) else self.values[rows]
        columns = {name: column[rows] for name, column in self.columns.items()}
        return Ragged(values=values, offsets=offsets, columns=columns)

    def permute(self, order: Sequence[int] | Array) -> Ragged:
        """Return the sequences in another order; `order` must name each exactly once."""
        if not np.array_equal(np.sort(np.asarray(order)), np.arange(len(self))):
            raise DataError(f"order must name each of the {len(self)} sequences exactly once")
        return self.select(order)

    def split(self, size: int) -> Iterator[Ragged]:
        """Yield consecutive parts of at most `size` sequences."""
        if size < 1:
            raise DataError(f"size must be at least 1, got {size}")
        for begin in range(0, len(self), size):
            yield self.select(np.arange(begin, min(begin + size, len(self))))

    @staticmethod
    def concatenate(parts: Iterable[Ragged]) -> Ragged:
        """Join several batches, one after the other; all must have the same columns and width."""
        items = list(parts)
        if not items:
            raise DataError("parts must hold at least one Ragged, got none")
        names = list(items[0].columns)
        if any(set(item.columns) != set(names) for item in items):
            raise DataError("parts must all have the same columns; drop or add the columns that differ")
        inner = [item.values for item in items]
        nested = [value for value in inner if isinstance(value, Ragged)]
        if nested and len(nested) != len(inner):
            raise DataError("parts must all be nested to the same depth")
        values = Ragged.concatenate(nested) if nested else np.concatenate([np.asarray(v) for v in inner])
        columns = {name: np.concatenate([item.columns[name] for item in items]) for name in names}
        lengths = np.concatenate([item.lengths for item in items])
        return Ragged(values=values, offsets=_offsets_of(lengths), columns=columns)

    def with_values(self, values: Array | Ragged) -> Ragged:
        """Return the same sequences over other values (same number of rows)."""
        return Ragged(values=values, offsets=self.offsets, columns=self.columns)

    def _flat(self, purpose: str) -> Array:
        if isinstance(self.values, Ragged):
            raise DataError(f"{purpose} needs flat values, got a Ragged inside a Ragged; go through .values")
        return self.values


def _check_widths(arrays: Sequence[Array]) -> None:
    widths = {array.shape[1:] for array in arrays if len(array)}
    if len(widths) > 1:
        shown = ", ".join(str(width) for width in sorted(widths))
        raise DataError(f"sequences must all have the same number of features per step, got widths {shown}")
