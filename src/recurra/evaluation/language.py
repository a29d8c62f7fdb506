"""Language models beside n-grams on one corpus: the same tokens, a paired test over blocks of text, a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.corpus import Corpus, divided
from recurra.errors import InputError, nearest
from recurra.evaluation.baselines.ngrams import LANGUAGE_BASELINES
from recurra.evaluation.compare import Comparison
from recurra.evaluation.entries import Entry, entry
from recurra.evaluation.judging import Judge
from recurra.evaluation.runs import Run
from recurra.evaluation.verdict import adjusted, difference, verdict
from recurra.metrics import language_model_scores
from recurra.ragged import Array, Ragged
from recurra.tasks.language_model import LanguageModel

PARTS = ("train", "validation", "test")
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


@dataclass(frozen=True, kw_only=True)
class _Text:
    """One part of the corpus: its documents, and their ids with the ends that are foretold."""

    documents: list[str]
    ids: Ragged

    @property
    def characters(self) -> int:
        return sum(map(len, self.documents))

    def scores(self, log_probabilities: Array) -> dict[str, float]:
        return language_model_scores(log_probabilities, characters=self.characters)


def compare_language(
    networks: Mapping[str, LanguageModel],
    corpus: Any,
    *,
    test: Any = None,
    shares: tuple[float, float] = (0.1, 0.1),
    seeds: int = 1,
    baselines: Any = "auto",
    on_row: Callable[[str], None] | None = None,
    progress: str | None = None,
) -> Comparison:
    """Train every network with every seed and the n-grams on one corpus, and judge them by nats per token.

    networks: name -> estimator, all with the same `inputs` and `documents`, so that a token is the same to all.
    corpus: as for `LanguageModel.fit`. test: another corpus to score on; None: a share of this one.
    shares: of validation and test; of a file the last parts, of a list of texts random ones.
    seeds: how often each network is trained, the k-th time with its own seed + k.
    baselines: "auto" or "all" (unigram and Kneser-Ney, which take seconds), "none", or names.

    The units of the paired test are blocks of consecutive tokens of the test text. Raises InputError where the
    networks read different tokens, DataError for a corpus that is too small to be divided.
    """
    asked = _alike(networks)
    if seeds < 1:
        raise InputError(f"seeds must be at least 1, got {seeds}; usual: 1-3")
    kinds = _chosen(baselines)
    say = on_row or (lambda _: None)
    corpora = _divided(_corpus(corpus, asked), test, shares, asked)
    runs: list[Run] = []
    texts: Mapping[str, _Text] = {}
    for name, made in networks.items():
        first = 0 if made.training is None else made.training.seed
        for k in range(seeds):
            say(f"{name}, seed {first + k}")
            model, seconds = _trained(made, first + k, corpora, progress)
            texts = texts or _encoded(model, corpora)
            runs.append(_network_run(name, first + k, model, seconds, texts))
    vocabulary = runs[0].model.predictor_.head.outputs
    for kind in kinds:
        say(kind)
        runs.append(_baseline_run(kind, texts, vocabulary, runs[0].model.predictor_.unit))
    return _concluded(runs, networks, texts)


def _alike(networks: Mapping[str, LanguageModel]) -> LanguageModel:
    if not networks:
        raise InputError("networks must name at least one language model, got none")
    asked = next(iter(networks.values()))
    for name, made in networks.items():
        if name in LANGUAGE_BASELINES:
            raise InputError(
                f"a network must not be named as a baseline is, got {name!r}; choose another name"
            )
        if (made.inputs, made.documents) != (asked.inputs, asked.documents):
            raise InputError(
                f"networks must read the same tokens to be compared per token, {name!r} has other inputs or "
                "documents; compare them by bits_per_character of evaluate"
            )
    return asked


def _chosen(names: Any) -> list[str]:
    if names in ("auto", "all"):
        return list(LANGUAGE_BASELINES)
    if names in (None, "none", ()):
        return []
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in LANGUAGE_BASELINES:
            raise InputError(
                "baselines must be 'auto', 'all', 'none' or of language models, got "
                f"{name!r}{nearest(name, LANGUAGE_BASELINES)}"
            )
    return wanted


def _corpus(given: Any, asked: LanguageModel) -> Corpus:
    return given if isinstance(given, Corpus) else Corpus.of(given, documents=asked.documents)


def _divided(
    corpus: Corpus, test: Any, shares: tuple[float, float], asked: LanguageModel
) -> dict[str, Corpus]:
    validation, share = shares
    if test is None:
        corpus, held_out = divided(corpus, share)
        validation = validation / (1 - share)
    else:
        held_out = _corpus(test, asked)
    train, held = divided(corpus, validation)
    return {"train": train, "validation": held, "test": held_out}


def _trained(
    made: LanguageModel, seed: int, corpora: Mapping[str, Corpus], progress: str | None
) -> tuple[LanguageModel, float]:
    model = type(made)(**made.get_params(deep=False)).set_params(training__seed=seed)
    begin = time.perf_counter()
    model.fit(corpora["train"], validation_data=corpora["validation"], progress=progress)
    return model, time.perf_counter() - begin


def _encoded(model: LanguageModel, corpora: Mapping[str, Corpus]) -> dict[str, _Text]:
    predictor = model.predictor_
    found = {}
    for name, corpus in corpora.items():
        documents = list(corpus.whole())
        ids = predictor.encoder.encode(documents)
        if predictor.ends:
            ids = _with_ends(ids, predictor.boundary)
        found[name] = _Text(documents=documents, ids=ids)
    return found


def _with_ends(ids: Ragged, end: int) -> Ragged:
    """Documents with the end that is foretold after each."""
    values = np.insert(np.asarray(ids.values), ids.offsets[1:], end)
    return Ragged(values=values, offsets=ids.offsets + np.arange(len(ids.offsets)))


def _network_run(
    name: str, seed: int, model: LanguageModel, seconds: float, texts: Mapping[str, _Text]
) -> Run:
    predictor, summary = model.predictor_, model.summary()
    found = {part: predictor.log_probabilities(texts[part].documents).values for part in PARTS[1:]}
    return Run(
        row=name,
        kind="recurrent",
        fold=0,
        seed=seed,
        share=1.0,
        seconds=seconds,
        latency=_latency(lambda text: predictor.log_probabilities([text]), texts["test"]),
        alone=True,
        parameters=summary.parameters,
        parts=summary.parts,
        megabytes=summary.megabytes,
        scores=_scores(found, texts, _last_training_loss(model)),
        validation=found["validation"],
        test=found["test"],
        ingredients=blocks(found["test"]),
        epochs=tuple(model.history_.epochs),
        notes=tuple(model.notes_),
        model=model,
    )


def _baseline_run(name: str, texts: Mapping[str, _Text], vocabulary: int, unit: str) -> Run:
    made = LANGUAGE_BASELINES[name]()
    begin = time.perf_counter()
    made.fit(texts["train"].ids, texts["validation"].ids, vocabulary, unit)
    seconds = time.perf_counter() - begin
    found = {part: made.log_probabilities(texts[part].ids) for part in PARTS[1:]}
    size = made.parameters()
    short = texts["test"].ids.select(np.array([0])).span(0, min(100, int(texts["test"].ids.lengths[0])))
    return Run(
        row=name,
        kind="baseline",
        fold=0,
        seed=0,
        share=1.0,
        seconds=seconds,
        latency=_latency(lambda _: made.log_probabilities(short), texts["test"]),
        alone=True,
        parameters=size,
        parts={f"{name}, order {made.model.order}": size},
        megabytes=size * 8 / 2**20,
        scores=_scores(found, texts, float("nan")),
        validation=found["validation"],
        test=found["test"],
        ingredients=blocks(found["test"]),
    )


def _scores(
    found: Mapping[str, Array], texts: Mapping[str, _Text], training: float
) -> dict[str, dict[str, float]]:
    return {
        "train": {NATS.score: training},
        **{part: texts[part].scores(values) for part, values in found.items()},
    }


def _last_training_loss(model: LanguageModel) -> float:
    """The mean loss of the last epoch, with dropout."""
    epochs = model.history_.epochs
    return float(epochs[-1].get("train_loss") or "nan") if epochs else float("nan")


def _latency(answer: Callable[[str], Any], test: _Text) -> float:
    """Median seconds in which a text of a hundred characters is scored alone."""
    text, taken = test.documents[0][:100], []
    for _ in range(TIMED):
        begin = time.perf_counter()
        answer(text)
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken))


def _concluded(
    runs: Sequence[Run], networks: Mapping[str, LanguageModel], texts: Mapping[str, _Text]
) -> Comparison:
    asked: Any = next(iter(networks.values()))
    by: dict[str, list[Run]] = {}
    for run in runs:
        by.setdefault(run.row, []).append(run)
    rows = [entry(of, NATS, None, asked) for of in by.values()]
    winner = _best(rows)
    others = [row for row in rows if row.kind == "baseline"]
    found = adjusted([difference(winner.evidence, row.evidence, row.name) for row in others])
    orders = [next(iter(row.parts)) for row in others if row.name != "unigram"]
    return Comparison(
        task="language_model",
        judge=NATS,
        rows=tuple(rows),
        winner=winner.name,
        differences=found,
        verdict=verdict(winner.name, found, NATS, {}),
        sizes={name: len(text.ids.values) for name, text in texts.items()},
        notes=(*(f"baseline: {order}" for order in orders), *runs[0].notes),
        parts={},
        coded=np.zeros(0),
    )


def _best(rows: Iterable[Entry]) -> Entry:
    return min((row for row in rows if row.kind == "recurrent"), key=lambda row: row.validation[NATS.score])
