"""The rows of a comparison, as a table for the page and as columns for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recurra.report.figures.scores import lower_is_better, main_metric, ranking, telling
from recurra.report.items import Cell, Table
from recurra.report.wording import finite, is_number, show_number, show_seconds, title_of

Row = Mapping[str, Any]

_OWN_PLACE = {"name", "kind", "scores", "intervals", "spread", "seeds", "parameters", "seconds"}
_MOST_SCORES = 4


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
    names, extra = score_names(rows, main, most), _extra_columns(rows)
    columns = ["Model", "Kind", *(_heading(name) for name in names), *(title_of(name) for name in extra)]
    columns += ["Parameters", "Training time"]
    cells = [
        [
            _name(row, winner),
            str(row.get("kind") or ""),
            *(_score(row, name) for name in names),
            *(row.get(name) for name in extra),
            _count(row.get("parameters")),
            _seconds(row),
        ]
        for row in ordered
    ]
    marked = frozenset(
        index for index, row in enumerate(ordered) if winner is not None and row.get("name") == winner
    )
    return Table(
        columns=columns, rows=cells, caption="All models on the same splits, best first", highlight=marked
    )


def _name(row: Row, winner: object) -> str:
    name = str(row.get("name", ""))
    return f"{name} (winner)" if winner is not None and row.get("name") == winner else name


def _heading(name: str) -> str:
    return title_of(name) + (" (low is good)" if lower_is_better(name) else "")


def _extra_columns(rows: Sequence[Row]) -> list[str]:
    keys = dict.fromkeys(key for row in rows for key, value in row.items() if is_number(value))
    return [key for key in keys if key not in _OWN_PLACE]


def _count(value: Any) -> Cell:
    number = finite(value)
    return Cell(text="–") if number is None else Cell(text=show_number(int(number)), sort=number)


def _seconds(row: Row) -> Cell:
    return Cell(text=show_seconds(row.get("seconds")), sort=finite(row.get("seconds")))


def _score(row: Row, name: str) -> Cell:
    return Cell(text=score_text(row, name), sort=finite((row.get("scores") or {}).get(name)))


def score_text(row: Row, name: str) -> str:
    """Return a score with its interval, `0.871 (0.862–0.880)`, else its spread, `0.871 ± 0.004`, if known."""
    text = show_number((row.get("scores") or {}).get(name))
    span = (row.get("intervals") or {}).get(name)
    if span is None or len(span) != 2 or finite(span[0]) is None or finite(span[1]) is None:
        spread = finite((row.get("spread") or {}).get(name))
        return f"{text} ± {show_number(spread)}" if spread else text
    between = "–" if span[0] >= 0 else " to "
    return f"{text} ({show_number(span[0])}{between}{show_number(span[1])})"
