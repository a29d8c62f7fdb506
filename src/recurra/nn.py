"""Drop-in replacements of `torch.nn.LSTM`, `GRU` and `RNN` for people who keep their own training loop.

    rnn = recurra.nn.LSTM(100, 128, num_layers=2, batch_first=True)      # as torch.nn.LSTM
    output, (h, c) = rnn(x)                                              # padded tensor or PackedSequence

They are subclasses with the same arguments, parameters, initial values and state dict; only the computation
is ours, on CPU tensors of float32 (fast) and float64 (for checks). Tensors elsewhere go to torch.
`from_torch` converts a module, or every recurrent module inside one, together with its trained weights.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from recurra import kernels
from recurra.errors import SpecError
from recurra.kernels import engines

State = Tensor | tuple[Tensor, Tensor]


def _weights(module: torch.nn.RNNBase, cell: str, layer: int, reverse: bool) -> kernels.RecurWeights:
    suffix = f"l{layer}_reverse" if reverse else f"l{layer}"
    w_ih, w_hh = getattr(module, f"weight_ih_{suffix}"), getattr(module, f"weight_hh_{suffix}")
    if module.bias:
        b_ih, b_hh = getattr(module, f"bias_ih_{suffix}"), getattr(module, f"bias_hh_{suffix}")
    else:
        b_ih = b_hh = w_ih.new_zeros(w_ih.shape[0])
    return kernels.RecurWeights(cell=cell, w_ih=w_ih, w_hh=w_hh, b_ih=b_ih, b_hh=b_hh)


def _run(module: torch.nn.RNNBase, cell: str, x: Tensor, offsets: Tensor, h0: Tensor | None,
         c0: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    """All layers and directions over a ragged batch; answers y (N, D*H), h and c (layers*D, S, H)."""
    last_h: list[Any] = []
    last_c: list[Any] = []
    directions = 2 if module.bidirectional else 1
    for layer in range(module.num_layers):
        if layer and module.dropout and module.training:
            x = torch.nn.functional.dropout(x, module.dropout, training=True)
        sides = []
        for side in range(directions):
            place = layer * directions + side
            done = kernels.recur(
                _weights(module, cell, layer, side == 1),
                x,
                offsets,
                h0=None if h0 is None else h0[place],
                c0=None if c0 is None else c0[place],
                reverse=side == 1,
            )
            sides.append(done.y)
            last_h.append(done.h)
            last_c.append(done.c)
        x = kernels.concat_features(sides)
    return x, torch.stack(last_h), (torch.stack(last_c) if cell == "lstm" else None)


def _forward(module: torch.nn.RNNBase, cell: str, inputs: Tensor | PackedSequence, hx: State | None) -> Any:
    _check_inputs(module, inputs)
    h0, c0 = hx if isinstance(hx, tuple) else (hx, None)
    if cell == "lstm" and hx is not None and c0 is None:
        raise SpecError("hx of an LSTM must be a pair (h_0, c_0), got one tensor")
    output: Tensor | PackedSequence
    if isinstance(inputs, PackedSequence):
        output, h, c = _packed(module, cell, inputs, h0, c0)
    elif inputs.dim() == 2:
        output, h, c = _single(module, cell, inputs, h0, c0)
    else:
        output, h, c = _padded(module, cell, inputs, h0, c0, module.batch_first)
    return output, (h if cell != "lstm" else (h, c))


def _padded(module: torch.nn.RNNBase, cell: str, x: Tensor, h0: Tensor | None, c0: Tensor | None,
            batch_first: bool) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    rows = x if batch_first else x.transpose(0, 1)
    count, steps = rows.shape[0], rows.shape[1]
    _check_states(module, count, h0, c0)
    offsets = torch.arange(count + 1, dtype=torch.int64) * steps
    y, h, c = _run(module, cell, rows.reshape(count * steps, rows.shape[2]), offsets, h0, c0)
    output = y.reshape(count, steps, y.shape[1])
    return (output if batch_first else output.transpose(0, 1).contiguous()), h, c


def _single(module: torch.nn.RNNBase, cell: str, x: Tensor, h0: Tensor | None,
            c0: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    h0, c0 = (None if s is None else s.unsqueeze(1) for s in (h0, c0))
    output, h, c = _padded(module, cell, x[None], h0, c0, True)
    return output[0], h[:, 0], (None if c is None else c[:, 0])


def _packed(module: torch.nn.RNNBase, cell: str, packed: PackedSequence, h0: Tensor | None,
            c0: Tensor | None) -> tuple[PackedSequence, Tensor, Tensor | None]:  # fmt: skip
    offsets, places, order = _unpacking(packed.batch_sizes)
    _check_states(module, offsets.shape[0] - 1, h0, c0)
    rows = packed.sorted_indices
    x = kernels.gather_rows(packed.data, order)
    y, h, c = _run(module, cell, x, offsets, _ordered(h0, rows), _ordered(c0, rows))
    data = kernels.gather_rows(y, places)
    back = packed.unsorted_indices
    output = PackedSequence(data, packed.batch_sizes, rows, back)
    return output, h if back is None else h.index_select(1, back), _ordered(c, back)


def _unpacking(sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Offsets of the rows, the token that each packed element is, and the packed element that each token
    is."""
    rows = int(sizes[0])
    lengths = (sizes[:, None] > torch.arange(rows)).sum(dim=0)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    steps = torch.arange(len(sizes)).repeat_interleave(sizes)
    row = torch.arange(len(steps)) - torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes)
    places = offsets[row] + steps
    order = torch.empty_like(places)
    order[places] = torch.arange(len(places))
    return offsets, places, order


