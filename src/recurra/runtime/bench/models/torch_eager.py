"""The same model written in `torch.nn`, run eagerly, in float32 and by torch's own dynamic int8."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recurra import kernels
from recurra.graph.head import Dense, TiedDense
from recurra.graph.recur import Recur
from recurra.graph.spell import WORDS, Spell
from recurra.ragged import Array
from recurra.runtime.bench.engines.engine import LeftOutError, needed
from recurra.runtime.bench.models.contender import (
    Answering,
    Contender,
    Walking,
    encoder_bytes,
    loaded_program,
    start_program,
    tags_decided,
)
from recurra.runtime.export.probes import Probe, batch_feed, step_feed
from recurra.runtime.predictor import Predictor
from recurra.runtime.torch_parity import torch_refused

PROGRAM = "torch_start"


def contenders(predictor: Predictor, place: Path, feed: Path) -> Iterator[Contender]:
    """float32, and int8 where torch has it for this cell; raises LeftOutError."""
    torch = torch_for(predictor)
    torch.set_num_threads(kernels.get_num_threads())
    yield _contender(torch, predictor, place, feed, "float32")
    if predictor.network.cell not in ("lstm", "gru"):
        raise LeftOutError(f"torch's dynamic int8 has no {predictor.network.cell}")
    yield _contender(torch, predictor, place, feed, "int8")


def torch_for(predictor: Predictor) -> Any:
    """torch; raises LeftOutError where it is missing, or the network to compare with cannot be this model."""
    refused = torch_refused(predictor)
    if refused is not None:
        raise LeftOutError(refused)
    if predictor.head.cutoffs:
        raise LeftOutError(
            "the network to compare with has one linear head, and the model an adaptive softmax"
        )
    return needed("torch", "pip install 'recurra[train]'")


def in_float32(predictor: Predictor) -> tuple[Any, Any]:
    """torch, and the network with the model's weights; raises LeftOutError."""
    torch = torch_for(predictor)
    return torch, network(torch, predictor).eval()


def network(torch: Any, predictor: Predictor, reading: str = "") -> Any:
    """The network with the model's weights; reading: "padded" or "packed" (see the start program), as usual if ""."""
    made = program().network(torch, description(predictor), reading)
    made.load_state_dict(weights_of(torch, predictor, made))
    return made


def _contender(torch: Any, predictor: Predictor, place: Path, feed: Path, precision: str) -> Contender:
    made = network(torch, predictor).eval()
    if precision == "int8":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated, and still what torch has for recurrences
            try:
                made = program().in_int8(torch, made)
            except (ImportError, AttributeError):
                raise LeftOutError("this torch has no torch.ao.quantization any more") from None
    file, facts = place / f"torch-{precision}.pt", place / "torch.json"
    torch.save(made.state_dict(), file)
    facts.write_text(json.dumps(description(predictor)))
    walk = None if predictor.network.bidirectional else partial(_walk, torch, predictor, made)
    threads = str(kernels.get_num_threads())
    return Contender(
        engine="torch",
        precision=precision,
        batch=partial(_batch, torch, predictor, made),
        walk=walk,
        decided=partial(_decided, torch, predictor, made) if tags_decided(predictor) else None,
        file_bytes=file.stat().st_size + encoder_bytes(predictor),
        start=(start_program(PROGRAM), str(facts), str(file), precision, str(feed), threads),
    )


def program() -> Any:
    """The start program as a module."""
    return loaded_program(PROGRAM)


def description(predictor: Predictor) -> dict[str, Any]:
    """The network as plain values."""
    net, recur = predictor.network, predictor.model.node(Recur)
    shape = predictor.encoder
    return {
        "cell": net.cell,
        "hidden": net.hidden_size,
        "layers": net.num_layers,
        "bidirectional": net.bidirectional,
        "learnt": recur.network.initial_state == "learnt",
        "inputs": recur.inputs,
        "features": shape.width,
        "tables": {
            name: list(array.shape)
            for name, array in _tables(predictor).items()
        },
        "spelt": _spelt_sizes(predictor),
        "pooling": predictor.head.pooling,
        "static": 0 if predictor.head.static is None else len(predictor.head.static.names),
        "outputs": predictor.head.outputs,
        "tied": net.tied_embedding,
    }  # fmt: skip


