"""Language models beside n-grams on one corpus: the same tokens, a paired test over blocks of text, a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data.corpus import Corpus, divided
from recurra.errors import InputError, nearest
from recurra.evaluation.baselines.ngrams import LANGUAGE_BASELINES
from recurra.evaluation.compare import Comparison
from recurra.evaluation.curve import learning_curve as curve_of
from recurra.evaluation.entries import Entry, entry
from recurra.evaluation.grid import Grid
from recurra.evaluation.language_runs import NATS, Text, execute_language
from recurra.evaluation.runs import Job, Run
from recurra.evaluation.store import RunStore
from recurra.evaluation.verdict import adjusted, difference, verdict
from recurra.tasks.language_model import LanguageModel, learnt_vocabulary


def compare_language(
    networks: Mapping[str, LanguageModel],
    corpus: Any,
    *,
    test: Any = None,
    shares: tuple[float, float] = (0.1, 0.1),
    seeds: int = 1,
    baselines: Any = "auto",
    learning_curve: bool = False,
    cache: str | Path | None = None,
    on_row: Callable[[str], None] | None = None,
    progress: str | None = None,
) -> Comparison:
    """Train every network with every seed and the n-grams on one corpus, and judge them by nats per token.

    networks: name -> estimator, all with the same `inputs` and `documents`, so that a token is the same to all.
    corpus: as for `LanguageModel.fit`. test: another corpus to score on; None: a share of this one.
    shares: of validation and test; of a file the last parts, of a list of texts random ones.
    seeds: how often each network is trained, the k-th time with its own seed + k.
    baselines: "auto" or "all" (unigram and Kneser-Ney, which take seconds), "none", or names.
    learning_curve: whether the winner and the baselines are also trained on an eighth, a quarter and a half of the
        training text: of a file from its beginning. The tokens stay those of all of it.
    cache: folder that keeps every run, from which a comparison that was stopped goes on; None: none.

    The units of the paired test are blocks of consecutive tokens of the test text. Raises InputError where the
    networks read different tokens, DataError for a corpus that is too small to be divided.
    """
    asked = _alike(networks)
    if seeds < 1:
        raise InputError(f"seeds must be at least 1, got {seeds}; usual: 1-3")
    kinds = _chosen(baselines)
    corpora = _divided(_corpus(corpus, asked), test, shares, asked)
    encoder, ends = learnt_vocabulary(asked.inputs, corpora["train"]), corpora["train"].ends
    parts = {name: Text(part, encoder, ends) for name, part in corpora.items()}
    store = None if cache is None else RunStore(cache)
    grid = Grid(folds=[parts], store=store, execute=execute_language, say=on_row, progress=progress)
    planned = _planned(networks, kinds, seeds)
    made = _concluded(grid.run(planned), networks, parts)
    if learning_curve:
        wanted = [job for job in planned if job.kind == "baseline" or job.row == made.winner]
        made = replace(made, curve={**curve_of(grid, wanted, NATS, None), "unit": "tokens"})
    return replace(made, trained=grid.trained)


def _planned(networks: Mapping[str, LanguageModel], baselines: Sequence[str], seeds: int) -> list[Job]:
    """Every run: the networks with their seeds, then the n-grams."""
    asked = next(iter(networks.values()))
    first = {name: 0 if made.training is None else made.training.seed for name, made in networks.items()}
    jobs = [
        Job(row=name, kind="recurrent", fold=0, seed=first[name] + k, estimator=made)
        for name, made in networks.items()
        for k in range(seeds)
    ]
    return jobs + [Job(row=name, kind="baseline", fold=0, seed=0, estimator=asked) for name in baselines]


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


def _concluded(
    runs: Sequence[Run], networks: Mapping[str, LanguageModel], parts: Mapping[str, Text]
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
        sizes={name: len(part) for name, part in parts.items()},
        notes=(*(f"baseline: {order}" for order in orders), *runs[0].notes),
        parts={},
        coded=np.zeros(0),
    )


def _best(rows: Iterable[Entry]) -> Entry:
    return min((row for row in rows if row.kind == "recurrent"), key=lambda row: row.validation[NATS.score])
