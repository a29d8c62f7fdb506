"""Numbers and texts as people read them: shared by figures, pages and terminal tables."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

ABSENT = "–"

# What XML 1.0 forbids, terminals obey (escape sequences) or UTF-8 cannot carry (lone surrogates).
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
# Direction overrides can make a text look like another one; isolates around cells make them needless.
_OVERRIDES = re.compile(r"[\u202a-\u202e\u2066-\u2069]")


def plain(value: object) -> str:
    """Return `value` as text that is safe to store in XML, UTF-8 and on a terminal.

    Control characters, lone surrogates and direction overrides become U+FFFD, so that they stay visible.
    """
    return _OVERRIDES.sub("\ufffd", _FORBIDDEN.sub("\ufffd", str(value)))


def one_line(value: object) -> str:
    """Return `plain(value)` with every run of white space as one space."""
    return " ".join(plain(value).split())


def columns_of(text: str) -> int:
    """Return how many terminal columns `text` takes: wide East Asian signs two, combining marks none."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        for sign in text
    )


def shorten(value: object, columns: int) -> str:
    """Return `one_line(value)`, cut with an ellipsis where it takes more than `columns` columns."""
    text = one_line(value)
    if columns_of(text) <= columns:
        return text
    kept, used = [], 1
    for sign in text:
        used += columns_of(sign)
        if used > columns:
            break
        kept.append(sign)
    return "".join(kept).rstrip() + "…"


def is_number(value: object) -> bool:
    """Return whether `value` is a real number (Python's or NumPy's), not a truth value."""
    return (
        not isinstance(value, (bool, str, bytes))
        and hasattr(value, "__float__")
        and getattr(value, "ndim", 0) == 0
    )


def finite(value: Any) -> float | None:
    """Return `value` as a finite float, or None for anything else."""
    if not is_number(value):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def show_number(value: Any, digits: int = 3) -> str:
    """Return a number with thousands separators and about `digits` decimals; `–` where there is none."""
    number = finite(value)
    if number is None:
        return ABSENT
    size = abs(number)
    if number == int(number) and (_is_integer(value) or size >= 1000):
        return f"{int(number):,}"
    if size >= 1e9 or 0 < size < 1e-5:
        return f"{number:.2e}"
    if 0 < size < 10**-digits:
        return f"{number:.2g}"
    if size >= 1000:
        return f"{number:,.0f}"
    return f"{number:.{digits}f}" if size < 10 else f"{number:.{max(digits - 2, 1)}f}"


def _is_integer(value: object) -> bool:
    return isinstance(value, int) or getattr(getattr(value, "dtype", None), "kind", "f") in "iu"


def show_seconds(value: Any) -> str:
    """Return a duration: `0.8 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    seconds = finite(value)
    if seconds is None:
        return ABSENT
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def show_share(part: float, whole: float) -> str:
    """Return `part / whole` in percent; `–` where there is nothing to divide by."""
    return f"{100 * part / whole:.1f}%" if whole else ABSENT


_KNOWN_NAMES = {
    "roc_auc": "ROC area",
    "pr_auc": "PR area",
    "auc": "ROC area",
    "f1": "F1",
    "macro_f1": "F1 (macro)",
    "micro_f1": "F1 (micro)",
    "f1_macro": "F1 (macro)",
    "f1_micro": "F1 (micro)",
    "mse": "MSE",
    "rmse": "RMSE",
    "mae": "MAE",
    "mape": "MAPE",
    "r2": "R²",
    "ece": "Calibration error",
    "expected_calibration_error": "Calibration error",
    "brier": "Brier score",
}


def title_of(name: object) -> str:
    """Return the reading form of a key: `validation_loss` is `Validation loss`, `rmse` is `RMSE`."""
    key = one_line(name)
    known = _KNOWN_NAMES.get(key.lower())
    if known:
        return known
    words = key.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def listing(names: Sequence[object], most: int = 6) -> str:
    """Return names as a phrase: `a`, `a and b`, `a, b and 3 more`."""
    texts = [one_line(name) for name in names]
    if len(texts) > most:
        return ", ".join(texts[: most - 1]) + f" and {len(texts) - most + 1} more"
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 2 else texts)


def slug(title: object, default: str) -> str:
    """Return a file name without suffix, made from a title; `default` where no letter of it can be used."""
    return re.sub(r"\W+", "-", one_line(title).lower()).strip("-")[:60] or default
