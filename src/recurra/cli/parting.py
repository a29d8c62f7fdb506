"""How a comparison and a search part their data: one split, or folds; and what the units of their tests are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.data.dataset import Dataset
from recurra.data.duplicates import duplicates_across
from recurra.data.splits import column_of, group_codes, spans_of
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


def parted(
    dataset: Dataset,
    chosen: Mapping[str, Any],
    test: Dataset | None,
    folds: int,
    fold_kind: str | None = None,
) -> Parted:
    """Part the data as the [data] options say; with `folds` above 1 every sequence is tested once at most.

    fold_kind: of folds in time order: "expanding" (None), "rolling" or "blocked".
    """
    from recurra.cli.building import divide
    from recurra.cli.fit import opening
    from recurra.tasks.materials import materials

    if fold_kind is not None and (folds < 2 or chosen.get("order") is None):
        raise SpecError(
            f"--fold-kind {fold_kind} needs --folds above 1 and --order, the column of times; give both"
        )
    if folds > 1:
        return _folded(dataset, chosen, test, folds, fold_kind or "expanding")
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


def _folded(
    dataset: Dataset, chosen: Mapping[str, Any], test: Dataset | None, folds: int, kind: str
) -> Parted:
    from recurra.evaluation.folding import InTime, k_splits, parts_of, units_of
    from recurra.tasks.materials import materials

    for name, given in (("--test", test), ("--split", chosen.get("split"))):
        if given is not None:
            raise SpecError(f"{name} has no effect with --folds {folds}; leave one of them out")
    group, order, gap = chosen.get("group"), chosen.get("order"), float(chosen.get("gap", 0.0))
    groups = None if group is None else column_of(dataset, group).tolist()
    in_time = None
    if order is not None:
        starts, ends = spans_of(dataset, order)
        in_time = InTime(starts=starts, ends=ends, kind=kind, gap=gap)
    elif gap:
        raise SpecError(f"--gap {gap:g} has no effect without --order, the column of times; leave it out")
    given = materials(dataset)
    splits, how = k_splits(
        given,
        folds,
        validation=float(chosen.get("validation", 0.2)),
        seed=int(chosen.get("split_seed", 0)),
        groups=groups,
        in_time=in_time,
    )
    warning = duplicates_across(dataset.inputs, splits[0]).warning
    notes = [*dataset.notes, how] + ([f"warning: {warning}"] if warning else [])
    return Parted(
        folds=[parts_of(given, split) for split in splits],
        units=units_of(groups, splits, in_time),
        how=how,
        notes=tuple(notes),
    )
