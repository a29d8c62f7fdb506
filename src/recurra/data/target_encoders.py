"""What is asked about each sequence, as numbers: one class, several labels, or measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from recurra.errors import CorruptBundleError, DataError, nearest
from recurra.ragged import Array

Label: TypeAlias = str | int | bool


@dataclass(frozen=True, kw_only=True)
class LabelEncoder:
    """One of C classes per sequence. `classes` are sorted texts, or whole numbers, or truth values.

    A class given as text also matches the whole number written so ("1" is 1), for data that was read from
    files.
    """

    classes: tuple[Label, ...]

    @classmethod
    def fit(cls, targets: Any) -> LabelEncoder:
        """Learn the classes of the training split; raises DataError for missing labels and a single class."""
        classes = _sorted(set(_labels(targets)))
        if len(classes) < 2:
            shown = repr(classes[0]) if classes else "none"
            raise DataError(f"targets must hold at least two classes to learn from, got only {shown}")
        return cls(classes=classes)

    def encode(self, targets: Any) -> Array:
        """(S,) int64 class numbers; raises DataError for a label that training had not."""
        known = _index(self.classes)
        numbers = [_number_of(label, known, self.classes, row) for row, label in enumerate(_labels(targets))]
        return np.asarray(numbers, dtype=np.int64)

    def decode(self, numbers: Any) -> Array:
        """(S,) labels of class numbers."""
        index = _checked(numbers, len(self.classes))
        made: Array = np.asarray(self.classes)[index]
        return made

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        return {"kind": "label", "classes": list(self.classes)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> LabelEncoder:
        """From plain values; raises CorruptBundleError."""
        return cls(classes=_stored_classes(record, "label", least=2))


@dataclass(frozen=True, kw_only=True)
class MultiLabelEncoder:
    """Any number of C labels per sequence, also none."""

    classes: tuple[Label, ...]

    @classmethod
    def fit(cls, targets: Any) -> MultiLabelEncoder:
        """Learn the labels of the training split.

        targets: collections of labels (tuples, sets, lists), or an (S, C) array of 0 and 1, whose labels are
            then
        the numbers of its columns. Raises DataError.
        """
        if _is_matrix(targets):
            return cls(classes=tuple(range(_ones(targets, None).shape[1])))
        classes = _sorted({label for row in _label_rows(targets) for label in row})
        if not classes:
            raise DataError("targets must hold at least one label to learn from, got none in any sequence")
        return cls(classes=classes)

    def encode(self, targets: Any) -> Array:
        """(S, C) float32 of 0 and 1; raises DataError for a label that training had not."""
        if _is_matrix(targets):
            return _ones(targets, len(self.classes))
        known = _index(self.classes)
        rows = _label_rows(targets)
        made = np.zeros((len(rows), len(self.classes)), dtype=np.float32)
        for position, labels in enumerate(rows):
            for label in labels:
                made[position, _number_of(label, known, self.classes, position)] = 1.0
        return made

    def decode(self, chosen: Any) -> list[tuple[Label, ...]]:
        """Labels of each row of an (S, C) array of truth values."""
        rows = np.asarray(chosen, dtype=bool)
        if rows.ndim != 2 or rows.shape[1] != len(self.classes):
            raise DataError(f"chosen must have shape (S, {len(self.classes)}), got {rows.shape}")
        return [tuple(self.classes[i] for i in np.flatnonzero(row)) for row in rows]

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        return {"kind": "multilabel", "classes": list(self.classes)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> MultiLabelEncoder:
        """From plain values; raises CorruptBundleError."""
        return cls(classes=_stored_classes(record, "multilabel", least=1))


@dataclass(frozen=True, kw_only=True)
class NumberEncoder:
    """One number, or a vector of K numbers, per sequence, standardised with what training had.

    vector: whether targets are (S, K) rather than (S,). A constant column keeps its scale.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    vector: bool

    @classmethod
    def fit(cls, targets: Any) -> NumberEncoder:
        """Learn mean and standard deviation; raises DataError, with the row, for what is no finite number."""
        values, vector = _measurements(targets)
        if not len(values):
            raise DataError("targets must hold at least one number to learn from, got none")
        size = np.maximum(np.abs(values).max(axis=0), np.finfo(np.float64).tiny)
        unit = values / size
        spread = np.where(np.ptp(unit, axis=0) > 1e-12, unit.std(axis=0) * size, 1.0)
        spread = np.maximum(spread, np.finfo(np.float64).tiny)
        return cls(
            mean=tuple((unit.mean(axis=0) * size).tolist()), scale=tuple(spread.tolist()), vector=vector
        )

    @property
    def width(self) -> int:
        """Numbers per sequence, K."""
        return len(self.mean)

    def encode(self, targets: Any) -> Array:
        """(S, K) float32, standardised."""
        values, _ = _measurements(targets)
        if values.shape[1] != self.width:
            raise DataError(
                f"targets must be {self.width} numbers per sequence as in training, got {values.shape[1]}"
            )
        with np.errstate(over="ignore"):
            made: Array = ((values - np.asarray(self.mean)) / np.asarray(self.scale)).astype(np.float32)
        for row in np.flatnonzero(~np.isfinite(made).all(axis=1)):
            raise DataError(f"targets[{row}] is too far from what training had to be scaled to float32")
        return made

    def decode(self, outputs: Any) -> Array:
        """(S,) or (S, K) float64 in the units of the training targets; undoes `encode` number by number."""
        values = np.asarray(outputs, dtype=np.float64).reshape(-1, self.width)
        made: Array = values * np.asarray(self.scale) + np.asarray(self.mean)
        return made if self.vector else made[:, 0]

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        return {"kind": "number", "mean": list(self.mean), "scale": list(self.scale), "vector": self.vector}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> NumberEncoder:
        """From plain values; raises CorruptBundleError."""
        _check_kind(record, "number")
        mean, scale, vector = _finite(record.get("mean")), _finite(record.get("scale")), record.get("vector")
        if not mean or len(mean) != len(scale):
            raise CorruptBundleError("number targets must have as many finite means as scales")
        if min(scale) <= 0 or type(vector) is not bool or (not vector and len(mean) != 1):
            raise CorruptBundleError(
                "number targets must have scales above 0, and one number unless a vector"
            )
        return cls(mean=mean, scale=scale, vector=vector)


