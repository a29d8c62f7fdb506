"""How a comparison and a search part their data: one split, or folds; and what the units of their tests are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.data.dataset import Dataset
from recurra.data.duplicates import duplicates_across
from recurra.data.splits import column_of, group_codes
from recurra.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Parted:
    """The parts of each fold, the group of each test sequence (None: each its own unit), and what to tell.

    inner_groups: of one split, the group of each training, then of each validation sequence; None without groups.
    """

    folds: Sequence[Mapping[str, Any]]
    units: Any
    how: str
    notes: tuple[str, ...]
    inner_groups: Any = None


def parted(dataset: Dataset, chosen: Mapping[str, Any], test: Dataset | None, folds: int) -> Parted:
    """Part the data as the [data] options say; with `folds` above 1 every sequence is tested once."""
    from recurra.cli.building import divide
    from recurra.cli.fit import opening
    from recurra.tasks.materials import materials

    if folds > 1:
        return _folded(dataset, chosen, test, folds)
    divided = divide(dataset, chosen, test)
    group, units, inner = chosen.get("group"), None, None
    if group is not None:
        units = group_codes(column_of(divided.parts["test"], group).tolist())[0]
        inner = [
            key for name in ("train", "validation") for key in column_of(divided.parts[name], group).tolist()
        ]
    return Parted(
        folds=[{name: materials(part) for name, part in divided.parts.items()}],
        units=units,
        how=divided.sizes,
        notes=tuple(opening(dataset, divided)),
        inner_groups=inner,
    )


def _folded(dataset: Dataset, chosen: Mapping[str, Any], test: Dataset | None, folds: int) -> Parted:
    from recurra.evaluation.folding import k_splits, parts_of, units_of
    from recurra.tasks.materials import materials

    for name, given in (("--test", test), ("--order", chosen.get("order")), ("--split", chosen.get("split"))):
        if given is not None:
            raise SpecError(f"{name} has no effect with --folds {folds}; leave one of them out")
    group = chosen.get("group")
    groups = None if group is None else column_of(dataset, group).tolist()
    given = materials(dataset)
    splits, how = k_splits(
        given,
        folds,
        validation=float(chosen.get("validation", 0.2)),
        seed=int(chosen.get("split_seed", 0)),
        groups=groups,
    )
    warning = duplicates_across(dataset.inputs, splits[0]).warning
    notes = [*dataset.notes, how] + ([f"warning: {warning}"] if warning else [])
    return Parted(
        folds=[parts_of(given, split) for split in splits],
        units=units_of(groups, splits),
        how=how,
        notes=tuple(notes),
    )
