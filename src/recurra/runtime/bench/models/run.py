"""The measurement: everybody's answers compared, then everybody timed in turns."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recurra import kernels
from recurra.errors import SpecError
from recurra.kernels.weights import PRECISIONS
from recurra.ragged import Array
from recurra.runtime.bench.engines.engine import LeftOutError
from recurra.runtime.bench.models import flair_tagger, onnx_session, ours, torch_eager, torch_exported
from recurra.runtime.bench.models.cold import ColdStart, cold_starts, write_inputs
from recurra.runtime.bench.models.contender import Contender
from recurra.runtime.bench.models.outcome import STREAM, Outcome, Row
from recurra.runtime.bench.models.workload import Workload, workload
from recurra.runtime.export.probes import Probe
from recurra.runtime.predictor import Predictor, in_float32
from recurra.runtime.verify import distance, said

TOLERANCES = {"float32": 1e-5, "bfloat16": 0.05, "int8": 0.1}
"""How far the answers of an engine in a precision may be from Recurra's in float32."""

SECONDS = 60.0
"""What a whole measurement may take, about."""

STARTING = 0.5
"""Share of the time that cold starts may take."""

TURN, REST = 0.04, 0.005
"""Seconds of an engine's turn, and of quiet before it, in which the threads of the one before stop spinning."""

SLOW = 0.25
"""Seconds from which on a call needs no warming up."""

STEPS = 64
"""Steps of a stream that are compared, and walked before it begins anew."""

Say = Callable[[str], None]


def bench_model(
    predictor: Predictor,
    inputs: Any = None,
    static: Any = None,
    *,
    seconds: float = SECONDS,
    only: Sequence[str] = (),
    say: Say | None = None,
) -> Outcome:
    """Measure a model in every engine that is installed.

    inputs, static: sequences as `predict` takes them; None: made ones. only: engines or precisions to keep, such
    as "recurra" or "int8". Raises DataError for sequences without a step, SpecError where `only` keeps nobody.
    """
    tell: Say = say or (lambda _: None)
    begin = time.perf_counter()
    predictor = predictor.answering
    work = workload(predictor, inputs, static)
    with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
        place = Path(folder)
        notes: list[str] = []
        everybody = [
            each
            for each in _contenders(predictor, place, write_inputs(predictor, work, place), notes, only)
            if _kept(only, each.engine, each.precision)
        ]
        if not everybody:
            raise SpecError(f"--only {', '.join(only)} keeps no engine; leave it out to see all")
        differences, unequal = compared(in_float32(predictor), everybody, work)
        allowed = {each.name: TOLERANCES[each.precision] for each in everybody}
        fair = [each for each in everybody if differences[each.name] <= allowed[each.name]]
        tell(f"{len(fair)} engines answer alike: {', '.join(each.name for each in fair)}")
        starts, more = cold_starts(fair, begin + seconds * STARTING)
        tell("cold starts measured")
        until = max(begin + seconds, time.perf_counter() + 0.2 * seconds)
        rows = list(_rows(fair, work, starts, differences, until, tell))
    lengths = work.lengths
    return Outcome(
        rows=rows,
        tolerances=allowed,
        differences=differences,
        threads=kernels.get_num_threads(),
        lengths=(int(lengths.min()), float(lengths.mean()), int(lengths.max())),
        made=work.made,
        notes=[
            *notes,
            *more,
            *(f"{each.name}: {each.note}" for each in fair if each.note),
            *(note for name, note in unequal.items() if not name.endswith("float32")),
        ],
        unequal=[note for name, note in unequal.items() if name.endswith("float32")],
        starts=min((each.starts for each in starts.values()), default=0),
        seconds=time.perf_counter() - begin,
    )


def _contenders(
    predictor: Predictor, place: Path, inputs: tuple[Path, Path], notes: list[str], only: Sequence[str] = ()
) -> Iterator[Contender]:
    own, feed = inputs
    making: dict[str, Callable[[], Iterator[Contender]]] = {
        "recurra": lambda: ours.contenders(predictor, place, own),
        "onnxruntime": lambda: onnx_session.contenders(predictor, place, feed),
        "torch": lambda: torch_eager.contenders(predictor, place, feed),
        "torch-export": lambda: torch_exported.contenders(predictor, place, feed),
    }
    if flair_tagger.plays(predictor):
        making["flair"] = lambda: flair_tagger.contenders(predictor, place, feed)
    for engine, contenders in making.items():
        if not any(_kept(only, engine, precision) for precision in PRECISIONS):
            continue  # some take seconds to be made
        try:
            yield from contenders()
        except (LeftOutError, SpecError) as error:
            if engine == "recurra":
                raise
            notes.append(f"left out: {error}")


def _kept(only: Sequence[str], engine: str, precision: str) -> bool:
    return all(any(word in (engine, precision) for word in words.split(",")) for words in only)


