"""`torch.nn` modules with the weights of a problem, and the pieces that several torch engines share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.kernels import RecurWeights
from recurra.runtime.bench.answer import Answer
from recurra.runtime.bench.case import Case
from recurra.runtime.bench.engines.engine import LeftOutError, needed
from recurra.runtime.bench.problem import Problem

PARTS = {"w_ih": "weight_ih", "w_hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh"}


def torch_for(case: Case) -> Any:
    """torch, with the case's number of threads."""
    torch = needed("torch", "pip install 'recurra[train]'")
    torch.set_num_threads(case.threads)
    return torch


def parameter_names(problem: Problem) -> dict[str, str]:
    """Our name of every weight, by torch's."""
    return {
        f"{theirs}_l{level}{'_reverse' if place else ''}": f"{level}.{place}.{ours}"
        for level, layer in enumerate(problem.layers)
        for place in range(len(layer))
        for ours, theirs in PARTS.items()
    }


def module(torch: Any, layers: list[list[RecurWeights]]) -> Any:
    """A torch.nn recurrence with these weights."""
    first = layers[0][0]
    kinds = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    extra = {"nonlinearity": "relu"} if first.cell == "rnn_relu" else {}
    made = kinds.get(first.cell, torch.nn.RNN)(
        first.input_size, first.hidden_size, len(layers), bidirectional=len(layers[0]) == 2, **extra
    )
    with torch.no_grad():
        for level, layer in enumerate(layers):
            for place, weights in enumerate(layer):
                for ours, theirs in PARTS.items():
                    name = f"{theirs}_l{level}{'_reverse' if place else ''}"
                    getattr(made, name).copy_(torch.from_numpy(getattr(weights, ours)))
    return made


def in_precision(torch: Any, made: Any, case: Case) -> Any:
    """The module in the case's precision, by torch's own means."""
    if case.dtype == "bfloat16":
        return made.to(torch.bfloat16)
    if case.dtype == "int8":
        if case.cell not in ("lstm", "gru"):
            raise LeftOutError(f"torch's dynamic int8 has no {case.cell}")
        return _quantized(torch, made)
    return made


def _quantized(torch: Any, made: Any) -> Any:
    import warnings

    try:
        from torch.ao import quantization
    except ImportError:
        raise LeftOutError("this torch has no torch.ao.quantization any more") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated since 2.10, and still what torch has for recurrences
        tool: Any = quantization
        # It replaces what a module holds, never the module itself.
        return tool.quantize_dynamic(torch.nn.Sequential(made), {type(made)}, dtype=torch.qint8)[0]


def values(torch: Any, array: np.ndarray, case: Case) -> Any:
    """A tensor in the dtype of the activations."""
    tensor = torch.from_numpy(array)
    return tensor.to(torch.bfloat16) if case.dtype == "bfloat16" else tensor


def plain(tensor: Any) -> np.ndarray:
    """float32 NumPy values of a tensor."""
    array: np.ndarray = tensor.detach().float().numpy()
    return array


def states(problem: Problem, last: Any) -> dict[str, np.ndarray]:
    """h and c out of what a torch.nn module calls its last state."""
    case = problem.case
    parts = dict(zip(("h", "c"), last, strict=True)) if case.cell == "lstm" else {"h": last}
    shape = (case.num_layers, case.directions, -1, case.hidden_size)
    return {name: plain(part).reshape(shape) for name, part in parts.items()}


def gradients(names: list[str], found: Any, problem: Problem, y: Any,
              tokens: Callable[[Any], np.ndarray]) -> Answer:  # fmt: skip
    """The answer of a training step; the last gradient is that of the inputs."""
    named = {name: plain(g) for name, g in zip(names, found[:-1], strict=True)}
    return {"y": tokens(y), "dx": tokens(found[-1]), **named}
