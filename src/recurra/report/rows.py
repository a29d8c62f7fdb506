"""The rows of a comparison, as a table for the page and as columns for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from recurra.report.figures.scores import lower_is_better, main_metric, ranking, telling
from recurra.report.items import Cell, Table
from recurra.report.wording import finite, is_number, show_number, show_seconds, title_of

Row = Mapping[str, Any]

_OWN_PLACE = {"name", "kind", "scores", "intervals", "spread", "seeds", "parameters", "seconds", "members"}
_MOST_SCORES = 3


def rows_of(record: Mapping[str, Any]) -> list[Row]:
    """Return `record["rows"]`, or rows made from the test (else validation) scores of its models."""
    if record.get("rows"):
        return list(record["rows"])
    return [row for model in record.get("models") or () if (row := _row_of(model))["scores"]]


def _row_of(model: Row) -> dict[str, Any]:
    scores = model.get("scores") or {}
    chosen: Row = next(
        (scores[split] for split in ("test", "validation") if isinstance(scores.get(split), Mapping)), {}
    )
    return {
        "name": model.get("name", "model"),
        "kind": model.get("kind", ""),
        "scores": chosen,
        "parameters": parameter_count(model),
        "seconds": model.get("seconds"),
    }


def parameter_count(model: Row) -> int | None:
    """Return how many parameters a model has in all, or None where that is not recorded."""
    given = model.get("parameters")
    if isinstance(given, Mapping):
        known = [
            number
            for part, value in given.items()
            if part != "total" and (number := finite(value)) is not None
        ]
        given = given.get("total", sum(known) if known else None)
    total = finite(given)
    return None if total is None else int(total)


def main_score(rows: Sequence[Row]) -> str | None:
    """Return the score that rows are compared by: the first that most of them have."""
    return main_metric(rows)


def score_names(rows: Sequence[Row], main: str | None = None, most: int = _MOST_SCORES) -> list[str]:
    """Return the names of the scores, the main one first, at most `most`."""
    first = main or main_score(rows)
    return telling((name for row in rows for name in row.get("scores") or {}), first)[:most]


def best_first(rows: Sequence[Row], main: str | None = None) -> list[Row]:
    """Return the rows by their main score, the best first; those without it at the end."""
    metric = main or main_score(rows)
    ranked = ranking(rows, metric) if metric else []
    return ranked + [row for row in rows if not any(row is other for other in ranked)]


def comparison(
    rows: Sequence[Row], *, winner: object = None, main: str | None = None, most: int = _MOST_SCORES
) -> Table:
    """Return the comparison as a table, the best by score `main` first.

    winner: name of the row that is set off. most: how many scores are shown.
    """
    ordered = best_first(rows, main)
    shown = _columns(rows, score_names(rows, main, most), winner)
    cells = [[cell(row) for cell in shown.values()] for row in ordered]
    marked = frozenset(
        index for index, row in enumerate(ordered) if winner is not None and row.get("name") == winner
    )
    caption = "All models on the same splits, best first"
    return Table(columns=list(shown), rows=cells, caption=caption, highlight=marked)


def _columns(rows: Sequence[Row], scores: Sequence[str], winner: object) -> dict[str, Callable[[Row], Any]]:
    """Return each heading with the function that makes its cells; what no row has is left out."""

    def known(key: str) -> bool:
        return any(row.get(key) is not None for row in rows)

    columns: dict[str, Callable[[Row], Any]] = {"Model": lambda row: _name(row, winner)}
    if known("kind"):
        columns["Kind"] = lambda row: str(row.get("kind") or "")
    columns |= {_heading(name): partial(_score, name=name) for name in scores}
    if known("winner_ahead"):
        columns["Winner ahead by"] = _lead
    columns |= {title_of(key): partial(_rounded, key=key) for key in _extra_columns(rows)}
    if known("parameters"):
        columns["Parameters"] = lambda row: _count(row.get("parameters"))
    if known("seconds"):
        columns["Training time"] = _seconds
    return columns


def _name(row: Row, winner: object) -> str:
    name = str(row.get("name", ""))
    return f"{name} (winner)" if winner is not None and row.get("name") == winner else name


def _heading(name: str) -> str:
    return title_of(name) + (" (low is good)" if lower_is_better(name) else "")


def _extra_columns(rows: Sequence[Row]) -> list[str]:
    keys = dict.fromkeys(key for row in rows for key, value in row.items() if is_number(value))
    return [key for key in keys if key not in _OWN_PLACE]


def _rounded(row: Row, key: str) -> Any:
    value = row.get(key)
    number = finite(value)
    return value if number is None or isinstance(value, int) else Cell(text=f"{number:,.3f}", sort=number)


def _count(value: Any) -> Cell:
    number = finite(value)
    return Cell(text="–") if number is None else Cell(text=show_number(int(number)), sort=number)


def _seconds(row: Row) -> Cell:
    return Cell(text=show_seconds(row.get("seconds")), sort=finite(row.get("seconds")))


def _score(row: Row, name: str) -> Cell:
    return Cell(text=score_text(row, name), sort=finite((row.get("scores") or {}).get(name)))


def _lead(row: Row) -> Cell:
    """The winner's lead over a baseline with its interval and adjusted p-value."""
    found = row.get("winner_ahead") or {}
    value = finite(found.get("value"))
    if value is None:
        return Cell(text="")
    low, high = (finite(end) for end in found.get("interval") or (None, None))
    span = "" if low is None or high is None else f" ({show_number(low)} to {show_number(high)})"
    p = finite(found.get("p_adjusted"))
    chance = "" if p is None else ", p < 0.001" if p < 0.001 else f", p = {p:.3f}"
    return Cell(text=f"{show_number(value)}{span}{chance}", sort=value)


def score_text(row: Row, name: str) -> str:
    """Return a score with its interval, `0.871 (0.862–0.880)`, else its spread, `0.871 ± 0.004`, if known."""
    text = show_number((row.get("scores") or {}).get(name))
    span = (row.get("intervals") or {}).get(name)
    if span is None or len(span) != 2 or finite(span[0]) is None or finite(span[1]) is None:
        spread = finite((row.get("spread") or {}).get(name))
        return f"{text} ± {show_number(spread)}" if spread else text
    between = "–" if span[0] >= 0 else " to "
    return f"{text} ({show_number(span[0])}{between}{show_number(span[1])})"
