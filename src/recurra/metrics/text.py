"""Scores of generated and transcribed text: perplexity, error rates, ROUGE, BLEU, chrF."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np

from recurra.errors import DataError, SpecError, missing_extra
from recurra.metrics.checks import Integers, as_floats, same_length, undefined
from recurra.metrics.spans import sequence_accuracy

References: TypeAlias = Sequence[str] | Sequence[Sequence[str]]


def perplexity(log_probabilities: Any) -> float:
    """exp of the mean negative log-probability (nats) of the true tokens; 1 is perfect.

    log_probabilities: (N,) of all tokens of all sequences together, which weighs tokens, not sequences.
    Compare only over one vocabulary; unknown words that are counted as one symbol make it look better.
    No tokens: `nan` and a `MetricWarning`.
    """
    values = _log_probabilities(log_probabilities)
    if len(values) == 0:
        return undefined("perplexity", "there are no tokens")
    return float(np.exp(-values.mean()))


def bits_per_character(log_probabilities: Any, characters: int) -> float:
    """Negative log-likelihood in bits per character of the text: -sum(log p) / (ln 2 * characters).

    It compares models over words, subwords and characters, if all give the same text a probability.
    log_probabilities: (N,) nats, of all tokens; characters: of the text that they stand for. 0: `nan`,
        warned.
    """
    if characters <= 0:
        return undefined("bits per character", "there are no characters")
    return float(-_log_probabilities(log_probabilities).sum() / (math.log(2) * characters))


def _log_probabilities(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    floats = as_floats("log_probabilities", values, ndim=1)
    if len(floats) and floats.max() > 1e-6:
        raise DataError(f"log_probabilities must not be above 0, got {floats.max():.6g}; pass logarithms")
    return floats


def language_model_scores(log_probabilities: Any, *, characters: int | None = None) -> dict[str, float]:
    """Return perplexity, nats_per_token (its logarithm), and bits_per_character where `characters` is given."""
    result = {"perplexity": perplexity(log_probabilities)}
    result["nats_per_token"] = math.log(result["perplexity"])
    if characters is not None:
        result["bits_per_character"] = bits_per_character(log_probabilities, characters)
    return result


def scores_of_nats(nats: float, tokens: int, *, characters: int) -> dict[str, float]:
    """As `language_model_scores`, of the nats of all tokens together: for texts that are summed as they are read."""
    if tokens == 0 or characters == 0:
        return language_model_scores(np.zeros(0), characters=characters)
    mean = nats / tokens
    bits = nats / (math.log(2) * characters)
    return {"perplexity": float(np.exp(mean)), "nats_per_token": mean, "bits_per_character": bits}


def edit_distance(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Least number of insertions, deletions and substitutions that turn `a` into `b` (Levenshtein 1966)."""
    first, second = _codes(a, b)
    columns = np.arange(len(second) + 1)
    row = columns.copy()
    for position, symbol in enumerate(first.tolist(), start=1):
        best = np.empty_like(row)
        best[0] = position
        np.minimum(row[1:] + 1, row[:-1] + (second != symbol), out=best[1:])
        # Insertions run along the row: min over k <= j of best[k] + (j - k).
        row = np.minimum.accumulate(best - columns) + columns
    return int(row[-1])


def _codes(a: Sequence[Hashable], b: Sequence[Hashable]) -> tuple[Integers, Integers]:
    codes: dict[Hashable, int] = {}
    first, second = (
        np.array([codes.setdefault(symbol, len(codes)) for symbol in sequence], dtype=np.int64)
        for sequence in (a, b)
    )
    return first, second


