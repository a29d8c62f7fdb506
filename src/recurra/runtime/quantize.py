"""Models in fewer bits: made from a float32 model, stored as a bundle, and measured before one is recommended."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recurra.errors import DataError, SpecError
from recurra.kernels.weights import PRECISIONS
from recurra.ragged import Array, Ragged
from recurra.runtime.bundle import CARD, WEIGHTS, write_card
from recurra.runtime.precision import checked_precision, rounded
from recurra.runtime.predictor import CHUNK_TOKENS, Predictor, chunks
from recurra.runtime.store import load_predictor, save_predictor

MAX_LOSS = 0.01
"""What a precision may lose of the main score and still be recommended."""

SLOWER = 1.1
"""Times the seconds of float32 from which on a precision counts as slower; what is between is noise."""

STEPS = 64
"""Steps of one sequence that are timed as a stream."""


def quantized(predictor: Predictor, precision: str) -> Predictor:
    """The same model with its matrices rounded to a precision, answering with the kernels of that precision.

    precision: "bfloat16" (the recurrences multiply numbers rounded to it and sum in float32) or "int8" (one
    scale per row of a matrix, activations quantised per row and step). Alone, in a batch and streamed, a sequence
    has the same answer, bit for bit, as in float32. Layer-normalised cells and zoneout have no kernels in fewer
    bits: these run in float32 on the rounded weights. What was promised by calibration is left behind, since it
    holds for the model that was calibrated. "float32" gives the model back.

    Raises SpecError for an unknown precision, a model in fewer bits already, and weights that are not finite.
    """
    if checked_precision(precision) == predictor.precision:
        return predictor
    if predictor.precision != "float32":
        raise SpecError(
            f"the model is stored in {predictor.precision} already, and what was rounded away is gone; "
            f"make {precision} from the float32 model"
        )
    config = {name: value for name, value in predictor.config.items() if name != "conformal"}
    return dataclasses.replace(
        predictor,
        parameters=rounded(predictor.parameters, precision),
        config=config,
        precision=precision,
        path=None,
        model_id=None,
    )


def save_quantized(
    predictor: Predictor,
    path: str | Path,
    *,
    measured: Mapping[str, Any] | None = None,
    extras: Mapping[str, bytes] | None = None,
) -> Path:
    """Write what `quantized` gave as a bundle; atomic, returns its absolute path.

    measured: scores of this very model by split; those of the float32 model are kept under names that say so.
    """
    config, precision = predictor.config, predictor.precision
    before = {} if precision == "float32" else {f" before rounding to {precision}": config.get("scores", {})}
    kept = {f"{split}{note}": values for note, scores in before.items() for split, values in scores.items()}
    scores = {**(measured or {}), **(kept or config.get("scores", {}))}
    written = save_predictor(
        predictor,
        path,
        training=config.get("training", {}),
        scores=scores,
        data=config.get("data", {}),
        extras=extras,
    )
    if precision != "float32":
        _tell_on_card(written, precision)
    return written


def _tell_on_card(folder: Path, precision: str) -> None:
    from recurra.runtime.card import with_section

    size = (folder / WEIGHTS).stat().st_size / 1e6
    lines = [
        f"The weights are stored in {precision} ({size:.2f} MB) and answered with by the {precision} kernels; "
        "this model predicts and streams, it is not for further training.",
        "Scores marked so were measured before the weights were rounded.",
    ]
    card = (folder / CARD).read_text(encoding="utf-8", errors="replace")
    write_card(folder, with_section(card, "Precision", lines))


# ---- measured on somebody's own data ---------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One precision on somebody's data.

    score: the task's main score; loss: what of float32's is lost (negative: gained); agreement: share of answers
    that are float32's (None for numbers); megabytes: the files that `load` reads; ms_per_sequence: all the
    sequences in batches, encoded before; step_us: one step of a stream, None for a model that has none.
    """

    precision: str
    score: float
    loss: float
    agreement: float | None
    megabytes: float
    ms_per_sequence: float
    step_us: float | None
    verdict: str = ""
    acceptable: bool = True


@dataclass(frozen=True, kw_only=True)
class Precisions:
    """All precisions of one model on somebody's data, and which to ship."""

    rows: tuple[Measured, ...]
    recommended: str
    reason: str
    max_loss: float
    sequences: int

    def row(self, precision: str) -> Measured:
        """What was measured in one precision."""
        return next(row for row in self.rows if row.precision == precision)

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self) | {"rows": [dataclasses.asdict(row) for row in self.rows]}


