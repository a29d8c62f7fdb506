"""What an engine hands over for a case, and how one says that it takes no part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from recurra.runtime.bench.answer import Answer


class LeftOutError(Exception):
    """This engine takes no part in this case; the message is a sentence that says why."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """One engine made ready for one case.

    run: the work that is timed, on inputs already in the engine's own form; answer: turns what `run` returned
    into named results; per_run: units of work in one `run` (steps of a walk); note: what a reader must know.
    """

    run: Callable[[], Any]
    answer: Callable[[Any], Answer]
    per_run: int = 1
    note: str = ""


def needed(module: str, how: str) -> Any:
    """The module, or LeftOutError with the command that installs it."""
    try:
        return import_module(module)
    except ImportError:
        raise LeftOutError(f"{module.partition('.')[0]} is not installed; {how}") from None
