"""`compare language-model`: several networks and n-grams on one corpus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.cli.corpora import corpus_of
from recurra.errors import InputError, SpecError


def compare_language_models(
    networks: Mapping[str, Any],
    data: Sequence[str],
    chosen: Mapping[str, Any],
    output: Path,
    *,
    test: str | None,
    seeds: int,
    baselines: Any,
    learning_curve: bool,
    cache: Path,
    on_row: Callable[[str], None] | None,
    progress: str | None,
) -> tuple[Any, dict[str, Any]]:
    """Compare, save the winner and the page; the outcome, and the record that `--json` prints."""
    from recurra.evaluation.language import compare_language
    from recurra.evaluation.language_record import save_language_comparison

    asked = next(iter(networks.values()))
    reading = {name: value for name, value in chosen.items() if name not in ("test", "validation")}
    outcome = compare_language(
        networks,
        corpus_of(data, reading, asked.documents),
        test=None if test is None else corpus_of([test], reading, asked.documents),
        shares=(_share(chosen, "validation"), _share(chosen, "test")),
        seeds=seeds,
        baselines=baselines,
        learning_curve=learning_curve,
        cache=cache,
        on_row=on_row,
        progress=progress,
    )
    record = save_language_comparison(outcome, output, reading={**reading, "documents": asked.documents})
    return outcome, record


def _share(chosen: Mapping[str, Any], name: str) -> float:
    share = float(chosen.get(name, 0.1))
    if not 0 < share < 0.5:
        raise SpecError(f"[data] {name} must be a share above 0 and below 0.5, got {share:g}; usual: 0.1")
    return share


_ONE_PART = "which are tested on one part: a fold in the middle of running text would be read from both sides"
_ONE_BY_ONE = "which are trained one after the other, each on all threads"
_REASONS = {"--folds": _ONE_PART, "--fold-kind": _ONE_PART, "--jobs": _ONE_BY_ONE}
"""Flags of `compare` that language models do not have, and why."""


def refuse(given: Mapping[str, Any]) -> None:
    """Raise InputError for flags of `compare` that were given and that language models do not have."""
    for flag, value in given.items():
        if value:
            raise InputError(f"{flag} has no effect on language models, {_REASONS[flag]}; leave it out")
