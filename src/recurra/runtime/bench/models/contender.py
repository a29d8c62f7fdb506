"""What an engine hands over to be measured, and the work that all of them do alike."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from recurra.ragged import Array
from recurra.runtime.export.probes import Probe
from recurra.runtime.predictor import Predictor
from recurra.runtime.tagger import TaggerPredictor

Answering = Callable[[], Array]
"""A call that answers a batch which is in the engine's own form already: (S, outputs) before softmax or unscaling."""

Walking = Callable[[int], Array]
"""A call that takes step t of a sequence and answers for the steps so far: (1, outputs)."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One engine in one precision.

    batch: makes a batch ready; walk: begins a sequence anew, None where the engine has no steps; file_bytes: what
    the engine needs on disk; start: arguments of a Python that loads the model and answers once; note: what a
    reader must know; decided: makes a batch ready that is answered down to its tags, timed in place of `batch`.
    """

    engine: str
    precision: str
    batch: Callable[[Probe], Answering]
    walk: Callable[[Probe], Walking] | None
    file_bytes: int
    start: Sequence[str]
    note: str = ""
    decided: Callable[[Probe], Callable[[], Any]] | None = None

    @property
    def name(self) -> str:
        """Engine and precision."""
        return f"{self.engine} {self.precision}"


def tags_decided(predictor: Predictor) -> bool:
    """Whether answers are tags that are chosen together: then choosing them is timed, too."""
    return isinstance(predictor, TaggerPredictor) and predictor.tags_depend_on_neighbours


def start_program(name: str) -> str:
    """The path of a program that starts an engine in a fresh process."""
    return str(Path(__file__).parent / "starts" / f"{name}.py")


@cache
def loaded_program(name: str) -> Any:
    """A start program as a module: it holds the engine's model, so that a fresh process needs nothing of Recurra."""
    spec = importlib.util.spec_from_file_location(f"recurra_{name}", start_program(name))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def encoder_bytes(predictor: Predictor) -> int:
    """What every engine needs besides its own file to answer for what a user has."""
    return sum(len(content) for content in predictor.encoder.files().values())
