"""A tagger of words in Flair: its `SequenceTagger` with the model's weights, which reads words as the model does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recurra import kernels
from recurra.graph.chain import Chain
from recurra.ragged import Array
from recurra.runtime.bench.engines.engine import LeftOutError, needed
from recurra.runtime.bench.models import torch_eager
from recurra.runtime.bench.models.contender import (
    Answering,
    Contender,
    encoder_bytes,
    loaded_program,
    start_program,
    tags_decided,
)
from recurra.runtime.export.probes import Probe, batch_feed
from recurra.runtime.predictor import Predictor

PROGRAM = "flair_start"
INSTALL = "pip install 'flair>=0.15.1', best into an environment of its own"


def plays(predictor: Predictor) -> bool:
    """Whether Flair is for such a model at all: it tags words."""
    return predictor.task == "tagger" and predictor.encoder.kind == "spelt"


def contenders(predictor: Predictor, place: Path, feed: Path) -> Iterator[Contender]:
    """float32 alone, and no steps: a tagger of Flair reads whole sentences; raises LeftOutError."""
    if tags_decided(predictor) and not predictor.head.chain:
        raise LeftOutError("Flair keeps no rules between tags without a chain")
    made = tagger(predictor, ruled=True).eval()
    file, facts = place / "flair.pt", place / "flair.json"
    torch_eager.torch_for(predictor).save(made.state_dict(), file)
    facts.write_text(json.dumps({**torch_eager.description(predictor), "chain": bool(predictor.head.chain)}))
    yield Contender(
        engine="flair",
        precision="float32",
        batch=partial(_batch, made, predictor),
        walk=None,
        decided=partial(_decided, made, predictor) if tags_decided(predictor) else None,
        file_bytes=file.stat().st_size + encoder_bytes(predictor),
        start=(start_program(PROGRAM), str(facts), str(file), str(feed), str(kernels.get_num_threads())),
        note="sentences made beforehand; its packing, head, chain and decoding; words read a whole batch at once",
    )


def program() -> Any:
    """The start program as a module."""
    return loaded_program(PROGRAM)


def tagger(predictor: Any, *, ruled: bool = False) -> Any:
    """Flair's tagger with the model's weights; raises LeftOutError where it cannot be the model.

    ruled: the chain forbids what the rules do, as it is decoded by; else it is as it was learnt.
    """
    torch = torch_eager.torch_for(predictor)
    if predictor.numeric or len(predictor.target.sizes) != 1:
        raise LeftOutError("Flair's tagger gives one tag per word")
    if predictor.network.initial_state != "zero":
        raise LeftOutError("Flair's tagger begins with zeros, whatever it has learnt")
    needed("flair", INSTALL)
    begin, chain = program(), bool(predictor.head.chain)
    made = begin.tagger(torch_eager.network(torch, predictor, "packed"), chain=chain)
    if chain:
        scores = predictor.decoder.ruled()[0] if ruled else chain_of(predictor)
        begin.set_chain(made, [torch.from_numpy(np.array(part)) for part in scores])
    return made


def chain_of(predictor: Predictor) -> tuple[Array, Array, Array]:
    """Transitions, start and end of the only column, as they were learnt."""
    node: Chain = predictor.model.node(Chain)
    scores: tuple[Array, Array, Array] = node.scores(predictor.parameters, 0)
    return scores


def _sentences(predictor: Predictor, probe: Probe) -> list[Any]:
    torch = torch_eager.torch_for(predictor)
    made: list[Any] = program().sentences(torch_eager.tensors(torch, batch_feed(predictor, probe)))
    return made


def _batch(made: Any, predictor: Predictor, probe: Probe) -> Answering:
    """(N, tags) what leaves the head, in the order of the batch."""
    begin, batch = program(), _sentences(predictor, probe)
    lengths, count = probe.batch.lengths, predictor.head.outputs
    held: list[Any] = []

    def answer() -> Array:
        with made.linear.register_forward_hook(lambda module, taken, found: held.append(found)):
            order, _ = begin.scored(made, batch)
        scores: Array = held.pop().numpy()
        rows: list[Any] = [None] * len(order)
        for at, place in enumerate(order):
            rows[place] = scores[at, : lengths[place], :count]
        return np.concatenate(rows)

    return answer


def _decided(made: Any, predictor: Predictor, probe: Probe) -> Callable[[], Any]:
    """Tags of each sentence, the longest first, by Flair's own decoder."""
    begin, batch = program(), _sentences(predictor, probe)

    def answer() -> Any:
        order, found = begin.scored(made, batch)
        tags, _ = made.viterbi_decoder.decode(found, False, [batch[place] for place in order])
        return order, [[int(code) for code, _ in row] for row in tags]

    return answer
