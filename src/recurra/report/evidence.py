"""The tables behind a verdict: the test of every difference, and the draws of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recurra.report.items import Cell, Item, KeyValues, Table, Text
from recurra.report.wording import finite, is_number, show_number, show_seconds, title_of

Record = Mapping[str, Any]

_MOST_TRIALS = 200


def difference_table(differences: Sequence[Record]) -> Table:
    """Every difference with its interval, p-values, effect size and what it rests on."""
    folds = any(one.get("fold_p") is not None for one in differences)
    columns = ["Baseline", "Winner ahead by", "95% interval", "p", "Adjusted p (Holm)", "Effect size (g)"]
    columns += ["p over folds"] if folds else []
    rows = [
        [
            str(one["baseline"]),
            finite(one.get("value")),
            _interval(one.get("interval")),
            _p(one.get("p_value")),
            _p(one.get("p_adjusted")),
            finite(one.get("effect_size")),
            *([_p(one.get("fold_p"))] if folds else []),
        ]
        for one in differences
    ]
    units = next((one["units"] for one in differences if one.get("units")), None)
    test = next((one["test"] for one in differences if one.get("test")), "test")
    caption = f"Difference to every baseline: {test}" + (
        "" if units is None else f" over {units:,} test units"
    )
    return Table(columns=columns, rows=rows, caption=caption)


def _interval(ends: Any) -> str | None:
    low, high = (finite(end) for end in ends or (None, None))
    return None if low is None or high is None else f"{show_number(low)} to {show_number(high)}"


def _p(value: Any) -> Cell:
    p = finite(value)
    return Cell(text="–") if p is None else Cell(text="< 0.001" if p < 0.001 else f"{p:.3f}", sort=p)


def search_items(record: Record) -> list[Item]:
    """The verdict of a search, its best options and all its draws."""
    search = record["search"]
    trials = list(search.get("trials", ()))[:_MOST_TRIALS]
    items: list[Item] = [Text(body=f"The search: {record.get('tuning_verdict', 'it was not proven')}.")]
    best = search.get("best") or {}
    if best.get("options"):
        items.append(
            KeyValues(items={_option(name): _value(value) for name, value in best["options"].items()})
        )
    names = list(dict.fromkeys(name for trial in trials for name in trial.get("options", {})))
    score = str(search.get("score", "score"))
    columns = ["Draw", "State", title_of(score), "Loss", "Time", *(_option(name) for name in names)]
    rows = [
        [
            "as asked" if trial.get("asked") else str(trial.get("number")),
            str(trial.get("state")),
            finite(trial.get("score")),
            finite(trial.get("loss")),
            Cell(text=show_seconds(trial.get("seconds")), sort=finite(trial.get("seconds"))),
            *(_value(trial.get("options", {}).get(name)) for name in names),
        ]
        for trial in trials
    ]
    if rows:
        marked = frozenset(at for at, trial in enumerate(trials) if trial.get("number") == best.get("number"))
        items.append(Table(columns=columns, rows=rows, caption="Every draw of the search", highlight=marked))
    return items


def _option(name: str) -> str:
    return title_of(name.rpartition(".")[2])


def _value(value: Any) -> Any:
    if is_number(value) and not isinstance(value, int):
        return Cell(text=f"{float(value):.3g}", sort=float(value))
    return value if value is None or isinstance(value, (bool, int)) else str(value)
