"""A bidirectional LSTM classifier as it is usually written in PyTorch, with the weights of ours.

Three ways: `packed` (pack_padded_sequence around nn.LSTM), `padded` (nn.LSTM per direction, the reverse one over
rows turned round, so that the answer is right) and `padded-first` (nn.LSTM(bidirectional=True) on padded rows: the
reverse direction reads the padding first, so the answer is another one; shown because it is so common).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

WAYS = ("packed", "padded", "padded-first")


class UsualWay(nn.Module):
    """Embedding, a stack of bidirectional LSTM layers, the maximum over time, a linear layer."""

    def __init__(
        self, parameters: Mapping[str, np.ndarray], *, layers: int, dropout: float, way: str
    ) -> None:
        super().__init__()
        self.way, self.dropout = way, nn.Dropout(dropout)
        vocabulary, size = parameters["embed.table"].shape
        units = parameters["recur.weight_hh_l0"].shape[1]
        self.embedding = nn.Embedding(vocabulary, size)
        if way == "padded":
            sizes = [size] + [2 * units] * (layers - 1)
            self.lstm = nn.ModuleList(nn.ModuleList([nn.LSTM(n, units), nn.LSTM(n, units)]) for n in sizes)
        else:
            self.lstm = nn.LSTM(size, units, layers, bidirectional=True, dropout=dropout)
        self.head = nn.Linear(2 * units, parameters["head.weight"].shape[0])
        self._take(parameters)

    def _take(self, parameters: Mapping[str, np.ndarray]) -> None:
        targets = {
            "embed.table": self.embedding.weight,
            "head.weight": self.head.weight,
            "head.bias": self.head.bias,
        }
        for name in (name for name in parameters if name.startswith("recur.")):
            part = name.removeprefix("recur.")
            if self.way == "padded":
                kind, _, place = part.rpartition("_l")
                level, _, back = place.partition("_")
                targets[name] = getattr(self.lstm[int(level)][1 if back else 0], f"{kind}_l0")
            else:
                targets[name] = getattr(self.lstm, part)
        with torch.no_grad():
            for name, target in targets.items():
                target.copy_(torch.from_numpy(parameters[name]))

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """ids (T, S) padded with 0, lengths (S,): (S, C)."""
        x = self.embedding(ids)
        if self.way == "packed":
            packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
            y, _ = pad_packed_sequence(self.lstm(packed)[0])
        elif self.way == "padded":
            y = self._both(x, lengths)
        else:
            y = self.lstm(x)[0]
        beyond = torch.arange(len(ids))[:, None] >= lengths[None, :]
        return self.head(y.masked_fill(beyond[:, :, None], float("-inf")).amax(0))

    def _both(self, x: Tensor, lengths: Tensor) -> Tensor:
        time = torch.arange(len(x))[:, None]
        turned = torch.where(time < lengths, lengths - 1 - time, time)[:, :, None]
        for place, (onward, backward) in enumerate(self.lstm):
            if place:
                x = self.dropout(x)
            back = backward(x.gather(0, turned.expand(-1, -1, x.shape[2])))[0]
            x = torch.cat([onward(x)[0], back.gather(0, turned.expand(-1, -1, back.shape[2]))], dim=2)
        return x


class UsualLoop:
    """The usual loop: collate, forward, backward, clip, Adam."""

    def __init__(
        self, net: UsualWay, sequences: list[np.ndarray], targets: np.ndarray, *, rate: float, clip: float
    ):
        self.net, self.clip = net, clip
        self.sequences = [torch.from_numpy(np.array(ids)) for ids in sequences]
        self.targets = torch.from_numpy(targets)
        self.optimizer = torch.optim.Adam(net.parameters(), lr=rate)

    def step(self, index: np.ndarray) -> float:
        """One batch; its loss before the step."""
        chosen = [self.sequences[i] for i in index]
        lengths = torch.tensor([len(ids) for ids in chosen])
        loss = nn.functional.cross_entropy(self.net(pad_sequence(chosen), lengths), self.targets[index])
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), self.clip)
        self.optimizer.step()
        return loss.item()


def usual_loop(problem: Any, training: Any, *, layers: int, dropout: float, way: str) -> UsualLoop:
    """The loop over the sequences, targets and starting weights of one of our problems."""
    net = UsualWay(problem.parameters, layers=layers, dropout=dropout, way=way)
    batch = problem.train.batch
    sequences = [batch.values[a:b] for a, b in zip(batch.offsets[:-1], batch.offsets[1:], strict=True)]
    clip = training.gradient_clip
    return UsualLoop(net, sequences, problem.train.targets, rate=training.learning_rate, clip=clip)
