"""The parts of the networks without recurrence: what they read, three bodies, and how wide a body must be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

WIDTHS = (3, 4, 5)
"""Words that a filter of the text convolution sees."""
KERNELS = (8, 5, 3)
"""Steps that a filter of the signal convolution sees, layer by layer."""


class Inputs(nn.Module):
    """Tokens and categories as embeddings, numbers as they are, side by side: (S, L, size)."""

    def __init__(self, *, width: int, vocabularies: Mapping[str, int], embedding_size: int) -> None:
        super().__init__()
        self.tokens = "tokens" in vocabularies and not width
        self.names = list(vocabularies)
        tables = [nn.Embedding(count, embedding_size) for count in vocabularies.values()]
        for table in tables:
            # torch draws from N(0, 1), which drowns what two small layers can say at first.
            nn.init.normal_(table.weight, std=0.1)
        self.tables = nn.ModuleList(tables)
        self.size = width + embedding_size * len(self.names)

    def forward(self, values: torch.Tensor, columns: dict[str, torch.Tensor]) -> torch.Tensor:
        """Embed and join."""
        if self.tokens:
            made: torch.Tensor = self.tables[0](values)
            return made
        parts = [self.tables[at](columns[name]) for at, name in enumerate(self.names)]
        return torch.cat([values.float(), *parts], dim=2)


class PerceptronBody(nn.Module):
    """Mean and maximum over the steps, two hidden layers."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.size = width
        self.layers = nn.Sequential(
            nn.Linear(2 * size, width), nn.ReLU(), nn.Dropout(0.3), nn.Linear(width, width), nn.ReLU()
        )

    def forward(self, steps: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(S, width)."""
        made: torch.Tensor = self.layers(
            torch.cat([masked_mean(steps, mask), masked_max(steps, mask)], dim=1)
        )
        return made


class ConvolutionBody(nn.Module):
    """tokens: filters over 3, 4 and 5 neighbours side by side, the maximum over the steps. Otherwise three layers
    of filters over 8, 5 and 3 steps with batch normalisation over real steps, the mean over the steps."""

    def __init__(self, size: int, width: int, *, tokens: bool) -> None:
        super().__init__()
        self.wide = tokens
        kernels = WIDTHS if tokens else KERNELS
        self.size = width * len(WIDTHS) if tokens else width
        sizes = [size] * 3 if tokens else [size, width, width]
        self.filters = nn.ModuleList(
            nn.Conv1d(inner, width, kernel) for inner, kernel in zip(sizes, kernels, strict=True)
        )
        self.norms = nn.ModuleList([] if tokens else [nn.BatchNorm1d(width) for _ in kernels])

    def forward(self, steps: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(S, size). Padding is zero before every filter, so that it is as if nothing stood there."""
        real = mask[:, None, :]
        rows = steps.transpose(1, 2) * real
        if self.wide:
            made = [torch.relu(_around(rows, filters)).transpose(1, 2) for filters in self.filters]
            return torch.cat([masked_max(part, mask) for part in made], dim=1)
        for filters, norm in zip(self.filters, self.norms, strict=True):
            rows = torch.relu(_normalised(_around(rows, filters), mask, norm)) * real
        return masked_mean(rows.transpose(1, 2), mask)


def _around(rows: torch.Tensor, filters: nn.Module) -> torch.Tensor:
    """As many steps out as in: zeros on both sides, one more on the right for an even kernel."""
    wide = int(filters.kernel_size[0])  # type: ignore[index]
    made: torch.Tensor = filters(nn.functional.pad(rows, ((wide - 1) // 2, wide // 2)))
    return made


def _normalised(rows: torch.Tensor, mask: torch.Tensor, norm: nn.Module) -> torch.Tensor:
    flat = rows.transpose(1, 2)
    real = flat[mask]
    made = torch.zeros_like(flat)
    if norm.training and len(real) < 2:
        return rows
    made[mask] = norm(real)
    return made.transpose(1, 2)


class TransformerBody(nn.Module):
    """Sinusoidal positions, two pre-norm layers of four heads, twice the width in between, mean over the steps."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.size = width
        self.enter = nn.Linear(size, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.1, batch_first=True, norm_first=True)
            for _ in range(2)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, steps: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(S, width). A sequence without steps attends to one blank step, and its mean is 0."""
        hidden = self.enter(steps)
        hidden = hidden + positions(hidden.shape[1], self.size)[None]
        seen = mask.clone()
        seen[:, 0] = True
        for layer in self.layers:
            hidden = layer(hidden, src_key_padding_mask=~seen)
        return masked_mean(self.norm(hidden), mask)


def positions(steps: int, width: int) -> torch.Tensor:
    """(steps, width) sines and cosines of falling frequency (Vaswani et al. 2017)."""
    place = torch.arange(steps, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
    made = torch.zeros(steps, width)
    made[:, 0::2] = torch.sin(place * rate)
    made[:, 1::2] = torch.cos(place * rate[: width // 2])
    return made


def masked_mean(steps: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over real steps, 0 where there is none."""
    total = (steps * mask[:, :, None]).sum(dim=1)
    return total / mask.sum(dim=1, keepdim=True).clamp(min=1)


def masked_max(steps: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Maximum over real steps, 0 where there is none."""
    most = steps.masked_fill(~mask[:, :, None], -math.inf).amax(dim=1)
    return torch.where(mask.any(dim=1, keepdim=True), most, torch.zeros_like(most))


def closest_width(build: Callable[[int], nn.Module], parameters: int, step: int) -> int:
    """The width, a multiple of `step`, at which a network has the number of parameters nearest to `parameters`.

    Networks grow with their width, so it is found by halving; between 1 and 4096 steps.
    """

    def count(times: int) -> int:
        # On the meta device nothing is allocated and nothing drawn: only shapes are counted.
        with torch.device("meta"):
            return sum(p.numel() for p in build(times * step).parameters())

    low, high = 1, 4096
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if count(middle) < parameters else (low, middle)
    best = min((max(1, low - 1), low), key=lambda times: abs(count(times) - parameters))
    return best * step