def compare_precisions(
    predictor: Predictor,
    inputs: Any,
    targets: Any,
    static: Any = None,
    *,
    max_loss: float = MAX_LOSS,
    seconds: float = 6.0,
) -> Precisions:
    """Store, load, score and time a float32 model in every precision, and say which one to ship.

    Recommended is the quickest that is no slower than float32, over batches and in a stream, and loses at most
    `max_loss` of the main score; where two are equally quick, the smaller. seconds: of timing, about.

    Raises SpecError for a model in fewer bits already or a negative `max_loss`, DataError without targets.
    """
    if predictor.precision != "float32":
        raise SpecError(f"the model must be the float32 one, it is stored in {predictor.precision} already")
    if not max_loss >= 0:
        raise SpecError(f"max_loss must be a number of at least 0, got {max_loss!r}")
    if targets is None:
        raise DataError("targets must be given: without them there is no score that could be lost")
    with tempfile.TemporaryDirectory(prefix="recurra-") as place:
        models, sizes = {}, {}
        for precision in PRECISIONS:
            folder = save_quantized(quantized(predictor, precision), Path(place) / precision)
            models[precision], sizes[precision] = load_predictor(folder), loaded_bytes(folder) / 1e6
    times = _times(models, predictor.encode(inputs), predictor, static, seconds)
    scores = {name: model.score(inputs, targets, static) for name, model in models.items()}
    answers = {name: _labels(model, inputs, static) for name, model in models.items()}
    plain = [
        Measured(
            precision=name,
            score=scores[name],
            loss=scores["float32"] - scores[name],
            agreement=_agreement(answers["float32"], answers[name]),
            megabytes=sizes[name],
            ms_per_sequence=times[name][0],
            step_us=times[name][1],
        )
        for name in PRECISIONS
    ]
    judged = tuple(judge(row, plain[0], max_loss) for row in plain)
    recommended, reason = recommend(judged)
    return Precisions(
        rows=judged,
        recommended=recommended,
        reason=reason,
        max_loss=max_loss,
        sequences=len(predictor.encode(inputs)),
    )


def loaded_bytes(folder: Path) -> int:
    """Bytes of the files of a bundle that `load` reads."""
    names = ("config.json", WEIGHTS, "tokenizer.json", "encoder.json", "manifest.json")
    return sum((folder / name).stat().st_size for name in names if (folder / name).exists())


def _labels(model: Predictor, inputs: Any, static: Any) -> list[Any] | None:
    """The answers, where they are labels."""
    return list(model.predict(inputs, static)) if hasattr(model, "classes") else None


def _agreement(first: list[Any] | None, second: list[Any] | None) -> float | None:
    """Share of equal labels."""
    if not first or second is None:
        return None
    return float(np.mean([bool(np.all(a == b)) for a, b in zip(first, second, strict=True)]))


def _times(
    models: Mapping[str, Predictor], batch: Ragged, predictor: Predictor, static: Any, seconds: float
) -> dict[str, tuple[float, float | None]]:
    """Milliseconds per sequence in batches, microseconds per step of a stream; all precisions in turns."""
    from recurra.runtime.bench.timing import interleaved

    scaled = predictor.scaled_static(static, len(batch))
    rows = next(chunks(batch.lengths, CHUNK_TOKENS))
    some, part = batch.select(rows), None if scaled is None else scaled[rows]
    whole = interleaved(
        {name: partial(model.outputs_of, some, part) for name, model in models.items()}, seconds * 2 / 3
    )
    steps = _stepped(models, batch)
    walked = interleaved(steps, seconds / 3) if steps else {}
    return {
        name: (whole[name].median / len(rows) * 1e3, walked[name].median / STEPS * 1e6 if walked else None)
        for name in models
    }


def _stepped(models: Mapping[str, Predictor], batch: Ragged) -> dict[str, Any]:
    """Walks of `STEPS` steps by precision; none where the model cannot be stepped."""
    first = next(iter(models.values()))
    if first.network.bidirectional or not int(batch.offsets[-1]):
        return {}

    def walk(take: Any, x: Array) -> None:
        for t in range(len(x)):
            take(x[t : t + 1])

    found = {}
    for name, model in models.items():
        stepping = model.stepping()
        x = stepping.enter(batch.span(0, min(STEPS, int(batch.offsets[-1]))))
        x = np.ascontiguousarray(np.resize(x, (STEPS, x.shape[1])))
        found[name] = partial(walk, stepping.bare(), x)
    return found


def judge(row: Measured, base: Measured, max_loss: float) -> Measured:
    """The row with its verdict against float32."""
    if row.precision == base.precision:
        return dataclasses.replace(row, verdict="the model as trained")
    faults = []
    if not row.loss <= max_loss:
        faults.append(f"loses {row.loss:.4f} of the score (at most {max_loss:g} is accepted)")
    if row.ms_per_sequence > SLOWER * base.ms_per_sequence:
        faults.append(f"slower over batches ({row.ms_per_sequence / base.ms_per_sequence:.2f} times as long)")
    if row.step_us is not None and base.step_us is not None and row.step_us > SLOWER * base.step_us:
        faults.append(f"slower in a stream ({row.step_us / base.step_us:.2f} times as long)")
    smaller = f"{row.megabytes / base.megabytes:.2f} of the size"
    quick = f"{base.ms_per_sequence / row.ms_per_sequence:.2f} times as fast over batches"
    if row.step_us is not None and base.step_us is not None:
        quick += f", {base.step_us / row.step_us:.2f} times in a stream"
    verdict = "not recommended: " + "; ".join(faults) if faults else f"{smaller}, {quick}"
    return dataclasses.replace(row, verdict=verdict, acceptable=not faults)


def recommend(rows: Sequence[Measured]) -> tuple[str, str]:
    """The precision to ship, and why."""
    base, others = rows[0], [row for row in rows[1:] if row.acceptable]
    if not others:
        return base.precision, "no other precision is as fast and as good; ship the model as it is"
    quickest = min(row.ms_per_sequence for row in others)
    near = [row for row in others if row.ms_per_sequence <= SLOWER * quickest]
    best = min(near, key=lambda row: row.megabytes)
    lost = f"loses {best.loss:.4f}" if best.loss > 0 else "loses nothing"
    return best.precision, f"{best.verdict}; {lost} of the score"
