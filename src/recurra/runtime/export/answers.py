"""What graphs and programs end in, per task: the answer, how it is made of the last numbers, how far off it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from recurra.errors import SpecError
from recurra.graph.onnx_build import Build, Shape
from recurra.ragged import Array
from recurra.runtime.continuation import Continuation
from recurra.runtime.frame_model import FrameModelPredictor
from recurra.runtime.predictor import ClassifierPredictor, Predictor, RegressorPredictor
from recurra.runtime.tagger import TaggerPredictor
from recurra.runtime.verify import distance

Activation = Callable[[Any], Any]


class Answer(ABC):
    """The end of a graph. name: of the answer; None where the model's last numbers are all that leaves the graph.

    before: name of these numbers. dtype: of the answer. per_step: whether there is one for every step.
    """

    name: str | None
    before: str = "logits"
    dtype: Any = np.float32

    def __init__(self, predictor: Any) -> None:
        self.predictor = predictor
        self.per_step = predictor.head.pooling is None

    def sizes(self) -> Shape:
        """Numbers of an answer: `[n]`, or none for a single one."""
        return [self.predictor.head.outputs]

    @abstractmethod
    def on_graph(self, g: Build, outputs: str) -> str:
        """Write the answer into an ONNX graph, of what leaves the model."""

    @abstractmethod
    def in_torch(self, outputs: Any, sigmoid: Activation, softmax: Activation) -> Any:
        """The answer in torch, of what leaves the model."""

    @abstractmethod
    def off(self, found: Mapping[str, Array], outputs: Array) -> float:
        """How far a graph's answer is from the model's: in probability, or in standard deviations of the targets.

        found, outputs: of sequences, or of steps end to end.
        """

    @abstractmethod
    def meaning(self) -> dict[str, Any]:
        """What the columns of the answer are, for the record."""


class Shares(Answer):
    """A probability for each class, or for each yes."""

    name: str | None = "probabilities"

    def __init__(self, predictor: ClassifierPredictor | Continuation | FrameModelPredictor) -> None:
        super().__init__(predictor)
        self.apart = isinstance(predictor, FrameModelPredictor) or predictor.multilabel

    def on_graph(self, g: Build, outputs: str) -> str:
        return g.op("Sigmoid", outputs) if self.apart else g.op("Softmax", outputs, axis=-1)

    def in_torch(self, outputs: Any, sigmoid: Activation, softmax: Activation) -> Any:
        return sigmoid(outputs) if self.apart else softmax(outputs)

    def off(self, found: Mapping[str, Array], outputs: Array) -> float:
        return distance(found["probabilities"], self.predictor.probabilities(outputs))

    def meaning(self) -> dict[str, Any]:
        predictor = self.predictor
        if isinstance(predictor, FrameModelPredictor):
            return {"classes": None, "multilabel": True, "threshold": None}
        return {
            "classes": predictor.classes,
            "multilabel": predictor.multilabel,
            "threshold": predictor.threshold,
        }


class Numbers(Answer):
    """A number or a vector, in the units of the training targets: in float64, as the predictor does."""

    name, before, dtype = "values", "standardised", np.float64

    def __init__(self, predictor: RegressorPredictor | TaggerPredictor) -> None:
        super().__init__(predictor)
        self.target = getattr(predictor.target, "numbers", predictor.target)

    def sizes(self) -> Shape:
        return [self.target.width] if self.target.vector else []

    def on_graph(self, g: Build, outputs: str) -> str:
        scale = g.weight("target.scale", np.asarray(self.target.scale, np.float64))
        mean = g.weight("target.mean", np.asarray(self.target.mean, np.float64))
        made = g.op("Cast", outputs, to=g.onnx.TensorProto.DOUBLE)
        return g.op("Add", g.op("Mul", made, scale), mean)

    def in_torch(self, outputs: Any, sigmoid: Activation, softmax: Activation) -> Any:
        import torch

        parts = (self.target.scale, self.target.mean)
        scale, mean = (torch.tensor(np.asarray(part, np.float64)) for part in parts)
        made = outputs.to(torch.float64) * scale + mean
        return made if self.target.vector else made[:, 0]

    def off(self, found: Mapping[str, Array], outputs: Array) -> float:
        centred = found["values"].reshape(outputs.shape) - np.asarray(self.target.mean)
        return distance(centred / np.asarray(self.target.scale), outputs)

    def meaning(self) -> dict[str, Any]:
        return {"target": self.predictor.target.to_record()}


class Tags(Answer):
    """A probability for each tag of each column, every step by itself."""

    name: str | None = "probabilities"

    def on_graph(self, g: Build, outputs: str) -> str:
        sizes = self.predictor.target.sizes
        if len(sizes) == 1:
            return g.op("Softmax", outputs, axis=-1)
        parts = g.ops("Split", outputs, g.ints(*sizes), outputs=len(sizes), axis=-1)
        return g.op("Concat", *[g.op("Softmax", part, axis=-1) for part in parts], axis=-1)

    def in_torch(self, outputs: Any, sigmoid: Activation, softmax: Activation) -> Any:
        import torch

        return torch.cat([softmax(part.clone()) for part in outputs.split(self.predictor.target.sizes, 1)], 1)

    def off(self, found: Mapping[str, Array], outputs: Array) -> float:
        return distance(found["probabilities"], self.predictor.shares_by_step(outputs))

    def meaning(self) -> dict[str, Any]:
        return {"columns": [list(tags) for tags in self.predictor.target.classes]}


class Emissions(Tags):
    """The scores of each tag: tags that depend on their neighbours are decoded outside of the graph."""

    name = None

    def __init__(self, predictor: TaggerPredictor) -> None:
        super().__init__(predictor)
        self.before = "emissions" if predictor.head.chain else "logits"

    def on_graph(self, g: Build, outputs: str) -> str:
        return outputs

    def in_torch(self, outputs: Any, sigmoid: Activation, softmax: Activation) -> Any:
        return outputs

    def off(self, found: Mapping[str, Array], outputs: Array) -> float:
        """In the probability of each tag of a step by itself."""
        scores, of = np.ascontiguousarray(found[self.before], np.float32), self.predictor.shares_by_step
        return distance(of(scores), of(outputs)) if scores.shape == outputs.shape else float("inf")


def answer_of(predictor: Predictor) -> Answer:
    """What the graphs of a model end in; raises SpecError for a task that has none."""
    if isinstance(predictor, (ClassifierPredictor, Continuation, FrameModelPredictor)):
        return Shares(predictor)
    if isinstance(predictor, RegressorPredictor):
        return Numbers(predictor)
    if isinstance(predictor, TaggerPredictor):
        if predictor.numeric:
            return Numbers(predictor)
        return Emissions(predictor) if predictor.tags_depend_on_neighbours else Tags(predictor)
    raise SpecError(f"a {predictor.task} has no exported form")


def decoded_outside(predictor: Predictor) -> bool:
    """Whether the answer is not complete when it leaves a graph: its tags have to be decoded."""
    return isinstance(answer_of(predictor), Emissions)
