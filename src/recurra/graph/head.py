"""From pooled or per-token vectors to the numbers of the task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from recurra import kernels
from recurra.graph.node import Node, Parameter, glorot, zeros
from recurra.graph.run import STATIC, Flow, Parameters, Run


class JoinStatic(Node):
    """Set the static features of each sequence beside its pooled vector."""

    def __init__(self, name: str, *, inputs: int, features: int) -> None:
        super().__init__(name)
        self.inputs, self.features = inputs, features

    @property
    def width(self) -> int:
        return self.inputs + self.features

    def forward(self, parameters: Parameters, flow: Flow, run: Run) -> Flow:
        return replace(flow, values=kernels.concat_features([flow.values, flow.columns[STATIC]]))


class Dropout(Node):
    """Dropout before the head; nothing outside of training. `locked`: one mask per sequence for all its steps."""

    def __init__(self, name: str, *, inputs: int, rate: float, locked: bool = False) -> None:
        super().__init__(name)
        self.inputs, self.rate, self.locked = inputs, rate, locked

    @property
    def width(self) -> int:
        return self.inputs

    def forward(self, parameters: Parameters, flow: Flow, run: Run) -> Flow:
        return replace(flow, values=run.dropped(flow, self.rate, self.name, locked=self.locked))


class Dense(Node):
    """y = x Wᵀ + b: (…, inputs) -> (…, outputs). Starts Glorot-uniform with a zero bias."""

    def __init__(self, name: str, *, inputs: int, outputs: int) -> None:
        super().__init__(name)
        self.inputs, self.outputs = inputs, outputs

    @property
    def width(self) -> int:
        return self.outputs

    def parameters(self) -> Mapping[str, Parameter]:
        return {
            "weight": Parameter(shape=(self.outputs, self.inputs), role="weight", init=glorot),
            "bias": Parameter(shape=(self.outputs,), role="bias", init=zeros),
        }

    @property
    def matrix(self) -> str:
        """The full name of the parameter that holds W."""
        return f"{self.name}.weight"

    def forward(self, parameters: Parameters, flow: Flow, run: Run) -> Flow:
        weight, bias = self.take(parameters, "weight"), self.take(parameters, "bias")
        return replace(flow, values=kernels.dense(flow.values, weight, bias))

    def operations(self) -> int:
        return self.inputs * self.outputs


class TiedDense(Node):
    """y = x Eᵀ + b with the table of the embedding as E: (…, inputs) -> (…, outputs). The bias starts at zero."""

    def __init__(self, name: str, *, table: str, inputs: int, outputs: int) -> None:
        super().__init__(name)
        self.table, self.inputs, self.outputs = table, inputs, outputs

    @property
    def width(self) -> int:
        return self.outputs

    def parameters(self) -> Mapping[str, Parameter]:
        return {"bias": Parameter(shape=(self.outputs,), role="bias", init=zeros)}

    @property
    def matrix(self) -> str:
        """The full name of the parameter that holds E."""
        return self.table

    def forward(self, parameters: Parameters, flow: Flow, run: Run) -> Flow:
        bias = self.take(parameters, "bias")
        return replace(flow, values=kernels.dense(flow.values, parameters[self.table], bias))

    def operations(self) -> int:
        return self.inputs * self.outputs
