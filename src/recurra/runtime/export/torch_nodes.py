"""One step of every node in plain operators of torch: a program of these needs nothing of Recurra."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from recurra.errors import SpecError
from recurra.graph.adaptive import AdaptiveDense
from recurra.graph.chain import Chain
from recurra.graph.embed import Embed, EmbedColumns
from recurra.graph.head import Dense, Dropout, JoinStatic, TiedDense
from recurra.graph.model import Model
from recurra.graph.node import Node
from recurra.graph.onnx_nodes import WORD_LENGTHS
from recurra.graph.pool import Pool
from recurra.graph.recur import Place, Recur
from recurra.graph.run import STATIC, Parameters
from recurra.graph.spell import WORDS, Spell
from recurra.kernels import reference
from recurra.kernels.namespace import namespace
from recurra.runtime.torch_adaptive import adaptive_in_torch

COUNT = "count"
"""Name of the state that counts the steps so far."""


@dataclass(kw_only=True)
class Step:
    """What flows between the nodes for one token of each row.

    values: (B, F), or (B,) ids. columns: further inputs. held, carried: states by name before and after the step.
    first: (B, 1) whether this token is the first of its row; counts: (B, 1) tokens with this one.
    """

    values: Any
    columns: Mapping[str, Any]
    held: Mapping[str, Any]
    first: Any
    counts: Any
    final: Any = None
    carried: dict[str, Any] = field(default_factory=dict)


Form = Callable[[Any, Parameters, Step], None]


def run_step(model: Model, parameters: Parameters, step: Step) -> Any:
    """Take all nodes through one step and return what leaves the last one, (B, outputs)."""
    for node in model.nodes:
        if type(node) not in FORMS:
            raise SpecError(
                f"{type(node).__name__} has no step in plain torch; this model cannot be exported"
            )
        FORMS[type(node)](node, parameters, step)
    return step.values


def state_sizes(model: Model) -> dict[str, tuple[int, ...]]:
    """Name -> size per row of every state of a step; () for the counter, which is a whole number."""
    recur, pool = model.node(Recur), next((node for node in model.nodes if isinstance(node, Pool)), None)
    units = recur.network.hidden_size
    sizes: dict[str, tuple[int, ...]] = {COUNT: ()}
    for place in recur.places():
        sizes |= {f"{kind}_{place.suffix}": (units,) for kind in _kinds(recur)}
    if pool is None:
        return sizes
    if pool.how != "last":
        sizes["pool"] = (pool.inputs,)
    if pool.how == "attention":
        sizes |= {"pool_peak": (1,), "pool_total": (1,)}
    return sizes


def _kinds(node: Recur) -> tuple[str, ...]:
    return ("h", "c") if node.has_cells else ("h",)


def _embed(node: Embed, parameters: Parameters, step: Step) -> None:
    step.values = _looked_up(node, parameters, step.values)


def _looked_up(node: Embed, parameters: Parameters, ids: Any) -> Any:
    """The vectors of ids of any shape."""
    return node.take(parameters, "table")[ids]


def _embed_columns(node: EmbedColumns, parameters: Parameters, step: Step) -> None:
    parts = [step.values] if node.features else []
    for column in node.vocabularies:
        parts.append(node.take(parameters, f"table.{column}")[step.columns[column]])
    step.values = namespace(parts[0]).cat(parts, axis=1)


def _spell(node: Spell, parameters: Parameters, step: Step) -> None:
    """The characters of every row's word, walked by torch's own scan, beside what is looked up."""
    import torch

    lengths, characters = step.columns[WORD_LENGTHS], step.values
    # A character more than there are, which no word has: a scan needs one.
    characters = torch.cat([characters, torch.zeros_like(lengths)[:, None]], 1)
    place = torch.arange(characters.shape[1])
    backwards = (lengths[:, None] - 1 - place[None, :]).clamp(min=0)
    orders = (characters, characters.gather(1, backwards))
    read = [
        _read_word(node, parameters, way, _looked_up(node.characters, parameters, ids), lengths)
        for way, ids in zip(node.reader.places(), orders, strict=True)
    ]
    parts = [_looked_up(node.words, parameters, step.columns[WORDS])]
    for column in node.affixes.vocabularies:
        parts.append(node.affixes.take(parameters, f"table.{column}")[step.columns[column]])
    step.values = torch.cat([*parts, *read], 1)


def _read_word(node: Spell, parameters: Parameters, way: Place, letters: Any, lengths: Any) -> Any:
    """(B, units) what one direction holds after the last letter of each word; letters: (B, L, size)."""
    import torch
    from torch._higher_order_ops.scan import scan

    reader = node.reader
    weights, clip, xp = reader.weights(parameters, way), reader.network.cell_clip, namespace(letters)

    def letter(held: tuple[Any, Any], given: tuple[Any, Any]) -> tuple[tuple[Any, Any], Any]:
        (x, place), (hidden, cell) = given, held
        after = reference.step(xp, weights, reference.input_part(xp, weights, x), hidden, cell, None, clip)
        within = (place < lengths)[:, None]
        kept = xp.where(within, after.h, hidden), xp.where(within, after.c, cell)
        return kept, place.clone()

    begin = tuple(letters.new_zeros(letters.shape[0], reader.network.hidden_size) for _ in range(2))
    places = torch.arange(letters.shape[1])
    (hidden, _), _ = scan(letter, begin, (letters.transpose(0, 1), places))
    return hidden


def _dropout(node: Dropout, parameters: Parameters, step: Step) -> None:
    """Nothing outside of training."""


def _chain(node: Chain, parameters: Parameters, step: Step) -> None:
    """Nothing: the decoding of tags stands outside of the program."""


def _join_static(node: JoinStatic, parameters: Parameters, step: Step) -> None:
    step.values = namespace(step.values).cat([step.values, step.columns[STATIC]], axis=1)


def _dense(node: Dense, parameters: Parameters, step: Step) -> None:
    step.values = _affine(node, parameters, step.values)


def _affine(node: Node, parameters: Parameters, x: Any) -> Any:
    return x @ node.take(parameters, "weight").t() + node.take(parameters, "bias")


def _tied(node: TiedDense, parameters: Parameters, step: Step) -> None:
    step.values = step.values @ parameters[node.table].t() + node.take(parameters, "bias")


def _adaptive(node: AdaptiveDense, parameters: Parameters, step: Step) -> None:
    step.values = adaptive_in_torch(node, lambda part: node.take(parameters, part), step.values)


def _recur(node: Recur, parameters: Parameters, step: Step) -> None:
    for place in node.places():
        after = _cell(node, parameters, place, step)
        for kind, state in zip(_kinds(node), after, strict=False):
            step.carried[f"{kind}_{place.suffix}"] = state
        step.values = after[0]
    step.final = step.values


def _cell(node: Recur, parameters: Parameters, place: Place, step: Step) -> tuple[Any, Any]:
    net, xp = node.network, namespace(step.values)
    weights = node.weights(parameters, place)
    held = [_begun(node, parameters, place, kind, step) for kind in _kinds(node)]
    hidden, cell = held[0], (held[1] if node.has_cells else None)
    entering = reference.input_part(xp, weights, step.values)
    stepped = reference.step(xp, weights, entering, hidden, cell, None, net.cell_clip)
    return reference.zoned(weights, stepped, hidden, cell, net.zoneout, None)


def _begun(node: Recur, parameters: Parameters, place: Place, kind: str, step: Step) -> Any:
    """The state that comes in; at the first step what a sequence begins with."""
    held = step.held[f"{kind}_{place.suffix}"]
    if node.network.initial_state == "zero":
        return held
    return namespace(held).where(step.first, node.take(parameters, f"{kind}0_{place.suffix}"), held)


def _pool(node: Pool, parameters: Parameters, step: Step) -> None:
    """What was gathered so far and this token: the sum, the largest, or an online softmax."""
    y = step.values
    if node.how == "last":
        step.values = step.final
        return
    xp, held = namespace(y), step.held["pool"]
    if node.how == "attention":
        step.values = _attend(xp, node, parameters, step)
        return
    joined = held + y if node.how == "mean" else xp.where(y > held, y, held)
    step.carried["pool"] = xp.where(step.first, y, joined)
    mean = step.carried["pool"] / step.counts.to(y.dtype)
    step.values = mean if node.how == "mean" else step.carried["pool"]


def _attend(xp: Any, node: Pool, parameters: Parameters, step: Step) -> Any:
    y, peak = step.values, step.held["pool_peak"]
    score = xp.tanh(_affine(node, parameters, y)) @ node.take(parameters, "query").t()
    higher = xp.where(step.first | (score > peak), score, peak)
    fade = xp.where(step.first, xp.zeros_like(peak), xp.exp(peak - higher))
    share = xp.exp(score - higher)
    total = step.held["pool_total"] * fade + share
    summed = step.held["pool"] * fade + share * y
    step.carried |= {"pool": summed, "pool_peak": higher, "pool_total": total}
    return summed / total


FORMS: dict[type[Node], Form] = {
    Embed: _embed,
    EmbedColumns: _embed_columns,
    Spell: _spell,
    Dropout: _dropout,
    Chain: _chain,
    JoinStatic: _join_static,
    Dense: _dense,
    TiedDense: _tied,
    AdaptiveDense: _adaptive,
    Recur: _recur,
    Pool: _pool,
}
