"""The operators on torch tensors under torch's own autograd: where the native engine is absent, and off the
CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recurra.kernels import checks, reference, reference_chain, reference_operators, steps
from recurra.kernels.namespace import Composing, namespace
from recurra.kernels.reference import Options, Walk, walk
from recurra.kernels.weights import Recurred, RecurWeights


def _index(index: Tensor | np.ndarray, like: Tensor) -> Tensor:
    return torch.as_tensor(index, device=like.device)


def recur(weights: RecurWeights, x: Tensor | None, offsets: Tensor, h0: Tensor | None, c0: Tensor | None,
          options: Options, preprojected: Tensor | None) -> Recurred:  # fmt: skip
    """Run one layer: by cuDNN where it has this cell, else by the reference."""
    given = x if preprojected is None else preprojected
    places = checks.offsets(offsets, given.shape[0])  # type: ignore[union-attr]
    if given is x and given is not None and _in_cudnn(weights, given, options):
        return _cudnn(weights, given, walk(places, options.reverse), h0, c0)
    return _stepped(namespace(given), weights, x, places, h0, c0, options, preprojected)


def composed(weights: RecurWeights, x: Tensor | None, offsets: Tensor, h0: Tensor | None, c0: Tensor | None,
             options: Options, preprojected: Tensor | None, face: Any) -> Recurred:  # fmt: skip
    """Run one layer step by step on the operators of a face."""
    given = x if preprojected is None else preprojected
    places = checks.offsets(offsets, given.shape[0])  # type: ignore[union-attr]
    xp = Composing(namespace(given), face)
    return _stepped(xp, weights, x, places, h0, c0, options, preprojected)


def _stepped(xp: Any, weights: RecurWeights, x: Tensor | None, places: np.ndarray, h0: Tensor | None,
             c0: Tensor | None, options: Options, preprojected: Tensor | None) -> Recurred:  # fmt: skip
    pre = preprojected if preprojected is not None else reference.input_part(xp, weights, x)
    watched = _watched(weights, options) if steps.WATCHERS else None
    return reference.recur(weights, pre, places, h0, c0, options, watched, xp)


def _watched(weights: RecurWeights, options: Options) -> Callable[[list[Tensor], Walk], None]:
    """Hooks on the states of every step that report their gradients when the first step's has come."""

    def watch(states: list[Tensor], way: Walk) -> None:
        found = [torch.zeros_like(state) for state in states]

        def keep(place: int, gradient: Tensor) -> None:
            found[place] = gradient
            if place == 0:
                whole = torch.cat(found).index_select(0, _index(way.places, gradient))
                steps.report(weights.w_hh, options.reverse, whole)

        for place, state in enumerate(states):
            if state.requires_grad:
                state.register_hook(partial(keep, place))  # type: ignore[no-untyped-call]

    return watch


def _in_cudnn(weights: RecurWeights, x: Tensor, options: Options) -> bool:
    plain = options.recurrent_mask is None and options.zoneout_mask is None and not options.zoneout
    return (
        bool(x.is_cuda and plain and not steps.WATCHERS)
        and weights.norm is None
        and weights.precision == "float32"
        and options.cell_clip is None
        and not options.gates
    )


def _cudnn(weights: RecurWeights, x: Tensor, way: Walk, h0: Tensor | None, c0: Tensor | None) -> Recurred:
    """One layer by torch's own operator over the tokens in walking order; rows of length 0 stay as they
    are."""
    rows, units = len(way.order), weights.hidden_size
    zeros = x.new_zeros(rows, units)
    order, back = _index(way.order, x), _index(np.argsort(way.order, kind="stable"), x)
    states = [zeros if s is None else s.index_select(0, order) for s in (h0, c0)]
    if not way.counts:
        h, c = (s.index_select(0, back) for s in states)
        return Recurred(y=x.new_zeros(0, units), h=h, c=c if weights.cell == "lstm" else None)
    begun = [s[None, : way.counts[0]].contiguous() for s in states]
    flat = [weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh]
    name = {"rnn": "rnn_tanh"}.get(weights.cell, weights.cell)
    hx: Any = begun if weights.cell == "lstm" else begun[0]
    run = getattr(torch._VF, name)
    data, counts = x.index_select(0, _index(way.tokens, x)), torch.as_tensor(way.counts)
    y, *last = run(data, counts, hx, flat, True, 1, 0.0, torch.is_grad_enabled(), False)
    ends = [
        torch.cat([new[0], old[way.counts[0] :]]).index_select(0, back)
        for new, old in zip(last, states, strict=False)
    ]
    y = y.index_select(0, _index(way.places, x))
    return Recurred(y=y, h=ends[0], c=ends[1] if weights.cell == "lstm" else None)


def fold_embedding(weights: RecurWeights, table: Tensor) -> Tensor:
    """Input part of every word."""
    made: Tensor = reference.input_part(namespace(table), weights, table)
    return made


