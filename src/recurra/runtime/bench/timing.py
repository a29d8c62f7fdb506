"""Timing of several engines in turns, so that whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

REST = 0.005
"""Seconds before every turn in which the threads of the engine before stop spinning."""
TURN = 0.05
"""Seconds that one turn of a fast engine lasts."""
SLOW = 0.5
"""Seconds of a call from which on a turn is that call alone, without another to warm up."""
ROUNDS = (3, 15)
"""Fewest and most rounds, but for engines that are too slow for it."""


def clock(run: Callable[[], Any]) -> float:
    """Seconds of one call."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """Seconds of a call: the median over the turns, and the fastest turn, which other work disturbs less."""

    median: float
    fastest: float


def interleaved(
    runs: Mapping[str, Callable[[], Any]], seconds: float, each_round: Callable[[], None] = lambda: None
) -> dict[str, Seconds]:
    """Seconds of a call of each, over rounds in which each has one turn, the order turned every round.

    A turn is a call that warms up and then calls that are timed, for some twentieth of a second; its value is
    their median. seconds: about how long all this may take; an engine that is much slower than the others has
    fewer turns, and one whose single call takes all that time is not called again. each_round: called before
    every round.
    """
    first = {name: _first(run) for name, run in runs.items()}
    turns = _turns(first, seconds)
    values: dict[str, list[float]] = {name: [first[name]] if turns[name] == 0 else [] for name in runs}
    names = list(runs)
    for place in range(max(turns.values(), default=0)):
        each_round()
        at = place % len(names)
        for name in names[at:] + names[:at]:
            if place < turns[name]:
                values[name].append(_turn(runs[name], first[name]))
    return {
        name: Seconds(median=statistics.median(found), fastest=min(found)) for name, found in values.items()
    }


def _first(run: Callable[[], Any]) -> float:
    """Seconds of a call that is not the very first; of the faster of two where that costs little."""
    found = clock(run)
    return found if found > SLOW else min(found, clock(run))


def _turns(first: Mapping[str, float], seconds: float) -> dict[str, int]:
    """How many turns each has: the same for all, less for those that would use up more than their share."""
    fewest, most = ROUNDS
    cost = {name: REST + max(TURN, t) + (0 if t > SLOW else t) for name, t in first.items()}
    common = max(fewest, min(most, int(seconds / max(sum(cost.values()), 1e-9))))
    share = seconds / max(len(first), 1)
    return {
        name: 0 if first[name] > max(seconds, SLOW) else max(1, min(common, max(int(share / c), few)))
        for name, c in cost.items()
        for few in [fewest if c * fewest < share else 1]
    }


def _turn(run: Callable[[], Any], expected: float) -> float:
    calls = max(1, min(200, int(TURN / max(expected, 1e-7))))
    gc.collect()
    gc.disable()
    try:
        time.sleep(REST)
        if expected <= SLOW:
            run()
        return statistics.median(clock(run) for _ in range(calls))
    finally:
        gc.enable()
