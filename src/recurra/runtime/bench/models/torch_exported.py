"""What `recurra export --format torch-export` writes, run by torch: Recurra's operators, called by its program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recurra import kernels
from recurra.graph.onnx_nodes import WORD_LENGTHS
from recurra.ragged import Array
from recurra.runtime.bench.engines.engine import LeftOutError, needed
from recurra.runtime.bench.models.contender import (
    Answering,
    Contender,
    Walking,
    encoder_bytes,
    start_program,
    tags_decided,
)
from recurra.runtime.bench.models.torch_eager import tensors
from recurra.runtime.export.answers import answer_of
from recurra.runtime.export.graphs import CHARACTERS
from recurra.runtime.export.probes import Probe, step_feed
from recurra.runtime.export.torch_nodes import state_sizes
from recurra.runtime.export.torch_programs import (
    WORD_OFFSETS,
    batch_program,
    batch_refused,
    program_bytes,
    ragged_feed,
    step_program,
    step_program_refused,
)
from recurra.runtime.predictor import Predictor


def contenders(predictor: Predictor, place: Path, feed: Path) -> Iterator[Contender]:
    """float32 alone; raises LeftOutError."""
    torch = needed("torch", "pip install 'recurra[train]'")
    refused = batch_refused(predictor)
    if refused is not None:
        raise LeftOutError(f"no exported program: {refused}")
    with np.load(feed) as padded:
        lengths, given = padded["lengths"], {name: padded[name] for name in padded.files}
    program = batch_program(predictor)
    file, ragged = place / "batch.pt2", place / "ragged.npz"
    file.write_bytes(program_bytes(program))
    np.savez(ragged, allow_pickle=False, **_end_to_end(given, int(lengths[0])))
    whole = program.module()
    step = None if step_program_refused(predictor) else step_program(predictor).module()
    yield Contender(
        engine="torch-export",
        precision="float32",
        batch=partial(_batch, torch, predictor, whole),
        decided=partial(_decided, torch, predictor, whole) if tags_decided(predictor) else None,
        walk=None if step is None else partial(_walk, torch, predictor, step),
        file_bytes=file.stat().st_size + encoder_bytes(predictor),
        start=(
            start_program("exported_start"),
            str(file),
            str(ragged),
            "recurra.nn",
            str(kernels.get_num_threads()),
        ),
        note="batches by Recurra's operators, steps by torch's own",
    )


def _end_to_end(padded: dict[str, Array], length: int) -> dict[str, Array]:
    """One padded sequence without its padding."""
    kept = {name: x[0, :length] for name, x in padded.items() if name not in ("lengths", "static")}
    if WORD_LENGTHS in kept:
        counts = kept.pop(WORD_LENGTHS)
        spelt = [letters[:count] for letters, count in zip(kept[CHARACTERS], counts, strict=True)]
        kept[CHARACTERS] = np.concatenate([np.zeros(0, np.int64), *spelt])
        kept[WORD_OFFSETS] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    static = {"static": padded["static"]} if "static" in padded else {}
    return {**kept, **static, "offsets": np.array([0, length], np.int64)}


def _answer(predictor: Predictor, found: Any) -> Array:
    outputs: Array = found[answer_of(predictor).before].numpy()
    return outputs


def _decided(torch: Any, predictor: Any, program: Any, probe: Probe) -> Callable[[], Any]:
    answer = _batch(torch, predictor, program, probe)
    return lambda: predictor.codes(answer(), probe.batch.offsets)


def _batch(torch: Any, predictor: Predictor, program: Any, probe: Probe) -> Answering:
    feed = tensors(torch, ragged_feed(predictor, probe.batch, probe.static))

    def answer() -> Array:
        with torch.inference_mode():
            return _answer(predictor, program(feed))

    return answer


def _walk(torch: Any, predictor: Predictor, program: Any, probe: Probe) -> Walking:
    held = {
        name: torch.zeros((1, *size), dtype=torch.float32 if size else torch.int64)
        for name, size in state_sizes(predictor.model).items()
    }

    def advance(t: int) -> Array:
        with torch.inference_mode():
            found = program({**tensors(torch, step_feed(predictor, probe, t)), **held})
        held.update({name: found[f"{name}_out"] for name in held})
        return _answer(predictor, found)

    return advance