def dense(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    """b + x W^T."""
    return functional.linear(x, w, b)


def gather_rows(x: Tensor, index: Tensor) -> Tensor:
    """Rows of x."""
    return x.index_select(0, _index(checks.indices("index", index, x.shape[0]), x))


def pool(kind: str, x: Tensor, offsets: Tensor, scores: Tensor | None,
         initial: Tensor | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
    """mean, max or attention over the tokens of every row, and the state since, without its history."""
    held = None if initial is None else initial.detach()
    y, carried = reference_operators.pool(kind, x, checks.offsets(offsets, x.shape[0]), scores, held)
    return y, carried.detach()


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Layer norm."""
    return functional.layer_norm(x, (x.shape[1],), gain, bias, eps)


def activation(name: str, x: Tensor) -> Tensor:
    """sigmoid, tanh, relu, exp or softplus."""
    if name == "softplus":
        made: Tensor = reference_operators.softplus(x)
        return made
    result: Tensor = getattr(torch, name)(x)
    return result


def soft(kind: str, x: Tensor) -> Tensor:
    """softmax, log_softmax or logsumexp along the last axis."""
    result: Tensor = getattr(torch, kind)(x, dim=-1)
    return result


def cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor | None, smoothing: float) -> Tensor:
    """Cross entropy per row."""
    classes = checks.indices("targets", targets, logits.shape[1], logits.shape[0])
    return functional.cross_entropy(
        logits, _index(classes, logits), weight=weight, reduction="none", label_smoothing=smoothing
    )


def crf_loss(emissions: Tensor, offsets: Tensor, tags: Tensor, *chain: Tensor) -> Tensor:
    """-log p(tags) of every row."""
    places = checks.offsets(offsets, emissions.shape[0])
    known = checks.indices("tags + 1", checks.as_numpy("tags", tags) + 1, emissions.shape[1] + 1) - 1
    losses: Tensor = reference_chain.crf_loss(emissions, places, known, *chain)
    return losses


def crf_marginals(emissions: Tensor, offsets: Tensor, *chain: Tensor) -> Tensor:
    """The probability of each tag at each token; without gradient."""
    places = checks.offsets(offsets, emissions.shape[0])
    made = reference_chain.crf_marginals(*(_numpy(emissions), places, *map(_numpy, chain)))
    return torch.from_numpy(made).to(emissions.device)


def viterbi(emissions: Tensor, offsets: Tensor, *chain: Tensor) -> tuple[Tensor, Tensor]:
    """The best path of every row and its score; without gradient."""
    places = checks.offsets(offsets, emissions.shape[0])
    found = reference_chain.viterbi(*(_numpy(emissions), places, *map(_numpy, chain)))
    path, score = (torch.from_numpy(part).to(emissions.device) for part in found)
    return path, score


def _numpy(x: Tensor) -> np.ndarray:
    made: np.ndarray = x.detach().cpu().numpy()
    return made


def binary_cross_entropy(logits: Tensor, targets: Tensor, pos_weight: Tensor | None) -> Tensor:
    """Binary cross entropy per element."""
    return functional.binary_cross_entropy_with_logits(
        logits, targets, pos_weight=pos_weight, reduction="none"
    )


def error_loss(kind: str, predictions: Tensor, targets: Tensor, delta: float) -> Tensor:
    """Squared, absolute or Huber loss per element."""
    if kind == "squared":
        return functional.mse_loss(predictions, targets, reduction="none")
    if kind == "absolute":
        return functional.l1_loss(predictions, targets, reduction="none")
    return functional.huber_loss(predictions, targets, reduction="none", delta=delta)


def block_sum(x: Tensor) -> Tensor:
    """Sum over the first axis in blocks."""
    made: Tensor = reference_operators.block_sum(x)
    return made


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean."""
    made: Tensor = reference_operators.weighted_mean(values, weights)
    return made


def dropout(x: Tensor, rate: float, seed: int) -> Tensor:
    """Dropout."""
    kept = _kept(x.numel(), rate, seed, x.device).reshape(x.shape)
    return torch.where(kept, x * (1.0 / (1.0 - rate)), 0.0)


def _kept(count: int, rate: float, seed: int, device: torch.device) -> Tensor:
    """`reference_operators.dropout_kept` on a device: 32-bit arithmetic in the low half of 64-bit integers."""
    low = 0xFFFFFFFF
    place = torch.arange(count, device=device)
    parts = []
    for high in range((count >> 32) + 1):
        first, second = reference_operators.keys(seed, high)
        h = ((place[high << 32 : (high + 1) << 32] & low) * 0x9E3779B1 + first) & low
        h = ((h ^ (h >> 16)) * 0x7FEB352D) & low
        h = (((h ^ (h >> 15)) ^ second) * 0x846CA68B) & low
        parts.append((h ^ (h >> 16)) >> 8)
    return torch.cat(parts) >= reference_operators.threshold(rate)


def concat_features(parts: list[Tensor]) -> Tensor:
    """Side by side."""
    return torch.cat(parts, dim=1)


def binary(kind: str, a: Tensor, b: Tensor) -> Tensor:
    """add or mul; b of the shape of a or of its rows."""
    return a + b if kind == "add" else a * b


def scale(x: Tensor, factor: float) -> Tensor:
    """x times a number."""
    return x * factor


def norms(arrays: list[Tensor]) -> np.ndarray:
    """Euclidean norm of each tensor."""
    return np.array([float(torch.linalg.vector_norm(a.detach())) for a in arrays], np.float64)
