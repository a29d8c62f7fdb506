"""Networks without recurrence at a like number of parameters: a perceptron, a convolution, a small Transformer.

They read what the recurrent networks read (the same encoder, fitted on the training split) and are trained as
they are: the same epochs, batch size, truncation and patience, Adam at 0.001, gradients clipped at norm 5, the
weights of the best validation loss. torch runs on one thread, so that their answers do not depend on the machine's
number of cores.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from recurra.data.encoder import Encoder, truncated
from recurra.evaluation.baselines.contract import Baseline, Setting, Sizes
from recurra.evaluation.baselines.layers import (
    ConvolutionBody,
    Inputs,
    PerceptronBody,
    TransformerBody,
    closest_width,
)
from recurra.graph.model import DEFAULT_EMBEDDING
from recurra.ragged import Array, Ragged
from recurra.runtime.static_scaler import StaticScaler
from recurra.tasks.materials import Materials
from recurra.training.device import one_torch_thread

Body = PerceptronBody | ConvolutionBody | TransformerBody

LONGEST = 2000
"""Steps that are read of a sequence at most, in prediction as well; a Transformer's memory grows with its square."""
ANSWER_TOKENS = 20_000
"""Padded steps that are answered at once."""


TORCH_RATE = 3e10
"""Multiply-adds per second of training in small batches on one thread, about; measured between 6e9 and 1.2e11, as
patience ends many trainings early."""


