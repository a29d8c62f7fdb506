"""The model computed anew by `torch.nn` from the stored weights: an engine that shares no code with ours."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from recurra.graph.adaptive import AdaptiveDense
from recurra.graph.embed import Embed, EmbedColumns
from recurra.graph.head import Dense, TiedDense
from recurra.graph.pool import Pool
from recurra.graph.recur import Recur
from recurra.graph.spell import WORDS, Spell
from recurra.ragged import Array, Ragged
from recurra.runtime.predictor import Predictor
from recurra.runtime.torch_adaptive import adaptive_in_torch


def torch_refused(predictor: Predictor) -> str | None:
    """Why `torch.nn` cannot compute this model; None where it can."""
    if find_spec("torch") is None:
        return "torch is not installed"
    net = predictor.network
    given = {"layer_norm": net.layer_norm, "zoneout": net.zoneout, "cell_clip": net.cell_clip}
    lacking = [name for name, value in given.items() if value]
    return f"torch.nn has no {' and no '.join(lacking)}" if lacking else None


def torch_outputs(predictor: Predictor, batch: Ragged, static: Array | None) -> Array:
    """(S, outputs) numbers before softmax or unscaling, every sequence alone, in float32 and without padding.

    Of a model with an answer per step (N, outputs).
    """
    import torch

    stack = _stack(predictor)
    with torch.no_grad():
        rows = [
            _answer(predictor, stack, batch.select([row]), None if static is None else static[row])
            for row in range(len(batch))
        ]
    if not rows:
        return np.zeros((0, predictor.head.outputs), np.float32)
    joined = torch.cat(rows) if predictor.head.pooling is None else torch.stack(rows)
    found: Array = joined.numpy()
    return found


def _tensor(predictor: Predictor, name: str) -> Any:
    import torch

    return torch.from_numpy(np.array(predictor.parameters[name]))


def _stack(predictor: Predictor) -> Any:
    return _stack_of(predictor, predictor.model.node(Recur))


def _stack_of(predictor: Predictor, node: Recur) -> Any:
    import torch

    net = node.network
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN, "rnn_relu": torch.nn.RNN}
    options = {"nonlinearity": "relu"} if net.cell == "rnn_relu" else {}
    stack = kind[net.cell](
        node.inputs, net.hidden_size, net.num_layers, bidirectional=net.bidirectional, **options
    )
    stack.load_state_dict({name: _tensor(predictor, f"{node.name}.{name}") for name in stack.state_dict()})
    return stack


def _answer(predictor: Predictor, stack: Any, one: Ragged, static: Array | None) -> Any:
    import torch

    recur: Recur = predictor.model.node(Recur)
    start = _start(predictor, recur)
    if int(one.offsets[-1]):
        y, final = stack(_entered(predictor, one), start)
    else:
        y, final = torch.zeros(0, recur.width), start
    hidden = final[0] if recur.has_cells else final
    if predictor.head.pooling is None:
        pooled = y
    else:
        pooled = _pooled(predictor, y, hidden[-recur.network.directions :].reshape(-1))
    if static is not None:
        pooled = torch.cat([pooled, torch.from_numpy(np.array(static))])
    for node in predictor.model.nodes:
        # A tied head may stand behind a linear layer of its own.
        if isinstance(node, (Dense, TiedDense)):
            weight, bias = _tensor(predictor, node.matrix), _tensor(predictor, f"{node.name}.bias")
            pooled = torch.nn.functional.linear(pooled, weight, bias)
        elif isinstance(node, AdaptiveDense):
            return adaptive_in_torch(node, partial(_part, predictor, node), pooled)
    return pooled


def _part(predictor: Predictor, node: AdaptiveDense, name: str) -> Any:
    return _tensor(predictor, f"{node.name}.{name}")


def _start(predictor: Predictor, node: Recur) -> Any:
    import torch

    net, places = node.network, list(node.places())
    if net.initial_state == "zero":
        zeros = torch.zeros(len(places), net.hidden_size)
        return (zeros, zeros) if node.has_cells else zeros
    names = ("h0", "c0") if node.has_cells else ("h0",)
    parts = [
        torch.stack([_tensor(predictor, f"{node.name}.{name}_{place.suffix}") for place in places])
        for name in names
    ]
    return tuple(parts) if node.has_cells else parts[0]


def _entered(predictor: Predictor, one: Ragged) -> Any:
    """What the stack reads of one sequence: (T, I)."""
    import torch

    first = predictor.model.nodes[0]
    if isinstance(first, Spell):
        return _spelt(predictor, first, one)
    values = torch.from_numpy(np.array(one.values))
    if isinstance(first, Embed):
        return torch.nn.functional.embedding(values, _tensor(predictor, f"{first.name}.table"))
    if not isinstance(first, EmbedColumns):
        return values
    parts = [values] if first.features else []
    for column in first.vocabularies:
        ids = torch.from_numpy(np.array(one.columns[column]))
        parts.append(torch.nn.functional.embedding(ids, _tensor(predictor, f"{first.name}.table.{column}")))
    return torch.cat(parts, dim=1)


def _spelt(predictor: Predictor, node: Spell, one: Ragged) -> Any:
    """Of each word what it is looked up as, its beginnings and endings, and what its characters give, read alone."""
    import torch
    from torch.nn.functional import embedding

    def looked_up(name: str, column: str) -> Any:
        return embedding(torch.from_numpy(np.array(one.columns[column])), _tensor(predictor, name))

    reader, spellings = _stack_of(predictor, node.reader), []
    for word in one.values:
        final = torch.zeros(2, node.reader.network.hidden_size)
        if len(word):
            letters = embedding(
                torch.from_numpy(np.array(word)), _tensor(predictor, f"{node.characters.name}.table")
            )
            final = reader(letters)[1][0]
        spellings.append(final.reshape(-1))
    affixes = [looked_up(f"{node.affixes.name}.table.{slot}", slot) for slot in node.affixes.vocabularies]
    words = looked_up(f"{node.words.name}.table", WORDS)
    return torch.cat([words, *affixes, torch.stack(spellings)], dim=1)


def _pooled(predictor: Predictor, y: Any, final: Any) -> Any:
    import torch

    pool: Pool = predictor.model.node(Pool)
    if pool.how == "last":
        return final
    if not len(y):
        return torch.zeros(pool.inputs)
    if pool.how == "mean":
        return y.mean(dim=0)
    if pool.how == "max":
        return y.amax(dim=0)
    weight, bias, query = (_tensor(predictor, f"{pool.name}.{part}") for part in ("weight", "bias", "query"))
    scores = torch.tanh(torch.nn.functional.linear(y, weight, bias)) @ query[0]
    return torch.softmax(scores, dim=0) @ y
