"""The colours of a report, light and dark, and how matplotlib is told to draw with them.

Every colour of the light theme is a different hexadecimal number, so that a drawing can be turned into one
that follows the reader's theme by replacing `#rrggbb` with `var(--name,#rrggbb)`. A test computes the
contrast (WCAG 2: text at least 4.5, lines and marks at least 3) of both themes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

from recurra.errors import missing_extra

LIGHT = {
    "page": "#f4f5f7",
    "surface": "#ffffff",
    "ink": "#1b1f24",
    "muted": "#566070",
    "grid": "#e2e5ea",
    "s1": "#2563b0",
    "s2": "#c2570c",
    "s3": "#0f7f6b",
    "s4": "#8a4fb5",
    "s5": "#c0304f",
    "s6": "#8a6d00",
    "s7": "#117a9c",
    "s8": "#5f6b7a",
    "heat": "#123f86",
    "on-low": "#010101",
    "on-high": "#fefefe",
    "verdict": "#eaf1fb",
}
DARK = {
    "page": "#101317",
    "surface": "#191d23",
    "ink": "#e8eaed",
    "muted": "#a4adb8",
    "grid": "#333a44",
    "s1": "#7db0f5",
    "s2": "#f5a25d",
    "s3": "#5cc9b2",
    "s4": "#c69af0",
    "s5": "#f28ba0",
    "s6": "#d9bd4c",
    "s7": "#6fc9e6",
    "s8": "#a4adb9",
    "heat": "#7399d4",
    "on-low": "#fefefe",
    "on-high": "#010101",
    "verdict": "#1d2a3d",
}

INK, MUTED, GRID, SURFACE = LIGHT["ink"], LIGHT["muted"], LIGHT["grid"], LIGHT["surface"]
SERIES = tuple(LIGHT[f"s{number}"] for number in range(1, 9))
RIGHT, WRONG = SERIES[0], SERIES[1]  # blue and orange stay apart for every common colour blindness
HEAT, ON_LOW, ON_HIGH = LIGHT["heat"], LIGHT["on-low"], LIGHT["on-high"]
LINES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")

_MATPLOTLIB: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "recurra",
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "figure.facecolor": SURFACE,
    "axes.facecolor": SURFACE,
    "savefig.facecolor": SURFACE,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "axes.labelsize": 11,
    "font.size": 11,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "lines.markersize": 4.5,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    # Long paths are simplified to a ninth of a pixel by default; a drawing for print may keep more.
    "path.simplify_threshold": 0.2,
}

_LOCK = RLock()


def line_of(index: int) -> dict[str, Any]:
    """Return colour, dash and mark of series number `index`: told apart without colour as well."""
    return {
        "color": SERIES[index % len(SERIES)],
        "linestyle": LINES[index // len(SERIES) % len(LINES)],
        "marker": MARKS[(index + index // len(SERIES)) % len(MARKS)],
    }


@contextmanager
def drawing_style() -> Iterator[None]:
    """Set matplotlib's parameters for our drawings and put the caller's back afterwards.

    They are global in matplotlib, hence one drawing at a time. Starting from matplotlib's own defaults keeps
    a user's style sheet out of the report. Raises MissingExtraError where matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise missing_extra("matplotlib", "train", "drawing figures") from None
    with _LOCK, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_MATPLOTLIB)
        yield


def style_sheet() -> str:
    """Return the CSS that defines the colours: light, dark where the reader prefers it, light on paper."""

    def block(colours: dict[str, str]) -> str:
        return ":root{" + "".join(f"--{name}:{value};" for name, value in colours.items()) + "}"

    dark, paper = f"@media (prefers-color-scheme:dark){{{block(DARK)}}}", f"@media print{{{block(LIGHT)}}}"
    return f"{block(LIGHT)}\n{dark}\n{paper}\n"