class _Neural(Baseline):
    """A body that turns padded sequences into one vector each, and a linear head."""

    neural = True

    def prepare(self) -> None:
        """One step of each kind of layer: torch makes its plans when a layer first runs in a process."""
        with one_torch_thread(), torch.random.fork_rng(devices=[]):
            layer = nn.Conv1d(4, 4, 3)
            attention = nn.TransformerEncoderLayer(4, 4, 4, batch_first=True, norm_first=True)
            loss = attention(layer(torch.zeros(1, 4, 8)).transpose(1, 2)).sum()
            loss.backward()
            torch.optim.Adam([*layer.parameters(), *attention.parameters()]).step()

    def fit(self, train: Materials, targets: Array, held: Materials, held_targets: Array) -> None:
        setting, training = self.setting, self.setting.training
        self.encoder: Encoder = setting.inputs.fit(train.inputs, train.features or None)
        self.static = None if train.static is None else StaticScaler.fit(train.static, train.static_names)
        self._scale(targets)
        limit = min(training.sequence_length or LONGEST, LONGEST)
        batch = truncated(self._encoded(train), limit, getattr(setting.inputs, "truncate", "end"))
        with one_torch_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(setting.seed)
            static = self._static(train)
            self.module = self._built(0 if static is None else static.shape[1])
            data = _Data(batch, self._coded(targets), static)
            check = _Data(self._encoded(held), self._coded(held_targets), self._static(held))
            self._learn(data, check, np.random.default_rng(setting.seed))

    def answer(self, held: Materials) -> Array:
        data = _Data(self._encoded(held), None, self._static(held))
        with one_torch_thread(), torch.no_grad():
            self.module.eval()
            outputs = torch.zeros(len(held), self.setting.outputs)
            for rows in data.by_length(ANSWER_TOKENS):
                outputs[rows] = self.module(*data.taken(rows))
        return self._answers(outputs.double().numpy())

    def parameters(self) -> int:
        return sum(p.numel() for p in self.module.parameters())

    @classmethod
    def seconds(cls, setting: Setting, sizes: Sizes) -> float:
        steps = sizes.mean * (3 * setting.training.passes * sizes.train + sizes.others)
        return steps * cls._per_step(setting, sizes) / TORCH_RATE

    @classmethod
    def _per_step(cls, setting: Setting, sizes: Sizes) -> float:
        """Multiply-adds per step: at a like number of parameters about those of the recurrent network."""
        return float(setting.operations)

    def _built(self, static: int) -> nn.Module:
        def build(width: int) -> nn.Module:
            inputs = Inputs(
                width=self.encoder.width,
                vocabularies=self.encoder.vocabularies,
                embedding_size=self.setting.network.embedding_size or DEFAULT_EMBEDDING,
            )
            body = self._body(inputs.size, width)
            return _Network(inputs, body, body.size + static, self.setting.outputs)

        return build(closest_width(build, self.setting.parameters, self._step))

    _step = 1

    @abstractmethod
    def _body(self, size: int, width: int) -> Body: ...

    def _encoded(self, given: Materials) -> Ragged:
        made = self.encoder.encode(given.inputs, given.features or None)
        return truncated(made, LONGEST, getattr(self.setting.inputs, "truncate", "end"))

    def _static(self, given: Materials) -> Array | None:
        if self.static is None or given.static is None:
            return None
        return np.asarray(self.static.transform(given.static, len(given)), dtype=np.float32)

    def _scale(self, targets: Array) -> None:
        if self.setting.task == "regressor":
            numbers = np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)
            spread = numbers.std(axis=0)
            self.centre, self.spread = numbers.mean(axis=0), np.where(spread > 0, spread, 1.0)
            self.flat = np.asarray(targets).ndim == 1

    def _coded(self, targets: Array) -> torch.Tensor:
        if self.setting.task == "regressor":
            numbers = np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)
            return torch.from_numpy(((numbers - self.centre) / self.spread).astype(np.float32))
        if self.setting.multilabel:
            return torch.from_numpy(np.asarray(targets, dtype=np.float32))
        return torch.from_numpy(np.asarray(targets, dtype=np.int64))

    def _loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if self.setting.task == "regressor":
            return nn.functional.mse_loss(outputs, targets)
        if self.setting.multilabel:
            return nn.functional.binary_cross_entropy_with_logits(outputs, targets)
        return nn.functional.cross_entropy(outputs, targets)

    def _answers(self, outputs: Array) -> Array:
        if self.setting.task == "regressor":
            numbers = outputs * self.spread + self.centre
            return np.asarray(numbers[:, 0] if self.flat else numbers)
        if self.setting.multilabel:
            return np.asarray(1.0 / (1.0 + np.exp(-np.clip(outputs, -500, 500))))
        shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))

    def _learn(self, data: _Data, check: _Data, generator: np.random.Generator) -> None:
        training = self.setting.training
        optimizer = torch.optim.Adam(self.module.parameters(), lr=0.001)
        best, kept, waited = float("inf"), copy.deepcopy(self.module.state_dict()), 0
        for _ in range(training.passes):
            self.module.train()
            for rows in data.shuffled(training.batch_size, generator):
                optimizer.zero_grad()
                self._loss(self.module(*data.taken(rows)), data.targets[rows]).backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(self.module.parameters(), 5.0)
                optimizer.step()
            loss = self._checked(check)
            waited = 0 if loss < best else waited + 1
            if loss < best:
                best, kept = loss, copy.deepcopy(self.module.state_dict())
            elif training.patience is not None and waited >= training.patience:
                break
        self.module.load_state_dict(kept)

    def _checked(self, check: _Data) -> float:
        self.module.eval()
        total = 0.0
        with torch.no_grad():
            for rows in check.by_length(ANSWER_TOKENS):
                total += float(self._loss(self.module(*check.taken(rows)), check.targets[rows])) * len(rows)
        return total / max(len(check.batch), 1)


class Perceptron(_Neural):
    """A multilayer perceptron on the mean and the maximum over the steps: it knows no order at all.

    For texts that of the embeddings (a deep averaging network, Iyyer et al. 2015).
    """

    name = "mlp"

    @classmethod
    def _per_step(cls, setting: Setting, sizes: Sizes) -> float:
        return float(setting.network.embedding_size or DEFAULT_EMBEDDING) + setting.operations / max(
            sizes.mean, 1.0
        )

    def _body(self, size: int, width: int) -> Body:
        return PerceptronBody(size, width)