def _ordered(state: Tensor | None, order: Tensor | None) -> Tensor | None:
    return state if state is None or order is None else state.index_select(1, order)


def _check_inputs(module: torch.nn.RNNBase, inputs: Tensor | PackedSequence) -> None:
    data = inputs.data if isinstance(inputs, PackedSequence) else inputs
    if not isinstance(inputs, PackedSequence) and inputs.dim() not in (2, 3):
        raise SpecError(
            f"input must have 2 axes (one sequence) or 3 (a batch), got shape {tuple(inputs.shape)}"
        )
    if data.shape[-1] != module.input_size:
        raise SpecError(
            f"input must have {module.input_size} features on its last axis, got {data.shape[-1]}"
        )


def _check_states(module: torch.nn.RNNBase, rows: int, h0: Tensor | None, c0: Tensor | None) -> None:
    shape = (module.num_layers * (2 if module.bidirectional else 1), rows, module.hidden_size)
    for name, state in (("h_0", h0), ("c_0", c0)):
        if state is not None and tuple(state.shape) != shape:
            raise SpecError(f"{name} must have shape {shape}, got {tuple(state.shape)}")


def _elsewhere(inputs: Tensor | PackedSequence) -> bool:
    data = inputs.data if isinstance(inputs, PackedSequence) else inputs
    return bool(data.device.type not in ("cpu", "meta") or data.dtype not in (torch.float32, torch.float64))


class LSTM(torch.nn.LSTM):
    """Long short-term memory, `torch.nn.LSTM`'s equations and gate order i, f, g, o; see `recurra.nn`.

    Arguments, shapes and defaults are those of `torch.nn.LSTM`; projections (`proj_size`) raise SpecError.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.proj_size:
            raise SpecError(f"proj_size must be 0, got {self.proj_size}; use torch.nn.LSTM for projections")

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Output and (h, c), as `torch.nn.LSTM`."""
        return super().forward(input, hx) if _elsewhere(input) else _forward(self, "lstm", input, hx)


class GRU(torch.nn.GRU):
    """Gated recurrent unit, `torch.nn.GRU`'s equations and gate order r, z, n; see `recurra.nn`."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Output and h, as `torch.nn.GRU`."""
        return super().forward(input, hx) if _elsewhere(input) else _forward(self, "gru", input, hx)


class RNN(torch.nn.RNN):
    """Elman network with tanh or relu, as `torch.nn.RNN`; see `recurra.nn`."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Output and h, as `torch.nn.RNN`."""
        if _elsewhere(input):
            return super().forward(input, hx)
        return _forward(self, "rnn" if self.nonlinearity == "tanh" else "rnn_relu", input, hx)


_OURS: dict[type, type] = {torch.nn.LSTM: LSTM, torch.nn.GRU: GRU, torch.nn.RNN: RNN}


def from_torch(module: torch.nn.Module) -> torch.nn.Module:
    """A copy of a module in which every torch.nn.LSTM, GRU and RNN is ours, with the same weights and flags.

    Raises SpecError where there is none, or one that uses projections.
    """
    changed = copy.deepcopy(module)
    found = [part for part in changed.modules() if type(part) in _OURS]
    if not found:
        raise SpecError(f"module must be or hold a torch.nn.LSTM, GRU or RNN, got {type(module).__name__}")
    for part in found:
        if getattr(part, "proj_size", 0):
            raise SpecError(f"an LSTM with proj_size={part.proj_size} cannot be converted; it must be 0")
        part.__class__ = _OURS[type(part)]
    return changed


def register_operators() -> None:
    """Make `torch.ops.recurra` known, which a program needs before `torch.export.load` of what used them.

    Anything computed by these modules does it by itself. Raises ImportError where the native engine is absent.
    """
    if engines.native() is None:
        raise ImportError(f"recurra's native kernels are not available: {kernels.engine()['reason']}")
    from recurra.kernels import torch_native

    del torch_native
