"""The same model written in `torch.nn`, run eagerly, in float32 and by torch's own dynamic int8."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from recurra import kernels
from recurra.graph.head import Dense, TiedDense
from recurra.graph.recur import Recur
from recurra.ragged import Array
from recurra.runtime.bench.engines.engine import LeftOutError, needed
from recurra.runtime.bench.models.contender import Answering, Contender, Walking, encoder_bytes, start_program
from recurra.runtime.export.probes import Probe, batch_feed, step_feed
from recurra.runtime.predictor import Predictor
from recurra.runtime.torch_parity import torch_refused

PROGRAM = "torch_start"


def contenders(predictor: Predictor, place: Path, feed: Path) -> Iterator[Contender]:
    """float32, and int8 where torch has it for this cell; raises LeftOutError."""
    refused = torch_refused(predictor)
    if refused is not None:
        raise LeftOutError(refused)
    if predictor.head.cutoffs:
        raise LeftOutError(
            "the network to compare with has one linear head, and the model an adaptive softmax"
        )
    torch = needed("torch", "pip install 'recurra[train]'")
    torch.set_num_threads(kernels.get_num_threads())
    yield _contender(torch, predictor, place, feed, "float32")
    if predictor.network.cell not in ("lstm", "gru"):
        raise LeftOutError(f"torch's dynamic int8 has no {predictor.network.cell}")
    yield _contender(torch, predictor, place, feed, "int8")


def _contender(torch: Any, predictor: Predictor, place: Path, feed: Path, precision: str) -> Contender:
    program, shape = _program(), description(predictor)
    network = program.network(torch, shape)
    network.load_state_dict(_weights(torch, predictor, network))
    network.eval()
    if precision == "int8":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated, and still what torch has for recurrences
            try:
                network = program.in_int8(torch, network)
            except (ImportError, AttributeError):
                raise LeftOutError("this torch has no torch.ao.quantization any more") from None
    file, facts = place / f"torch-{precision}.pt", place / "torch.json"
    torch.save(network.state_dict(), file)
    facts.write_text(json.dumps(shape))
    walk = None if predictor.network.bidirectional else partial(_walk, torch, predictor, network)
    threads = str(kernels.get_num_threads())
    return Contender(
        engine="torch",
        precision=precision,
        batch=partial(_batch, torch, predictor, network),
        walk=walk,
        file_bytes=file.stat().st_size + encoder_bytes(predictor),
        start=(start_program(PROGRAM), str(facts), str(file), precision, str(feed), threads),
    )


def _program() -> Any:
    """The start program as a module: it holds the network, so that a fresh process needs nothing of Recurra."""
    spec = importlib.util.spec_from_file_location("recurra_torch_start", start_program(PROGRAM))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
        "pooling": predictor.head.pooling,
        "static": 0 if predictor.head.static is None else len(predictor.head.static.names),
        "outputs": predictor.head.outputs,
    }  # fmt: skip


def _tables(predictor: Predictor) -> dict[str, Array]:
    """Embedding tables by the name of the input that they read."""
    if predictor.encoder.kind == "tokens":
        return {"ids": predictor.parameters["embed.table"]}
    columns = predictor.encoder.vocabularies
    return {f"ids.{column}": predictor.parameters[f"embed.table.{column}"] for column in columns}


def _weights(torch: Any, predictor: Predictor, network: Any) -> dict[str, Any]:
    """Our parameters by the names of the network."""
    ours = dict(predictor.parameters)
    node, head = predictor.model.node(Recur).name, cast("Dense | TiedDense", predictor.model.nodes[-1])
    named = {f"tables.{i}.weight": table for i, table in enumerate(_tables(predictor).values())}
    named |= {"head.weight": ours[head.matrix], "head.bias": ours[f"{head.name}.bias"]}
    if predictor.head.pooling == "attention":
        named |= {f"score.{part}": ours[f"pool.{part}"] for part in ("weight", "bias")}
        named["query.weight"] = ours["pool.query"]
    for name in network.state_dict():
        if name.startswith("stack."):
            named[name] = ours[f"{node}.{name.removeprefix('stack.')}"]
        elif name in ("h0", "c0"):
            places = predictor.model.node(Recur).places()
            named[name] = np.stack([ours[f"{node}.{name}_{place.suffix}"] for place in places])
    return {name: torch.from_numpy(np.array(value)) for name, value in named.items()}


def _batch(torch: Any, predictor: Predictor, network: Any, probe: Probe) -> Answering:
    feed = {name: torch.from_numpy(np.array(x)) for name, x in batch_feed(predictor, probe).items()}

    def answer() -> Array:
        with torch.inference_mode():
            found: Array = network(feed).numpy()
            return found

    return answer


def _walk(torch: Any, predictor: Predictor, network: Any, probe: Probe) -> Walking:
    held: list[Any] = [None]

    def advance(t: int) -> Array:
        feed = {name: torch.from_numpy(np.array(x)) for name, x in step_feed(predictor, probe, t).items()}
        with torch.inference_mode():
            answer, held[0] = network.step(feed, held[0])
            found: Array = answer.numpy()
            return found

    return advance
