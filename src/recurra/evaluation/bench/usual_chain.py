"""The loss of a linear chain as tutorials and repositories write it: step by step over padded rows under a mask."""

from __future__ import annotations

import torch
from torch import Tensor


def chain_losses(
    emissions: Tensor, tags: Tensor, lengths: Tensor, transitions: Tensor, start: Tensor, end: Tensor
) -> Tensor:
    """(S,) minus the log-probability of the tags (S, T) by emissions (S, T, L); no row is empty."""
    rows = torch.arange(len(tags))
    mask = torch.arange(tags.shape[1])[None, :] < lengths[:, None]
    score = start[tags[:, 0]] + emissions[rows, 0, tags[:, 0]]
    total = start + emissions[:, 0]
    for t in range(1, tags.shape[1]):
        step = transitions[tags[:, t - 1], tags[:, t]] + emissions[rows, t, tags[:, t]]
        score = score + step * mask[:, t]
        more = torch.logsumexp(total[:, :, None] + transitions, dim=1) + emissions[:, t]
        total = torch.where(mask[:, t, None], more, total)
    last = tags[rows, lengths - 1]
    return torch.logsumexp(total + end, dim=1) - score - end[last]
