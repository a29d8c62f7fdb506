"""The measurement: the losses of the first steps compared, then everybody timed in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from recurra import kernels
from recurra.errors import SpecError, nearest
from recurra.evaluation.bench.lesson import lesson_of
from recurra.evaluation.bench.outcome import Outcome, Row
from recurra.evaluation.bench.trainees import trainees
from recurra.runtime.bench import timing
from recurra.runtime.bench.run import as_it_was

TOLERANCE = 1e-4
"""Largest relative difference of the losses of the first steps."""

SECONDS = 20.0
"""What the timing may take, about."""

ENGINES = ("recurra", "torch-padded", "torch-packed", "torch", "flair")


def bench_training(
    predictor: Any,
    inputs: Any = None,
    targets: Any = None,
    static: Any = None,
    *,
    seconds: float = SECONDS,
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Measure steps of training a stored model's architecture from fresh weights, dropout left out on all sides.

    inputs, targets, static: as `fit` takes them (of a language model: texts); None: made ones. A round is four steps
    of batches of the size and length that the model was trained with; the losses of the first round must be equal
    within 1e-4, else a way is named and not timed. only: engines to keep beside Recurra.

    Raises SpecError for models that are not measured and an `only` that means nothing, DataError for unusable data.
    """
    begin = time.perf_counter()
    kept = _kept(only)
    lesson = lesson_of(predictor, inputs, targets, static)
    notes, differences, unequal = list(lesson.notes), dict[str, float](), list[str]()
    with as_it_was():
        fair, expected = {}, list[float]()
        for each in trainees(lesson, notes):
            if each.engine not in kept:
                continue
            found = each.round()
            expected = expected or found
            gap = max(abs(a - b) / max(abs(b), 1e-30) for a, b in zip(found, expected, strict=True))
            differences[each.engine] = gap
            if gap <= TOLERANCE:
                fair[each.engine] = each.round
            else:
                told = f"the losses of the first steps differ by {gap:.1e}, and {TOLERANCE:g} is allowed"
                unequal.append(f"{each.engine}: {told}: it is not timed")
        say(f"{len(fair)} ways begin with the same losses: {', '.join(fair)}")
        times = timing.interleaved(fair, seconds)
    if len(fair) == 1:
        notes.append("nobody to compare with")
    return Outcome(
        rows=[
            Row(
                engine=engine,
                ms_per_step=1e3 * found.median / lesson.count,
                sequences_per_second=lesson.sequences / found.median,
                tokens_per_second=lesson.tokens / found.median,
                difference=differences[engine],
            )
            for engine, found in times.items()
        ],
        unit=lesson.unit,
        steps=lesson.count,
        sequences=lesson.sequences,
        tokens=lesson.tokens,
        made=lesson.made,
        threads=kernels.get_num_threads(),
        tolerance=TOLERANCE,
        differences=differences,
        notes=notes,
        unequal=unequal,
        seconds=time.perf_counter() - begin,
    )


def _kept(only: Sequence[str]) -> set[str]:
    """The engines that are measured: Recurra always, as the others are compared with it."""
    kept = {*ENGINES}
    for text in only:
        words = {word.strip() for word in text.split(",")}
        for word in sorted(words - {*ENGINES}):
            raise SpecError(
                f"--only must be one of {', '.join(ENGINES)}, got {word!r}{nearest(word, ENGINES)}"
            )
        kept &= words
    return kept | {"recurra"}
