"""What a task hands to the loop: parameters, a loss over chosen sequences, and scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

FloatArray: TypeAlias = npt.NDArray[np.float32]
IndexArray: TypeAlias = npt.NDArray[np.int64]
Carried: TypeAlias = Any
"""State carried between windows: None, a tensor, or tuples, lists and dictionaries (text keys) of these."""

ROLES = ("weight", "recurrent", "bias", "norm", "embedding", "state")
UNDECAYED = ("bias", "norm", "state")


class Problem(Protocol):
    """One thing to learn, as the loop sees it; a task makes it out of its data and specs.

    parameters: name -> initial values, float32; the loop works on copies.
    roles: name -> "weight", "recurrent", "bias", "norm", "embedding" or "state" (a learnt initial state);
        decides which parameters decay.
    layers: name -> the part that it belongs to ("embed", "recur.0", "head"); gradient norms are kept per
        part.
    lengths: (S,) steps of each training sequence as trained, after truncation.
    monitor, higher_is_better: the score that chooses the best weights where `Training.monitor` names
        none.
    notes: sentences for the person who trains, such as how many sequences were cut.
    fingerprint: of data, encoder and network, but not of `Training`, which the loop compares by itself on
        resume.
    """

    @property
    def parameters(self) -> Mapping[str, FloatArray]: ...
    @property
    def roles(self) -> Mapping[str, str]: ...
    @property
    def layers(self) -> Mapping[str, str]: ...
    @property
    def lengths(self) -> IndexArray: ...
    @property
    def monitor(self) -> str: ...
    @property
    def higher_is_better(self) -> bool: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def fingerprint(self) -> str: ...

    def windows(self, index: IndexArray) -> int:
        """In how many windows with carried state the sequences at `index` are trained; 1 for most."""
        ...

    def loss(
        self,
        parameters: Mapping[str, torch.Tensor],
        index: IndexArray,
        *,
        seed: int,
        window: int,
        state: Carried,
    ) -> tuple[torch.Tensor, torch.Tensor, Carried]:
        """Return the loss and the weight of each sequence at `index` in this window, and the state after it.

        Losses (S,) and weights (S,) are float32 on the parameters' device; the step minimises the
        weighted mean sum(weight * loss) / sum(weight) over all its sequences, so a loss is a mean over
        what it covers and its weight says how much that counts (`averaging_weights`). Dropout follows
        from `seed` alone. `state` is None in window 0, afterwards what the window before returned,
        detached by the loop.
        """
        ...

    def evaluate(self, parameters: Mapping[str, FloatArray], split: str) -> dict[str, float]:
        """Return the scores of split "train" or "validation" in evaluation mode, "loss" among them.

        {} if there is no such split. The arrays are the caller's own copies and never change afterwards.
        """
        ...

    def bytes_per_token(self) -> int:
        """Bytes that forward and backward keep per token of a batch, for the estimate of the peak memory."""
        ...


def averaging_weights(
    average: str, tokens: IndexArray, sample_weight: npt.ArrayLike | None = None
) -> FloatArray:
    """Return the weights that make the step's loss a mean over "sequences" or over "tokens".

    tokens: (S,) how many tokens each of the losses covers; with "tokens" a sequence of none counts nothing.
    sample_weight: (S,) further factors, such as class weights; None: all 1.
    """
    count = np.asarray(tokens, dtype=np.float32)
    base = count if average == "tokens" else np.ones_like(count)
    return base if sample_weight is None else base * np.asarray(sample_weight, dtype=np.float32)
