"""What a user hands to an estimator, brought into one shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.dataset import Dataset
from recurra.data.splits import stratified
from recurra.errors import DataError
from recurra.ragged import Array, Ragged
from recurra.tasks.problem import fingerprint


@dataclass(frozen=True, kw_only=True)
class Materials:
    """Sequences, their targets, their static features and weights.

    kind: "text", "signal" or "events"; inputs: list of texts, or `Ragged`; features: names of the numbers per
    step, where they are known.
    """

    inputs: Any
    targets: Any
    static: Array | None
    static_names: tuple[str, ...]
    weights: Array | None
    split: Array | None
    kind: str
    features: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)

    def select(self, index: Array) -> Materials:
        """Some of the sequences."""
        picked = (
            self.inputs.select(index) if isinstance(self.inputs, Ragged) else [self.inputs[i] for i in index]
        )
        return Materials(
            inputs=picked,
            targets=_pick(self.targets, index),
            static=_pick(self.static, index),
            static_names=self.static_names,
            weights=_pick(self.weights, index),
            split=_pick(self.split, index),
            kind=self.kind,
            features=self.features,
        )

    def part(self, name: str) -> Materials:
        """The sequences whose split column says `name`."""
        assert self.split is not None
        rows = np.flatnonzero(np.asarray(self.split) == name)
        if not len(rows):
            raise DataError(
                f"split column must name rows {name!r}, got none; give it, or leave the column out"
            )
        return self.select(rows)

    def fingerprint(self) -> str:
        """A hash of the content."""
        content = self.inputs if isinstance(self.inputs, Ragged) else tuple(self.inputs)
        return fingerprint(content, list(self.targets), self.static, self.weights)


def _pick(values: Any, index: Array) -> Any:
    if values is None:
        return None
    return values[index] if isinstance(values, np.ndarray) else [values[i] for i in index]


def materials(inputs: Any, targets: Any = None, static: Any = None, weights: Any = None) -> Materials:
    """Bring lists, arrays, pandas and polars columns, `Ragged` and `Dataset` into one shape."""
    names: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    split = None
    if isinstance(inputs, Dataset):
        dataset = inputs
        targets = dataset.targets if targets is None else targets
        static = dataset.static if static is None else static
        names, split, inputs = tuple(dataset.static_names), dataset.split, dataset.inputs
        features = tuple(dataset.features)
    sequences, kind = _sequences(inputs)
    made = Materials(
        inputs=sequences,
        targets=_targets(targets),
        static=None if static is None else np.asarray(static),
        static_names=names,
        weights=None if weights is None else np.asarray(weights, dtype=np.float64),
        split=None if split is None or not _is_complete(split) else np.asarray(split),
        kind=kind,
        features=features,
    )
    _check_lengths(made)
    return made


def _is_complete(split: Any) -> bool:
    return {"train", "validation"} <= set(np.asarray(split).tolist())


def _sequences(inputs: Any) -> tuple[Any, str]:
    if isinstance(inputs, Ragged):
        categorical = any(column.dtype.kind in "OUS" for column in inputs.columns.values())
        return inputs, "events" if categorical else "signal"
    if isinstance(inputs, str):
        raise DataError("inputs must be a list of sequences, got one text; wrap it: [text]")
    if hasattr(inputs, "to_list"):
        inputs = inputs.to_list()
    elif hasattr(inputs, "to_numpy"):
        inputs = inputs.to_numpy()
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "fiub" and inputs.ndim in (2, 3):
        lengths = np.full(len(inputs), inputs.shape[1])
        block = inputs if inputs.ndim == 3 else inputs[:, :, None]
        return Ragged.from_padded(block, lengths), "signal"
    rows = [row.item() if isinstance(row, np.ndarray) and row.ndim == 0 else row for row in inputs]
    if rows and all(isinstance(row, str) for row in rows):
        return rows, "text"
    if any(isinstance(row, (list, tuple)) and len(row) for row in rows) and all(map(_is_text, rows)):
        return rows, "text"
    if any(isinstance(row, str) for row in rows) or any(row is None for row in rows):
        odd = next(i for i, row in enumerate(rows) if not isinstance(row, str))
        raise DataError(
            f"inputs must be all texts or all numeric sequences; number {odd} is {rows[odd]!r:.60}"
        )
    if not rows:
        raise DataError("inputs must hold at least one sequence, got none")
    return Ragged.from_lists([_column(row, i) for i, row in enumerate(rows)]), "signal"


def _is_text(row: Any) -> bool:
    """Whether a sequence is a text, or a list of words; an empty list may be one."""
    return isinstance(row, str) or (
        isinstance(row, (list, tuple)) and all(isinstance(word, str) for word in row)
    )


def _column(row: Any, position: int) -> Array:
    try:
        values = np.asarray(row, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"inputs must be sequences of numbers or texts; number {position} is not: {error}"
        ) from None
    if values.ndim not in (1, 2):
        raise DataError(f"inputs must be (T,) or (T, F) arrays; number {position} has shape {values.shape}")
    return values if values.ndim == 2 else values[:, None]


def _targets(targets: Any) -> Any:
    if targets is None or isinstance(targets, np.ndarray):
        return targets
    if hasattr(targets, "to_numpy"):
        return targets.to_numpy()
    items = list(targets)
    numbers = items and all(isinstance(item, (float, np.floating)) for item in items)
    return np.asarray(items, dtype=np.float64) if numbers else items


def _check_lengths(made: Materials) -> None:
    for name in ("targets", "static", "weights"):
        values = getattr(made, name)
        if values is not None and len(values) != len(made):
            raise DataError(f"{name} must have one entry per sequence ({len(made)}), got {len(values)}")


def split_validation(given: Materials, share: float, seed: int) -> tuple[Materials, Materials]:
    """Set a share aside for validation, stratified by class or by tenths of the numbers."""
    split = stratified(given.targets, shares=(1 - share, share, 0.0), seed=seed)
    if not len(split.train) or not len(split.validation):
        raise DataError(
            f"inputs must be enough for a validation split of {share:g}, got {len(given)} sequences; "
            "give validation_data or more sequences"
        )
    return given.select(split.train), given.select(split.validation)