def compared(
    predictor: Predictor, everybody: Sequence[Contender], work: Workload
) -> tuple[dict[str, float], dict[str, str]]:
    """How far each is from the float32 answers, in batches and along a stream; and who is too far, in sentences."""
    differences, unequal = {}, {}
    for each in everybody:
        off = max(_differences(predictor, each, work))
        differences[each.name], allowed = off, TOLERANCES[each.precision]
        if not off <= allowed:
            unequal[each.name] = (
                f"{each.name} differs by {off:.1e}, and {allowed:g} is allowed: it is not timed"
            )
    return differences, unequal


def _differences(predictor: Predictor, contender: Contender, work: Workload) -> Iterator[float]:
    for probe in (probes[0] for probes in work.batches.values()):
        found = contender.batch(probe)()
        yield _apart(predictor, found, predictor.outputs_of(probe.batch, probe.static))
    if contender.walk is None:
        return
    steps = min(STEPS, int(work.walk.batch.offsets[-1]))
    advance, stepping = contender.walk(work.walk), predictor.stepping()
    for t in range(steps):
        stepping.extend(stepping.enter(work.walk.batch.span(t, t + 1)), 0)
        expected = stepping.outputs(np.array([0]), np.array([t + 1]), work.walk.static)
        yield _apart(predictor, advance(t), expected)


def _apart(predictor: Predictor, found: Array, expected: Array) -> float:
    plain = np.ascontiguousarray(found, dtype=np.float32)
    return distance(said(predictor, plain), said(predictor, expected))


def _rows(
    fair: Sequence[Contender],
    work: Workload,
    starts: dict[str, ColdStart],
    differences: dict[str, float],
    until: float,
    tell: Say,
) -> Iterator[Row]:
    kinds: list[int | str] = [*work.batches]
    if any(each.walk is not None for each in fair):
        kinds.append(STREAM)
    for place, kind in enumerate(kinds):
        now = time.perf_counter()
        share = max(until - now, 0.0) / (len(kinds) - place)
        calls = {each.name: call for each in fair if (call := _call(each, work, kind)) is not None}
        samples = in_turns(calls, now + share)
        tell(f"{'stream' if kind == STREAM else f'batch {kind}'} measured")
        for each in fair:
            if each.name in samples:
                yield _row(each, kind, samples[each.name], starts.get(each.name), differences[each.name])


def _call(contender: Contender, work: Workload, kind: int | str) -> Callable[[], Any] | None:
    """A call that answers the next of the batches, or takes the next step."""
    if kind == STREAM:
        return None if contender.walk is None else _stepper(contender, work)
    making: Callable[[Probe], Callable[[], Any]] = contender.decided or contender.batch
    ready = [making(probe) for probe in work.batches[int(kind)]]
    at = -1

    def call() -> Any:
        nonlocal at
        at = (at + 1) % len(ready)
        return ready[at]()

    return call


def _stepper(contender: Contender, work: Workload) -> Callable[[], Any]:
    assert contender.walk is not None
    begin, steps = contender.walk, min(STEPS, int(work.walk.batch.offsets[-1]))
    advance, at = begin(work.walk), -1

    def call() -> Any:
        nonlocal at, advance
        at = (at + 1) % steps
        return advance(at)

    return call


def in_turns(calls: dict[str, Callable[[], Any]], until: float) -> dict[str, list[float]]:
    """Seconds of single calls of each, in turns of a twenty-fifth of a second, until a time of `perf_counter`.

    Everybody has a turn; who has had more than an equal share of the time sits out.
    """
    samples: dict[str, list[float]] = {name: [] for name in calls}
    taken = dict.fromkeys(calls, 0.0)
    share = max(until - time.perf_counter(), 0.0) / max(len(calls), 1)
    names, turn = list(calls), 0
    while turn == 0 or time.perf_counter() < until:
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            if turn == 0 or taken[name] < share:
                begin = time.perf_counter()
                samples[name] += _turn(calls[name])
                taken[name] += time.perf_counter() - begin
        turn += 1
    return samples


def _turn(call: Callable[[], Any]) -> list[float]:
    """Seconds of the calls of one turn; the first one warms up, and counts only where it took a whole turn."""
    time.sleep(REST)
    gc.collect()
    gc.disable()
    try:
        clock = time.perf_counter
        found, begin = [], clock()
        call()
        if clock() - begin > SLOW:
            found.append(clock() - begin)
        end = clock() + (0.0 if found else TURN)
        while not found or clock() < end:
            begin = clock()
            call()
            found.append(clock() - begin)
        return found
    finally:
        gc.enable()


def _row(
    contender: Contender, kind: int | str, samples: list[float], start: ColdStart | None, difference: float
) -> Row:
    p50, p99 = np.percentile(np.asarray(samples) * 1e3, [50, 99])
    return Row(
        engine=contender.engine,
        precision=contender.precision,
        batch=kind,
        p50_ms=float(p50),
        p99_ms=float(p99),
        per_second=1e3 * (1 if kind == STREAM else int(kind)) / float(p50),
        megabytes=contender.file_bytes / 1e6,
        cold_start_ms=None if start is None else start.ms,
        rss_mb=None if start is None else start.rss_mb,
        calls=len(samples),
        difference=difference,
    )
