"""`fit language-model` and `evaluate` of one: running text in the place of rows with targets."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from recurra.cli.attending import Attending
from recurra.cli.building import UNITS, read_data
from recurra.cli.diagnosing import explaining_divergence
from recurra.cli.foretelling import kept, tell_scores
from recurra.cli.options import Choices
from recurra.cli.output import print_json
from recurra.data.corpus import Corpus, divided
from recurra.data.encoder import InputSpec
from recurra.data.told import Told
from recurra.errors import DataError, InputError, SpecError, nearest
from recurra.runtime.corpus_scores import encoded_corpus

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
"""Endings of files whose rows are documents; anything else is running text."""

TEXT_UNITS = ("characters", "words", "bpe", "bytes")
OPTIONS = ("documents", "validation", "softmax", "cutoffs")
_OWN = ("encoding", "test")
"""Options of [data] that running text has; a table of texts also has those of every table."""


def corpus_of(paths: Sequence[str], chosen: Mapping[str, Any], documents: str) -> Corpus:
    """The corpus that a command line names: running text, or the texts of a table. Raises InputError."""
    return _untold(told_corpus_of(paths, chosen, documents))


def _untold(found: Corpus | Told) -> Corpus:
    """The texts alone."""
    return found.corpus if isinstance(found, Told) else found


def told_corpus_of(paths: Sequence[str], chosen: Mapping[str, Any], documents: str) -> Corpus | Told:
    """As `corpus_of`, a table with a --target told the conditions of its texts; empty texts are left out."""
    if len(paths) != 1:
        raise InputError(
            f"a language model reads one file or folder, got {len(paths)}; join them in a folder"
        )
    (path,) = paths
    if any(suffix in TABLES for suffix in PurePath(path.lower()).suffixes):
        known = {name: value for name, value in chosen.items() if name not in ("test", "kind")}
        table = read_data(paths, {**known, "kind": "text"}, None)
        if "target" not in chosen:
            return Corpus.of(table.inputs)
        targets: Any = table.targets
        return Told.of(Corpus.of(table.inputs), list(targets))
    for name in chosen:
        if name not in _OWN:
            raise SpecError(f"[data] option {name!r} has no effect on running text{nearest(name, _OWN)}")
    return Corpus.of(path, documents=documents, encoding=chosen.get("encoding", "utf-8"))


def language_model(choices: Choices) -> Any:
    """The estimator that was described."""
    from recurra.tasks.language_model import LanguageModel

    for name in choices.task:
        if name not in OPTIONS:
            raise SpecError(f"[task] has no option {name!r}{nearest(name, OPTIONS)}")
    made = LanguageModel(inputs=_unit(choices.input), **choices.task)
    given = {"network": choices.network, "training": choices.training}
    return made.set_params(
        **{f"{part}__{name}": value for part, chosen in given.items() for name, value in chosen.items()}
    )


def _unit(chosen: Mapping[str, Any]) -> InputSpec:
    name = str(chosen.get("unit") or chosen.get("kind") or "characters").lower()
    if name not in TEXT_UNITS:
        raise SpecError(
            f"unit must be one of {', '.join(TEXT_UNITS)}, got {name!r}{nearest(name, TEXT_UNITS)}"
        )
    options = {k: v for k, v in chosen.items() if k not in ("unit", "kind")}
    return UNITS[name].from_dict(options)


def fit_language_model(
    data: Sequence[str],
    chosen: Choices,
    output: Path,
    *,
    test: str | None,
    resume: bool,
    progress: str | None,
    checkpoints: Path,
) -> dict[str, Any]:
    """Train, score the test text once, save a bundle; returns the record that `--json` prints."""
    model = language_model(chosen)
    train, held = _parts(data, chosen, model.documents, test)
    begin = time.perf_counter()
    with explaining_divergence(model):
        model.fit(train, folder=checkpoints, resume=resume, progress=progress)
    seconds = time.perf_counter() - begin
    scores = {"validation": model.fitted_best().get("validation", {})}
    if held is not None:
        scores = {"test": model.scores(held), **scores}
    reading = {**chosen.data, "documents": model.documents}
    return kept(model, output, scores, reading, checkpoints=checkpoints, seconds=seconds)


def _parts(
    data: Sequence[str], chosen: Choices, documents: str, test: str | None
) -> tuple[Corpus | Told, Corpus | Told | None]:
    """What is trained on, and the text for the test: a file of its own, else a share of the corpus, or none."""
    whole = told_corpus_of(data, chosen.data, documents)
    if test is not None:
        known = {k: v for k, v in chosen.data.items() if k != "test"}
        return whole, told_corpus_of([test], known, documents)
    share = float(chosen.data.get("test", 0.1))
    if not 0 <= share < 1:
        raise SpecError(f"[data] test must be a share from 0 to below 1, got {share:g}; usual: 0.1")
    if not share:
        return whole, None
    return whole.divided(share, 0) if isinstance(whole, Told) else divided(whole, share)


def texts_like_training(predictor: Any, data: Sequence[str], changes: Mapping[str, Any]) -> list[str]:
    """The documents of a corpus, read as in training, which the bundle keeps, with the given changes."""
    return told_texts_like_training(predictor, data, changes)[0]


def told_texts_like_training(
    predictor: Any, data: Sequence[str], changes: Mapping[str, Any]
) -> tuple[list[str], list[Any] | None]:
    """As `texts_like_training`, and their conditions, where the model was trained under conditions."""
    found = _corpus_like_training(predictor, data, changes)
    corpus, conditions = (found.corpus, found.conditions) if isinstance(found, Told) else (found, None)
    texts = list(corpus.whole())
    if not texts:
        raise DataError(f"{data[0]} must hold some text to score, got none")
    return texts, conditions


def _corpus_like_training(predictor: Any, data: Sequence[str], changes: Mapping[str, Any]) -> Corpus | Told:
    stored = dict(predictor.config["data"].get("reading", {}))
    documents = stored.pop("documents", predictor.config["documents"])
    kept = {key: value for key, value in stored.items() if key != "test"}
    return told_corpus_of(data, {**kept, **changes}, documents)


def evaluate_language_model(
    predictor: Any,
    name: str,
    data: Sequence[str],
    changes: Mapping[str, Any],
    *,
    attending: Attending,
    as_json: bool,
) -> None:
    """Score running text, each document read whole from its beginning."""
    corpus = _corpus_like_training(predictor, data, changes)
    if isinstance(corpus, Told):
        if attending:
            raise InputError("--cache and --dynamic have no effect under conditions; leave them out")
        scores = predictor.scores(list(corpus.corpus.whole()), corpus.conditions)
    else:
        with encoded_corpus(predictor, corpus) as held:
            scores = held.scores(held.losses)
            if attending:
                found = attending.scores(
                    held, lambda path: _untold(_corpus_like_training(predictor, [path], changes))
                )
                scores |= {"plain": scores["nats_per_token"], **found}
    if as_json:
        print_json({"model": name, "task": predictor.task, "rows": scores["documents"], "scores": scores})
        return
    print(f"{scores['tokens']:,} {scores['unit']} in {scores['documents']:,} documents")
    tell_scores(scores)
