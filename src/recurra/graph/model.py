"""A model is a list of nodes; this is the list, and how it is built from specifications."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import SpecError
from recurra.graph.adaptive import AdaptiveDense
from recurra.graph.chain import Chain
from recurra.graph.embed import Embed, EmbedColumns
from recurra.graph.head import Dense, Dropout, JoinStatic, TiedDense
from recurra.graph.node import Node, Parameter
from recurra.graph.pool import Pool
from recurra.graph.recur import Recur
from recurra.graph.run import Flow, Parameters, Run
from recurra.graph.spell import Spell
from recurra.ragged import Array
from recurra.spec import Network

DEFAULT_EMBEDDING = 100


@dataclass(frozen=True, kw_only=True)
class InputShape:
    """What an encoder hands to the model.

    kind: "tokens", "spelt" (words that are read by their characters too), "features" or "events".
    width: number of numeric features per step.
    vocabularies: column -> number of ids ("tokens" for text).
    static: number of features per sequence.
    spelling: of spelt words, by what their nodes are built (see `graph.spell.Spell`), else None.
    """

    kind: str
    width: int = 0
    vocabularies: Mapping[str, int] = None  # type: ignore[assignment]
    static: int = 0
    spelling: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabularies", dict(self.vocabularies or {}))


class Model:
    """Nodes in order. Holds no parameters: they are handed to every call, as NumPy arrays or torch tensors."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = tuple(nodes)

    @property
    def width(self) -> int:
        """Numbers per answer."""
        return self.nodes[-1].width

    def parameters(self) -> dict[str, Parameter]:
        """Every trained array by its full name `<node>.<part>`."""
        return {
            f"{node.name}.{part}": made for node in self.nodes for part, made in node.parameters().items()
        }

    def initial(self, seed: int) -> dict[str, Array]:
        """Starting values; each array draws from its own stream, so adding one does not change the others."""
        values = {}
        for name, parameter in self.parameters().items():
            key = [seed, *name.encode()]
            generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
            values[name] = np.ascontiguousarray(parameter.init(generator, parameter.shape), dtype=np.float32)
        return values

    def forward(self, parameters: Parameters, flow: Flow, run: Run) -> Any:
        """Run all nodes; returns the values that leave the last one: (S, width), or (N, width) without a pool."""
        for node in self.nodes:
            flow = node.forward(parameters, flow, run)
        return flow.values

    def losses(
        self,
        parameters: Parameters,
        flow: Flow,
        run: Run,
        following: Any,
        loss: Callable[[Any, Any], Any],
        *,
        smoothing: float = 0.0,
    ) -> Any:
        """(N,) losses of what follows each step; loss: of what leaves the head, where that does not know better.

        smoothing: of the labels, where the head computes the losses.
        """
        head = self.nodes[-1]
        if not isinstance(head, AdaptiveDense):
            return loss(self.forward(parameters, flow, run), following)
        for node in self.nodes[:-1]:
            flow = node.forward(parameters, flow, run)
        ids = following if isinstance(following, np.ndarray) else following.cpu().numpy()
        return head.losses(parameters, flow.values, ids, smoothing)

    def node(self, kind: type[Node]) -> Any:
        """The first node of a kind; KeyError if there is none."""
        for node in self.nodes:
            if isinstance(node, kind):
                return node
        raise KeyError(kind.__name__)

    def layers(self) -> dict[str, str]:
        """Parameter name -> the part it is counted under ("embed", "recur.l0", "head", ...)."""
        return {name: _part_of(name) for name in self.parameters()}


def _part_of(name: str) -> str:
    node, _, rest = name.partition(".")
    if node == "chain":  # it learns with the head, whose scores it joins
        return "head"
    layer = rest.removesuffix("_reverse").rpartition("_")[2] if node == "recur" else ""
    return f"{node}.{layer}" if layer else node


