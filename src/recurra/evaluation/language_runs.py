"""One run of a comparison of language models: a network or n-grams, trained once, on some text, on given tokens."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from recurra.data.corpus import Corpus, divided
from recurra.data.encoder import Encoder
from recurra.data.token_file import boundary_of
from recurra.evaluation.baselines.ngrams import LANGUAGE_BASELINES
from recurra.evaluation.judging import Judge
from recurra.evaluation.runs import PARTS, Job, Run
from recurra.metrics import language_model_scores
from recurra.ragged import Array, Ragged
from recurra.tasks.language_model import LanguageModel

BLOCKS = 200
"""Blocks of test text, at most, that are the units of the paired test: neighbouring tokens depend on each other."""
LEAST_BLOCK = 50
"""Tokens of a block at least."""
TIMED = 25
"""Answers that are timed."""


def _ratio(means: Array) -> Array:
    found: Array = means[..., 0] / np.maximum(means[..., 1], 1e-300)
    return found


NATS = Judge(
    score="nats_per_token",
    rises=False,
    unit="nats per token",
    factor=1.0,
    ingredients=lambda log_probabilities, _: blocks(log_probabilities),
    combine=_ratio,
)


def blocks(log_probabilities: Array) -> Array:
    """(B, 2) nats and tokens of consecutive blocks of test text."""
    count = int(np.clip(len(log_probabilities) // LEAST_BLOCK, 1, BLOCKS))
    ends = np.linspace(0, len(log_probabilities), count + 1).astype(np.int64)
    sums = np.add.reduceat(-np.asarray(log_probabilities, dtype=np.float64), ends[:-1])
    return np.stack([sums, np.diff(ends)], axis=1)


@dataclass(frozen=True)
class Text:
    """One part of the text: its documents, and their ids in the tokens that all rows share.

    ends: whether the end of each document is foretold, and so among the ids.
    """

    corpus: Corpus
    encoder: Encoder
    ends: bool

    @cached_property
    def documents(self) -> list[str]:
        """Each in one piece."""
        return list(self.corpus.whole())

    @cached_property
    def ids(self) -> Ragged:
        """What is foretold of each document."""
        ids = self.encoder.encode(self.documents)
        if not self.ends:
            return ids
        values = np.insert(np.asarray(ids.values), ids.offsets[1:], boundary_of(self.encoder))
        return Ragged(values=values, offsets=ids.offsets + np.arange(len(ids.offsets)))

    def __len__(self) -> int:
        return len(self.ids.values)

    def first(self, share: float) -> Text:
        """A share of a file's text, from its beginning; of several texts the same ones first for every share."""
        if share >= 1.0:
            return self
        return replace(self, corpus=divided(self.corpus, 1.0 - share)[0])

    def fingerprint(self) -> str:
        """A hash of the content."""
        digest = hashlib.sha256(bytes([self.ends]))
        for text in self.documents:
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()

    def scores(self, log_probabilities: Array) -> dict[str, float]:
        """Of what was foretold of it."""
        return language_model_scores(log_probabilities, characters=sum(map(len, self.documents)))


def execute_language(job: Job, parts: Mapping[str, Text], *, alone: bool, progress: Any = None) -> Run:
    """Train one row once on its share of the training text, and score it on validation and test."""
    parts = {**parts, "train": parts["train"].first(job.share)}
    run = _network(job, parts, progress) if job.kind == "recurrent" else _ngrams(job, parts)
    return replace(run, alone=alone)


def _network(job: Job, parts: Mapping[str, Text], progress: Any) -> Run:
    asked = job.estimator
    model = type(asked)(**asked.get_params(deep=False)).set_params(training__seed=job.seed)
    train = parts["train"]
    begin = time.perf_counter()
    model.fit(
        train.corpus, validation_data=parts["validation"].corpus, encoder=train.encoder, progress=progress
    )
    seconds = time.perf_counter() - begin
    predictor, summary = model.predictor_, model.summary()
    found = {part: predictor.log_probabilities(parts[part].documents).values for part in PARTS[1:]}
    return Run(
        row=job.row,
        kind="recurrent",
        fold=job.fold,
        seed=job.seed,
        share=job.share,
        seconds=seconds,
        latency=_latency(lambda text: predictor.log_probabilities([text]), parts["test"]),
        alone=False,
        parameters=summary.parameters,
        parts=summary.parts,
        megabytes=summary.megabytes,
        scores=_scores(found, parts, _last_training_loss(model)),
        validation=found["validation"],
        test=found["test"],
        ingredients=blocks(found["test"]),
        epochs=tuple(model.history_.epochs),
        notes=tuple(model.notes_),
        model=model,
    )


def _ngrams(job: Job, parts: Mapping[str, Text]) -> Run:
    made, encoder = LANGUAGE_BASELINES[job.row](), parts["train"].encoder
    train, held, test = (parts[name].ids for name in PARTS)
    begin = time.perf_counter()
    made.fit(train, held, boundary_of(encoder) + 1, encoder.spec.name)
    seconds = time.perf_counter() - begin
    found = {part: made.log_probabilities(parts[part].ids) for part in PARTS[1:]}
    size = made.parameters()
    short = test.select(np.array([0])).span(0, min(100, int(test.lengths[0])))
    return Run(
        row=job.row,
        kind="baseline",
        fold=job.fold,
        seed=job.seed,
        share=job.share,
        seconds=seconds,
        latency=_latency(lambda _: made.log_probabilities(short), parts["test"]),
        alone=False,
        parameters=size,
        parts={f"{job.row}, order {made.model.order}": size},
        megabytes=size * 8 / 2**20,
        scores=_scores(found, parts, float("nan")),
        validation=found["validation"],
        test=found["test"],
        ingredients=blocks(found["test"]),
    )


def _scores(
    found: Mapping[str, Array], parts: Mapping[str, Text], training: float
) -> dict[str, dict[str, float]]:
    return {
        "train": {NATS.score: training},
        **{part: parts[part].scores(values) for part, values in found.items()},
    }


def _last_training_loss(model: LanguageModel) -> float:
    """The mean loss of the last epoch, with dropout."""
    epochs = model.history_.epochs
    return float(epochs[-1].get("train_loss") or "nan") if epochs else float("nan")


def _latency(answer: Callable[[str], Any], test: Text) -> float:
    """Median seconds in which a text of a hundred characters is scored alone."""
    text, taken = test.documents[0][:100], []
    for _ in range(TIMED):
        begin = time.perf_counter()
        answer(text)
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken))