@dataclass(frozen=True, kw_only=True)
class NextToken:
    """The targets of a language model: each token of the input itself, one step before it is read."""

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        return {"kind": "next"}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> NextToken:
        """From plain values; raises CorruptBundleError."""
        _check_kind(record, "next")
        return cls()


TargetEncoder: TypeAlias = LabelEncoder | MultiLabelEncoder | NumberEncoder | NextToken


def target_from_record(record: Mapping[str, Any]) -> Any:
    """Build the target encoder that `to_record` describes; raises CorruptBundleError."""
    from recurra.data.step_targets import StepLabels, StepNumbers

    kinds: dict[Any, Any] = {
        "label": LabelEncoder,
        "multilabel": MultiLabelEncoder,
        "number": NumberEncoder,
        "next": NextToken,
        "step labels": StepLabels,
        "step numbers": StepNumbers,
    }
    kind = record.get("kind") if isinstance(record, Mapping) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise CorruptBundleError(f"target record must be of kind {', '.join(kinds)}, got {kind!r}")
    return kinds[kind].from_record(record)


def _rows(targets: Any) -> list[Any]:
    if isinstance(targets, (str, bytes, Mapping)) or not isinstance(targets, Iterable):
        raise DataError(f"targets must be a list with one entry per sequence, got {type(targets).__name__}")
    return list(targets)


def _labels(targets: Any) -> list[Label]:
    return [_label(cell, f"targets[{row}]") for row, cell in enumerate(_rows(targets))]


def _label(cell: Any, where: str) -> Label:
    """A label as text, whole number or truth value."""
    if isinstance(cell, (np.generic, np.ndarray)) and cell.ndim == 0:
        cell = cell.item()
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if isinstance(cell, (str, int)):
        return cell
    if (
        cell is None
        or (isinstance(cell, float) and cell != cell)
        or type(cell).__name__ in ("NAType", "NaTType")
    ):
        raise DataError(f"{where} is missing; fill in the label or leave the sequence out")
    if isinstance(cell, float):
        raise DataError(f"{where} must be a label, got {cell!r}; numbers are learnt with Regressor")
    hint = "; several labels per sequence need multilabel=True" if isinstance(cell, Iterable) else ""
    raise DataError(
        f"{where} must be a text or a whole number, got {cell!r:.40} ({type(cell).__name__}){hint}"
    )


def _label_rows(targets: Any) -> list[list[Label]]:
    made = []
    for row, cell in enumerate(_rows(targets)):
        if isinstance(cell, (str, bytes)) or not isinstance(cell, Iterable):
            raise DataError(
                f"targets[{row}] must be a collection of labels such as ('a', 'b') or (), got {cell!r:.40}"
            )
        made.append([_label(item, f"targets[{row}]") for item in cell])
    return made


def _sorted(labels: set[Label]) -> tuple[Label, ...]:
    kinds = {type(label) for label in labels}
    if len(kinds) > 1:
        shown = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"targets must all be of one type, got {shown}; write them all as texts")
    return tuple(sorted(labels))


