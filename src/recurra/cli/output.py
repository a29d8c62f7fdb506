"""How verbs speak: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import math
import os
import sys
from typing import Any


def fail(message: str, code: int) -> int:
    """Say one line on standard error and return the exit code."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


def say(message: str) -> None:
    """A line of progress or advice, on standard error."""
    print(message, file=sys.stderr, flush=True)


def print_json(value: Any, *, indent: int | None = None) -> None:
    """One JSON value on standard output; numbers that JSON cannot hold become null."""
    print(json.dumps(finite(value), ensure_ascii=False, indent=indent), flush=True)


def finite(value: Any) -> Any:
    """The same value with None for NaN and infinities, and NumPy's numbers as Python's."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if hasattr(value, "tolist"):
        return finite(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def progress_kind(*, json_output: bool) -> str:
    """A bar on a terminal, plain lines elsewhere."""
    return "bar" if sys.stderr.isatty() and not json_output else "lines"


def print_table(table: Any) -> None:
    """On standard output; 150 columns wide where that is no terminal."""
    from rich.console import Console

    Console(width=None if os.isatty(1) else 150).print(table)