def _tables(predictor: Predictor) -> dict[str, Array]:
    """Embedding tables by the name of the input that they read."""
    if predictor.encoder.kind == "tokens":
        return {"ids": predictor.parameters["embed.table"]}
    first = predictor.model.nodes[0]
    if isinstance(first, Spell):
        slots = {slot: f"{first.affixes.name}.table.{slot}" for slot in first.affixes.vocabularies}
        named = {WORDS: f"{first.words.name}.table", **slots}
        return {column: predictor.parameters[name] for column, name in named.items()}
    columns = predictor.encoder.vocabularies
    return {f"ids.{column}": predictor.parameters[f"embed.table.{column}"] for column in columns}


def _spelt_sizes(predictor: Predictor) -> list[int] | None:
    """Characters, numbers per character, and units of what reads them; None where words are not spelt."""
    first = predictor.model.nodes[0]
    if not isinstance(first, Spell):
        return None
    return [first.characters.vocabulary, first.characters.size, first.reader.network.hidden_size]


def weights_of(torch: Any, predictor: Predictor, network: Any) -> dict[str, Any]:
    """Our parameters by the names of the network."""
    ours = dict(predictor.parameters)
    node, first = predictor.model.node(Recur).name, predictor.model.nodes[0]
    *before, head = [each for each in predictor.model.nodes if isinstance(each, (Dense, TiedDense))]
    named = {f"tables.{i}.weight": table for i, table in enumerate(_tables(predictor).values())}
    for name, linear in (("head", head), *(("project", each) for each in before)):
        named |= {f"{name}.weight": ours[linear.matrix], f"{name}.bias": ours[f"{linear.name}.bias"]}
    if predictor.head.pooling == "attention":
        named |= {f"score.{part}": ours[f"pool.{part}"] for part in ("weight", "bias")}
        named["query.weight"] = ours["pool.query"]
    if isinstance(first, Spell):
        named["letters.weight"] = ours[f"{first.characters.name}.table"]
    for name in network.state_dict():
        if name.startswith("reader.") and isinstance(first, Spell):
            named[name] = ours[f"{first.reader.name}.{name.removeprefix('reader.')}"]
        elif name.startswith("stack."):
            named[name] = ours[f"{node}.{_of_stack(name)}"]
        elif name in ("h0", "c0"):
            places = predictor.model.node(Recur).places()
            named[name] = np.stack([ours[f"{node}.{name}_{place.suffix}"] for place in places])
    return tensors(torch, named)


def tensors(torch: Any, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Copies of arrays as torch has them."""
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def _of_stack(name: str) -> str:
    """Our name of a parameter of the stack, which is one module, or one module for each layer and direction."""
    _, *place, parameter = name.split(".")
    if not place:
        return parameter
    level, direction = place
    return parameter.replace("_l0", f"_l{level}") + ("_reverse" if direction == "1" else "")


def _batch(torch: Any, predictor: Predictor, network: Any, probe: Probe) -> Answering:
    feed = tensors(torch, batch_feed(predictor, probe))
    real = None
    if predictor.head.pooling is None:
        lengths = probe.batch.lengths
        real = np.arange(int(lengths.max()))[None, :] < lengths[:, None]

    def answer() -> Array:
        with torch.inference_mode():
            found: Array = network(feed).numpy()
            return found if real is None else found[real]

    return answer


def _decided(torch: Any, predictor: Any, network: Any, probe: Probe) -> Callable[[], Any]:
    """Tags by the usual walk over padded steps, in torch; rules stand in the transitions."""
    feed = tensors(torch, batch_feed(predictor, probe))
    sizes = list(predictor.target.sizes)
    chains = [[torch.from_numpy(np.array(part)) for part in chain] for chain in predictor.decoder.ruled()]
    apart, best_paths = not predictor.head.chain, program().best_paths

    def answer() -> Any:
        with torch.inference_mode():
            parts = network(feed).split(sizes, dim=-1)
            scores = [part.log_softmax(-1) for part in parts] if apart else parts
            return [
                best_paths(torch, part, feed["lengths"], chain)
                for part, chain in zip(scores, chains, strict=True)
            ]

    return answer


def _walk(torch: Any, predictor: Predictor, network: Any, probe: Probe) -> Walking:
    held: list[Any] = [None]

    def advance(t: int) -> Array:
        feed = tensors(torch, step_feed(predictor, probe, t))
        with torch.inference_mode():
            answer, held[0] = network.step(feed, held[0])
            found: Array = answer.numpy()
            return found

    return advance
