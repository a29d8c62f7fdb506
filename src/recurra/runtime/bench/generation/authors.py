"""Who writes: Recurra by `generate`, and the engines that take steps, with a loop around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import SpecError
from recurra.kernels.weights import PRECISIONS
from recurra.ragged import Array, Ragged
from recurra.runtime.bench.engines.engine import LeftOutError
from recurra.runtime.bench.generation import loops
from recurra.runtime.bench.generation.loops import Script, State, Stepper
from recurra.runtime.bench.models import onnx_session, torch_eager
from recurra.runtime.language_model import LanguageModelPredictor
from recurra.runtime.next_token import NextTokens
from recurra.runtime.predictor import Predictor
from recurra.runtime.quantize import quantized

ENGINES = ("recurra", "onnxruntime", "torch")

TEMPERATURE, BEAM = 0.8, 4
"""What is drawn at, and how many texts a search keeps."""


@dataclass(frozen=True, kw_only=True)
class Author:
    """One engine in one precision.

    write: decoding -> a call that writes a text: a `Written` of ours, the ids of the others; along: (n, V) the
    probability of every token behind each beginning of some ids.
    """

    engine: str
    precision: str
    write: Mapping[str, Callable[[], Any]]
    along: Callable[[Sequence[int]], Array]

    @property
    def name(self) -> str:
        """Engine and precision."""
        return f"{self.engine} {self.precision}"


def authors(model: LanguageModelPredictor, script: Script, notes: list[str]) -> Iterator[Author]:
    """Recurra in every precision, then ONNX Runtime and torch; notes: told who is left out, and why."""
    for precision in PRECISIONS:
        yield ours(model, precision, script)
    for engine, stepper_of in (("onnxruntime", in_onnxruntime), ("torch", in_torch)):
        try:
            yield _around(engine, stepper_of(model.answering), script)
        except (LeftOutError, SpecError) as error:
            notes.append(f"left out: {error}")


def ours(model: LanguageModelPredictor, precision: str, script: Script) -> Author:
    """`generations`, as everybody calls it."""
    made: Any = quantized(model, precision)
    options: dict[str, dict[str, Any]] = {
        "greedy": {"temperature": 0},
        "drawn": {"temperature": TEMPERATURE},
        "beam": {"beam": BEAM},
    }

    def writing(chosen: dict[str, Any]) -> Callable[[], Any]:
        return lambda: made.generations([""], length=script.length, **chosen)[0][0]

    def along(ids: Sequence[int]) -> Array:
        rows = NextTokens(made)
        found = [rows.read(Ragged(values=np.array([script.first]), offsets=np.array([0, 1])))]
        found += [rows.advance(None, np.array([token])) for token in ids[:-1]]
        return np.exp(np.concatenate(found).astype(np.float64))

    return Author(
        engine="recurra",
        precision=precision,
        write={name: writing(chosen) for name, chosen in options.items()},
        along=along,
    )


def _around(engine: str, stepper: Stepper, script: Script) -> Author:
    generator = np.random.default_rng(0)
    return Author(
        engine=engine,
        precision="float32",
        write={
            "greedy": lambda: loops.greedy(stepper, script),
            "drawn": lambda: loops.drawn(stepper, script, TEMPERATURE, generator),
            "beam": lambda: loops.searched(stepper, script, BEAM),
        },
        along=lambda ids: loops.along(stepper, script, ids),
    )


def in_onnxruntime(model: Predictor) -> Stepper:
    """The step graph that Recurra exports, its states going round."""
    session = onnx_session.step_session(model)

    def step(ids: Array, state: State) -> tuple[Array, State]:
        return session.advance({"ids": ids}, session.states() if state is None else state)

    return Stepper(step=step, pick=lambda state, rows: {name: part[rows] for name, part in state.items()})


def in_torch(model: Predictor) -> Stepper:
    """The usual loop: Embedding, a recurrence over one step, Linear."""
    torch, network = torch_eager.in_float32(model)
    torch.set_num_threads(1)  # the quickest for single steps

    def step(ids: Array, state: State) -> tuple[Array, State]:
        with torch.inference_mode():
            scores, after = network.step({"ids": torch.from_numpy(ids)}, state)
            found: Array = scores.numpy()
            return found, after

    def pick(state: State, rows: Array) -> State:
        (held, *rest), chosen = state, torch.from_numpy(rows)
        with torch.inference_mode():
            parts = tuple(part[:, chosen] for part in held) if isinstance(held, tuple) else held[:, chosen]
        return (parts, *rest)

    return Stepper(step=step, pick=pick)