def sequence_model(
    network: Network,
    inputs: InputShape,
    *,
    outputs: int,
    pooling: str | None,
    chain: Sequence[int] = (),
    cutoffs: Sequence[int] = (),
    conditions: int = 0,
    precision: str = "float32",
) -> Model:
    """Build embedding, recurrent stack, pooling and head.

    pooling: one of `POOLINGS`, or None for an answer per token.
    chain: sizes of the groups of outputs that each make a linear chain of tags (`graph.chain.Chain`).
    cutoffs: where the groups of rare outputs begin (`graph.adaptive.AdaptiveDense`); none for a plain head.
    conditions: numbers per sequence that the initial states are an affine map of (`graph.run.CONDITION`).
    precision: of the recurrent layers' kernels, for inference on NumPy arrays.
    """
    nodes = list(_input_nodes(network, inputs))
    width = nodes[-1].width if nodes else inputs.width
    nodes.append(Recur("recur", network=network, inputs=width, conditions=conditions, precision=precision))
    width = nodes[-1].width
    if pooling is not None:
        nodes.append(Pool("pool", how=pooling, inputs=width))
    locked = network.locked_dropout
    nodes.append(Dropout("output", inputs=width, rate=network.output_dropout, locked=locked))
    if inputs.static:
        if pooling is None:
            raise SpecError("static features need an answer per sequence; give a pooling")
        nodes.append(JoinStatic("static", inputs=width, features=inputs.static))
        width = nodes[-1].width
    nodes += _head(network, nodes, width, outputs, cutoffs)
    if chain:
        nodes.append(Chain("chain", sizes=chain))
    return Model(nodes)


def _head(
    network: Network, nodes: Sequence[Node], width: int, outputs: int, cutoffs: Sequence[int]
) -> list[Node]:
    if cutoffs and network.tied_embedding:
        raise SpecError(
            "tied_embedding needs one vector per token, and an adaptive softmax has smaller ones for rare tokens; "
            "leave one of them out"
        )
    if network.tied_embedding:
        return _tied_head(nodes, width, outputs)
    if cutoffs:
        return [AdaptiveDense("head", inputs=width, outputs=outputs, cutoffs=cutoffs)]
    return [Dense("head", inputs=width, outputs=outputs)]


def _tied_head(nodes: Sequence[Node], width: int, outputs: int) -> list[Node]:
    """A head that reads with the embedding table, behind a linear layer where the sizes differ."""
    embed = nodes[0]
    if not isinstance(embed, Embed) or embed.vocabulary != outputs:
        raise SpecError(
            "tied_embedding needs a model that predicts its own tokens: a language model; leave it out"
        )
    head = TiedDense("head", table=f"{embed.name}.table", inputs=embed.size, outputs=outputs)
    return [head] if embed.size == width else [Dense("project", inputs=width, outputs=embed.size), head]


def _input_nodes(network: Network, inputs: InputShape) -> list[Node]:
    size = network.embedding_size
    if not inputs.vocabularies:
        if size is not None:
            raise SpecError(f"embedding_size={size} has no effect on numeric input; leave it out")
        if network.embedding_dropout:
            raise SpecError("embedding_dropout has no effect on numeric input; use input_dropout")
        return []
    if inputs.kind == "spelt":
        assert inputs.spelling is not None
        return [
            Spell(
                "spell", vocabularies=inputs.vocabularies, size=size or DEFAULT_EMBEDDING, **inputs.spelling
            )
        ]
    if inputs.kind == "tokens":
        (vocabulary,) = inputs.vocabularies.values()
        size = size or DEFAULT_EMBEDDING
        return [Embed("embed", vocabulary=vocabulary, size=size, dropout=network.embedding_dropout)]
    if network.embedding_dropout:
        raise SpecError("embedding_dropout needs inputs that are tokens; use input_dropout for events")
    return [
        EmbedColumns(
            "embed",
            features=inputs.width,
            vocabularies=inputs.vocabularies,
            size=size or _column_size(inputs.vocabularies),
        )
    ]


def _column_size(vocabularies: Mapping[str, int]) -> int:
    """A modest size for categorical columns: 4 times the fourth root of the largest vocabulary, 4 to 64."""
    return int(np.clip(round(4 * max(vocabularies.values()) ** 0.25), 4, 64))