class Convolution(_Neural):
    """A convolution over neighbours: for tokens Kim's TextCNN (2014), for signals an FCN (Wang et al. 2017)."""

    name = "cnn"

    def _body(self, size: int, width: int) -> Body:
        tokens = self.encoder.kind == "tokens"
        return ConvolutionBody(size, width, tokens=tokens)


class Transformer(_Neural):
    """Two pre-norm encoder layers with four heads (Vaswani et al. 2017; Xiong et al. 2020), mean over the steps."""

    name = "transformer"
    _step = 4

    @classmethod
    def _per_step(cls, setting: Setting, sizes: Sizes) -> float:
        width = max(8.0, (setting.operations / 16) ** 0.5)
        return float(setting.operations + 4 * sizes.longest * width)

    def _body(self, size: int, width: int) -> Body:
        return TransformerBody(size, width)


class _Network(nn.Module):
    """Inputs, body, dropout, head; static features join the pooled vector. size: of what the head reads."""

    def __init__(self, inputs: Inputs, body: nn.Module, size: int, outputs: int) -> None:
        super().__init__()
        self.inputs, self.body = inputs, body
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(size, outputs)

    def forward(
        self,
        values: torch.Tensor,
        columns: dict[str, torch.Tensor],
        mask: torch.Tensor,
        static: torch.Tensor | None,
    ) -> torch.Tensor:
        """(S, outputs) of padded sequences; mask: (S, L) true at real steps."""
        pooled = self.body(self.inputs(values, columns), mask)
        joined = pooled if static is None else torch.cat([pooled, static], dim=1)
        made: torch.Tensor = self.head(self.dropout(joined))
        return made


class _Data:
    """Encoded sequences that are padded batch by batch."""

    def __init__(self, batch: Ragged, targets: torch.Tensor | None, static: Array | None) -> None:
        self.batch = batch
        self.targets: torch.Tensor = torch.zeros(0) if targets is None else targets
        self.static = None if static is None else torch.from_numpy(np.asarray(static, dtype=np.float32))

    def taken(self, rows: Array) -> tuple[Any, dict[str, torch.Tensor], torch.Tensor, torch.Tensor | None]:
        part = self.batch.select(rows)
        lengths = part.lengths
        mask = np.arange(max(1, int(lengths.max(initial=0))))[None, :] < lengths[:, None]

        def padded(flat: Array) -> torch.Tensor:
            made = np.zeros((*mask.shape, *flat.shape[1:]), dtype=flat.dtype)
            made[mask] = flat
            return torch.from_numpy(made)

        columns = {name: padded(np.asarray(column)) for name, column in part.columns.items()}
        static = None if self.static is None else self.static[torch.from_numpy(np.asarray(rows))]
        return padded(np.asarray(part.values)), columns, torch.from_numpy(mask), static

    def shuffled(self, size: int, generator: np.random.Generator) -> Iterator[Array]:
        """Batches of like length in random order."""
        order = generator.permutation(len(self.batch))
        pool = size * 20
        batches = []
        for begin in range(0, len(order), pool):
            part = order[begin : begin + pool]
            part = part[np.argsort(self.batch.lengths[part], kind="stable")]
            batches += [part[at : at + size] for at in range(0, len(part), size)]
        for place in generator.permutation(len(batches)):
            yield batches[place]

    def by_length(self, tokens: int) -> Iterator[Array]:
        """Batches of at most so many padded steps, the shortest sequences first."""
        order = np.argsort(self.batch.lengths, kind="stable")
        begin = 0
        while begin < len(order):
            end = begin + 1
            while end < len(order) and self.batch.lengths[order[end]] * (end + 1 - begin) <= tokens:
                end += 1
            yield order[begin:end]
            begin = end