def _index(classes: Sequence[Label]) -> dict[Any, int]:
    """Class and its text -> number; the class itself goes before the text of another."""
    known: dict[Any, int] = {str(label): number for number, label in enumerate(classes)}
    return {**known, **{(type(label), label): number for number, label in enumerate(classes)}}


def _number_of(label: Label, known: Mapping[Any, int], classes: Sequence[Label], row: int) -> int:
    found = known.get((type(label), label), known.get(str(label)))
    if found is None:
        hint = nearest(str(label), [str(c) for c in classes])
        raise DataError(f"targets[{row}] is {label!r}, a label that training had not{hint}")
    return found


def _checked(numbers: Any, classes: int) -> Array:
    index = np.asarray(numbers)
    if index.size and (index.dtype.kind not in "iub" or index.min() < 0 or index.max() >= classes):
        raise DataError(
            f"class numbers must be whole numbers from 0 to {classes - 1}, got {index.dtype} {index[:3]}"
        )
    made: Array = index.astype(np.int64)
    return made


def _is_matrix(targets: Any) -> bool:
    return isinstance(targets, np.ndarray) and targets.ndim == 2


def _ones(targets: Array, classes: int | None) -> Array:
    try:
        made = targets.astype(np.float32)
    except (TypeError, ValueError):
        made = np.full(targets.shape, 2.0, dtype=np.float32)
    for row in np.flatnonzero(~np.isin(made, (0.0, 1.0)).all(axis=1)):
        raise DataError(f"targets[{row}] must be a row of 0 and 1, one per label")
    if targets.shape[1] != (classes or targets.shape[1]) or not targets.shape[1]:
        raise DataError(
            f"targets must have {classes or 'some'} columns, one per label; got {targets.shape[1]}"
        )
    return made


def _measurements(targets: Any) -> tuple[Array, bool]:
    """(S, K) finite float64, and whether vectors were given."""
    rows = targets if isinstance(targets, np.ndarray) else _rows(targets)
    if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "iuf":
        rows = [_vector(row, f"targets[{number}]") for number, row in enumerate(rows)]
        if len({np.shape(row) for row in rows}) > 1:
            raise DataError("targets must be as many numbers in every sequence")
        rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim not in (1, 2) or (rows.ndim == 2 and not rows.shape[1]):
        raise DataError(f"targets must be of shape (S,) or (S, K), got {rows.shape}")
    values = (
        rows.astype(np.float64).reshape(len(rows), -1) if len(rows) else np.zeros((0, rows.shape[-1] or 1))
    )
    for row in np.flatnonzero(~np.isfinite(values).all(axis=1)):
        raise DataError(
            f"targets[{row}] must be finite, got {rows[row]}; fill it in or leave the sequence out"
        )
    return values, rows.ndim == 2


def _vector(row: Any, where: str) -> Any:
    cells = row if isinstance(row, (list, tuple, np.ndarray)) and np.ndim(row) else [row]
    if any(isinstance(cell, (str, bytes, bool, np.bool_)) for cell in cells):
        raise DataError(
            f"{where} must be a number or a row of numbers, got {row!r:.40}; labels need Classifier"
        )
    try:
        made = [float("nan") if cell is None else float(cell) for cell in cells]
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where} must be a number or a row of numbers, got {row!r:.40}") from None
    return made[0] if cells is not row else made


def _check_kind(record: Mapping[str, Any], kind: str) -> None:
    if not isinstance(record, Mapping) or record.get("kind") != kind:
        raise CorruptBundleError(f"target record must be of kind {kind!r}")


def _stored_classes(record: Mapping[str, Any], kind: str, *, least: int) -> tuple[Label, ...]:
    _check_kind(record, kind)
    classes = record.get("classes")
    if not isinstance(classes, list) or len(classes) < least:
        raise CorruptBundleError(f"{kind} targets must have a list of at least {least} classes")
    if len({type(c) for c in classes}) != 1 or not isinstance(classes[0], (str, int)):
        raise CorruptBundleError(f"{kind} targets must have classes that are all texts or all whole numbers")
    if classes != sorted(set(classes)):
        raise CorruptBundleError(f"{kind} targets must have different classes in order")
    return tuple(classes)


def _finite(values: Any) -> tuple[float, ...]:
    """A stored list of finite numbers; empty where it is anything else."""
    if not isinstance(values, list) or any(type(value) not in (int, float) for value in values):
        return ()
    try:
        made = tuple(map(float, values))
    except OverflowError:
        return ()
    return made if np.isfinite(made).all() else ()