def _error_rate(name: str, references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> float:
    same_length(references=references, hypotheses=hypotheses)
    length = sum(len(reference) for reference in references)
    if length == 0:
        return undefined(name, "the references are empty")
    pairs = zip(references, hypotheses, strict=True)
    return sum(edit_distance(reference, hypothesis) for reference, hypothesis in pairs) / length


def word_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Word errors (substituted, deleted, inserted) of all texts / words of all references; it can exceed 1.

    Words are what white space separates; case and punctuation count: normalise both sides first if they
    should not. Empty references: `nan` and a `MetricWarning`.
    """
    return _error_rate("word error rate", _split(references), _split(hypotheses))


def character_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """As `word_error_rate`, over characters (Unicode code points, white space included)."""
    return _error_rate("character error rate", references, hypotheses)


def _split(texts: Sequence[str]) -> list[list[str]]:
    return [text.split() for text in texts]


def transcription_scores(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float]:
    """Return word_error_rate, character_error_rate and sequence_accuracy."""
    return {
        "word_error_rate": word_error_rate(references, hypotheses),
        "character_error_rate": character_error_rate(references, hypotheses),
        "sequence_accuracy": sequence_accuracy(references, hypotheses),
    }


@dataclass(frozen=True, kw_only=True)
class RougeScore:
    """ROUGE of one kind, 0 to 1: mean over texts of precision, recall and F1."""

    precision: float
    recall: float
    f1: float


_WORD = re.compile(r"[^\W_]+")


def words_for_rouge(text: str) -> list[str]:
    """Return the lower-cased runs of letters and digits of any script; on ASCII what `rouge-score` takes."""
    return _WORD.findall(text.lower())


def rouge(
    references: References,
    hypotheses: Sequence[str],
    *,
    kinds: Sequence[str] = ("1", "2", "L"),
    tokenize: Callable[[str], list[str]] = words_for_rouge,
) -> dict[str, RougeScore]:
    """Return ROUGE by kind (Lin 2004): overlap of n-grams ("1" to "9") or longest common subsequence ("L").

    references: one text per hypothesis, or several: then the one with the highest F1 counts, kind by kind.
    hypotheses: texts. tokenize: without stemming by default, as `rouge-score` does; "L" is over the whole
    text. A side without n-grams scores 0. No texts: `nan` and a `MetricWarning`.
    """
    same_length(references=references, hypotheses=hypotheses)
    for kind in kinds:
        if kind != "L" and not (len(kind) == 1 and kind in "123456789"):
            raise SpecError(f"kinds must hold '1' to '9' or 'L', got {kind!r}")
    if len(hypotheses) == 0:
        value = undefined("ROUGE", "there are no texts")
        return {kind: RougeScore(precision=value, recall=value, f1=value) for kind in kinds}
    found: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in kinds}
    for given, hypothesis in zip(references, hypotheses, strict=True):
        several = [given] if isinstance(given, str) else list(given)
        tokens, candidates = tokenize(hypothesis), [tokenize(reference) for reference in several]
        for kind in kinds:
            found[kind].append(max((_rouge(c, tokens, kind) for c in candidates), key=lambda score: score[2]))
    means = {kind: np.mean(rows, axis=0).tolist() for kind, rows in found.items()}
    return {kind: RougeScore(precision=p, recall=r, f1=f) for kind, (p, r, f) in means.items()}


def _rouge(reference: list[str], hypothesis: list[str], kind: str) -> tuple[float, float, float]:
    if kind == "L":
        common, wanted, made = _common_subsequence(reference, hypothesis), len(reference), len(hypothesis)
    else:
        first, second = _ngrams(reference, int(kind)), _ngrams(hypothesis, int(kind))
        common, wanted, made = (first & second).total(), first.total(), second.total()
    if common == 0:
        return 0.0, 0.0, 0.0
    return common / made, common / wanted, 2 * common / (made + wanted)


def _ngrams(tokens: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _common_subsequence(a: list[str], b: list[str]) -> int:
    first, second = _codes(a, b)
    row = np.zeros(len(second) + 1, dtype=np.int64)
    for symbol in first.tolist():
        longer = row.copy()
        np.maximum(row[1:], row[:-1] + (second == symbol), out=longer[1:])
        row = np.maximum.accumulate(longer)
    return int(row[-1])


@dataclass(frozen=True, kw_only=True)
class CorpusScore:
    """A score of a whole corpus by sacrebleu, 0 to 100, with the signature that makes it comparable."""

    score: float
    signature: str


def bleu(references: References, hypotheses: Sequence[str], *, tokenize: str = "13a") -> CorpusScore:
    """Corpus BLEU (Papineni et al. 2002) by sacrebleu (Post 2018), which tokenises itself: pass plain text.

    references: one text per hypothesis, or several. tokenize: sacrebleu's name, "13a", "char", "intl", "zh",
    ... No texts: `nan` and a `MetricWarning`. Without sacrebleu: `MissingExtraError`.
    """
    return _by_sacrebleu("BLEU", references, hypotheses, tokenize=tokenize)


def chrf(references: References, hypotheses: Sequence[str], *, word_order: int = 0) -> CorpusScore:
    """Corpus chrF (Popović 2015): F2 of character 6-grams; `word_order=2` is chrF++. Else as `bleu`."""
    return _by_sacrebleu("CHRF", references, hypotheses, word_order=word_order)


def _by_sacrebleu(
    name: str, references: References, hypotheses: Sequence[str], **options: Any
) -> CorpusScore:
    try:
        metrics = import_module("sacrebleu.metrics")
    except ImportError:
        raise missing_extra("sacrebleu", "train", f"the score {name}") from None
    if same_length(references=references, hypotheses=hypotheses) == 0:
        return CorpusScore(score=undefined(name, "there are no texts"), signature="")
    metric = getattr(metrics, name)(**options)
    result = metric.corpus_score(list(hypotheses), _streams(references))
    return CorpusScore(score=float(result.score), signature=str(metric.get_signature()))


def _streams(references: References) -> list[list[str | None]]:
    """Turn references by text into references by number, as sacrebleu wants them; missing ones are None."""
    rows = [[given] if isinstance(given, str) else list(given) for given in references]
    most = max(len(row) for row in rows)
    return [[row[k] if k < len(row) else None for row in rows] for k in range(most)]


def generation_scores(references: References, hypotheses: Sequence[str]) -> dict[str, float]:
    """Return bleu and chrf (0 to 100), rouge_1, rouge_2, rouge_l (F1, 0 to 1) and sequence_accuracy.

    With several references a text is right as a whole if it equals any.
    """
    overlap = rouge(references, hypotheses)
    several = [[given] if isinstance(given, str) else list(given) for given in references]
    best = [made if made in given else given[0] for given, made in zip(several, hypotheses, strict=True)]
    return {
        "bleu": bleu(references, hypotheses).score,
        "chrf": chrf(references, hypotheses).score,
        **{f"rouge_{kind.lower()}": score.f1 for kind, score in overlap.items()},
        "sequence_accuracy": sequence_accuracy(best, hypotheses),
    }
