"""Scores of tag sequences: token and whole-sequence accuracy, and F1 of the spans that tags stand for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from recurra.errors import DataError, SpecError, nearest
from recurra.metrics.checks import Integers, same_length, undefined
from recurra.metrics.classification import (
    Average,
    AveragedScores,
    ClassScores,
    averages_of_counts,
    scores_of_counts,
)

Tags: TypeAlias = Sequence[str]
Scheme: TypeAlias = Literal["bio", "iob", "bioes", "bilou"]


@dataclass(frozen=True, kw_only=True, order=True)
class Span:
    """A labelled run of tokens: `start` is its first token, `end` the one after its last."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, kw_only=True)
class _Rules:
    """Which tag may start, go on and end a span: (prefix before, prefix, are the labels "same" or "any"?)."""

    prefixes: str
    start: tuple[tuple[str, str, str], ...]
    inside: tuple[tuple[str, str, str], ...]
    end: tuple[tuple[str, str, str], ...]


_ANY = "OBIESLU"
_AFTER_BIO = (
    ("I", "O", "any"),
    ("I", "I", "other"),
    ("I", "B", "any"),
    ("B", "O", "any"),
    ("B", "I", "other"),
)
_RULES: dict[str, _Rules] = {
    "bio": _Rules(
        prefixes="OBI",
        start=((_ANY, "B", "any"),),
        inside=(("BI", "I", "same"),),
        end=(*_AFTER_BIO, ("B", "B", "any")),
    ),
    "iob": _Rules(
        prefixes="OBI",
        start=(("O", "I", "any"), ("I", "I", "other"), ("B", "I", "any"), ("IB", "B", "same")),
        inside=(("BI", "I", "same"),),
        end=(*_AFTER_BIO, ("B", "B", "same")),
    ),
    "bioes": _Rules(
        prefixes="OBIES",
        start=((_ANY, "BS", "any"),),
        inside=(("BI", "IE", "same"),),
        end=(("SE", _ANY, "any"),),
    ),
    "bilou": _Rules(
        prefixes="OBILU",
        start=((_ANY, "BU", "any"),),
        inside=(("BI", "IL", "same"),),
        end=(("UL", _ANY, "any"),),
    ),
}


def spans_of(tags: Tags, *, scheme: Scheme | None = None) -> list[Span]:
    """Return the spans of one tag sequence.

    tags: "O" for none, else a prefix and a label, "B-person"; the prefix alone is a span without label.
    scheme: None: the forgiving rules of the CoNLL script, which read every mixture of B, I, E, S: a span
        begins at B or S, after E or S, where the label changes, or at an I without a beginning.
        "bio" (IOB2), "iob" (IOB1: B only between neighbours of one label), "bioes", "bilou": strictly; what
        is not a whole span by the scheme's rules is none, and a prefix that the scheme lacks is a
        `DataError`.
    Both follow seqeval 1.2.2 (default mode; `mode="strict", scheme=...`) case by case.
    """
    parsed = [_parsed(tag, position) for position, tag in enumerate(tags)]
    if scheme is None:
        return _forgiving(parsed)
    if scheme not in _RULES:
        raise SpecError(f"scheme must be None or a known one, got {scheme!r}{nearest(scheme, _RULES)}")
    return _strict(parsed, _RULES[scheme], scheme)


_ENDS = {"bioes": ("E", "S"), "bilou": ("L", "U")}


def tags_of(spans: Sequence[Span], length: int, scheme: Scheme) -> list[str]:
    """Return the tags of `length` tokens that hold these spans, by the rules of a scheme; the rest is "O"."""
    tags, before = ["O"] * length, Span(start=-1, end=-1, label="")
    for span in sorted(spans):
        label = f"-{span.label}" if span.label else ""
        touching = before.end == span.start and before.label == span.label
        tags[span.start : span.end] = [f"I{label}"] * (span.end - span.start)
        tags[span.start] = f"{'I' if scheme == 'iob' and not touching else 'B'}{label}"
        if scheme in _ENDS:
            last, single = _ENDS[scheme]
            tags[span.end - 1] = f"{single if span.end - span.start == 1 else last}{label}"
        before = span
    return tags


_Tag: TypeAlias = tuple[str, str]
_OUTSIDE: _Tag = ("O", "")


def _parsed(tag: str, position: int) -> _Tag:
    prefix, _, label = tag.partition("-")
    if len(prefix) != 1 or prefix not in _ANY:
        raise DataError(
            f"tags must be 'O' or begin with B-, I-, E-, S-, L- or U-, got {tag!r} at position {position}; "
            "for tags that are no spans use token_accuracy"
        )
    if prefix == "O":
        return _OUTSIDE
    return prefix, label


def _forgiving(tags: Sequence[_Tag]) -> list[Span]:
    spans, start, before = [], 0, _OUTSIDE
    # L and U are E and S by another name.
    renamed = [({"L": "E", "U": "S"}.get(prefix, prefix), label) for prefix, label in tags]
    for position, tag in enumerate([*renamed, _OUTSIDE]):
        if before[0] != "O" and (before[0] in "ES" or tag[0] in "BSO" or tag[1] != before[1]):
            spans.append(Span(start=start, end=position, label=before[1]))
        if tag[0] != "O" and (tag[0] in "BS" or before[0] in "ESO" or tag[1] != before[1]):
            start = position
        before = tag
    return spans


def _strict(tags: Sequence[_Tag], rules: _Rules, scheme: str) -> list[Span]:
    for position, (prefix, _) in enumerate(tags):
        if prefix not in rules.prefixes:
            raise DataError(
                f"tags of scheme {scheme!r} must not begin with {prefix!r}, as at position {position}"
            )
    extended, spans, position, before = [*tags, _OUTSIDE], [], 0, _OUTSIDE
    while position < len(extended):
        end = position + 1
        if _matches(rules.start, before, extended[position]):
            while end < len(extended) and _matches(rules.inside, extended[end - 1], extended[end]):
                end += 1
            if end < len(extended) and _matches(rules.end, extended[end - 1], extended[end]):
                spans.append(Span(start=position, end=end, label=extended[position][1]))
        before, position = extended[end - 1], end
    return spans


def _matches(rules: tuple[tuple[str, str, str], ...], before: _Tag, tag: _Tag) -> bool:
    kind = "same" if before[1] == tag[1] else "other"
    return any(
        before[0] in first and tag[0] in second and which in ("any", kind) for first, second, which in rules
    )


@dataclass(frozen=True, kw_only=True)
class SpanScores:
    """Precision, recall and F1 of spans: `by_label`, and averaged ("micro" is the usual span F1)."""

    by_label: ClassScores
    micro: AveragedScores
    macro: AveragedScores
    weighted: AveragedScores


def span_scores(
    y_true: Sequence[Tags], y_pred: Sequence[Tags], *, scheme: Scheme | None = None, warn: bool = True
) -> SpanScores:
    """Return precision, recall and F1 of spans; a span is right if start, end and label all are.

    y_true, y_pred: one sequence of tags per sequence, pairwise of one length. scheme: as in `spans_of`.
    Tjong Kim Sang & De Meulder (2003), the CoNLL-2003 score. A ratio of 0 / 0 is 0.0 and a `MetricWarning`
    (not with `warn=False`); where neither side has any span, all averages are `nan` and warned of.
    """
    right, predicted, actual, labels = _span_counts(y_true, y_pred, scheme)
    by_label = scores_of_counts(right, predicted, actual, labels, warn=warn)
    nothing = warn and not labels

    def averaged(kind: Average) -> AveragedScores:
        return averages_of_counts(right, predicted, actual, labels, kind, warn=nothing and kind == "micro")

    return SpanScores(
        by_label=by_label, micro=averaged("micro"), macro=averaged("macro"), weighted=averaged("weighted")
    )


def _span_counts(
    y_true: Sequence[Tags], y_pred: Sequence[Tags], scheme: Scheme | None
) -> tuple[Integers, Integers, Integers, list[str]]:
    _check_lengths(y_true, y_pred)
    counts: tuple[Counter[str], ...] = (Counter(), Counter(), Counter())
    for truth, guess in zip(y_true, y_pred, strict=True):
        actual, predicted = set(spans_of(truth, scheme=scheme)), set(spans_of(guess, scheme=scheme))
        for counter, spans in zip(counts, (actual & predicted, predicted, actual), strict=True):
            counter.update(span.label for span in spans)
    labels = sorted(counts[1] | counts[2])
    right, predicted_counts, actual_counts = (
        np.array([counter[label] for label in labels], dtype=np.int64) for counter in counts
    )
    return right, predicted_counts, actual_counts, labels


def _check_lengths(y_true: Sequence[Tags], y_pred: Sequence[Tags]) -> None:
    same_length(y_true=y_true, y_pred=y_pred)
    for index, (truth, guess) in enumerate(zip(y_true, y_pred, strict=True)):
        if len(truth) != len(guess):
            raise DataError(
                f"y_true and y_pred must have as many tags in every sequence, "
                f"got {len(truth)} and {len(guess)} in sequence {index}"
            )


def token_accuracy(y_true: Sequence[Tags], y_pred: Sequence[Tags]) -> float:
    """Share of tokens whose tag is right, over all sequences. No tokens: `nan` and a `MetricWarning`."""
    _check_lengths(y_true, y_pred)
    pairs = [
        (a, b) for truth, guess in zip(y_true, y_pred, strict=True) for a, b in zip(truth, guess, strict=True)
    ]
    if not pairs:
        return undefined("token accuracy", "there are no tokens")
    return sum(a == b for a, b in pairs) / len(pairs)


def sequence_accuracy(y_true: Sequence[Sequence[object]], y_pred: Sequence[Sequence[object]]) -> float:
    """Share of sequences that are right as a whole, of tags, tokens or characters. No sequences: `nan`, warned."""
    if same_length(y_true=y_true, y_pred=y_pred) == 0:
        return undefined("sequence accuracy", "there are no sequences")
    pairs = zip(y_true, y_pred, strict=True)
    return sum(len(a) == len(b) and all(x == y for x, y in zip(a, b, strict=True)) for a, b in pairs) / len(
        y_true
    )


def looks_like_spans(y_true: Sequence[Tags]) -> bool:
    """Return whether all tags are "O" or a span prefix with a label, and some are the latter."""
    found = {tag for tags in y_true for tag in tags} - {"O"}
    return bool(found) and all(len(tag) > 2 and tag[0] in _ANY[1:] and tag[1] == "-" for tag in found)


def tagging_scores(
    y_true: Sequence[Tags], y_pred: Sequence[Tags], *, scheme: Scheme | None = None
) -> dict[str, float]:
    """Return the scores of a tagger: token_accuracy and sequence_accuracy, and those of spans.

    span_precision, span_recall, span_f1 (all micro) and span_f1_macro are there if a scheme is given or all
    tags of y_true look like spans ("O", "B-person"). Arguments as in `span_scores`.
    """
    result = {"token_accuracy": token_accuracy(y_true, y_pred)}
    if len(y_true):
        result["sequence_accuracy"] = sequence_accuracy(y_true, y_pred)
    if scheme is not None or looks_like_spans(y_true):
        spans = span_scores(y_true, y_pred, scheme=scheme, warn=False)
        result |= {f"span_{name}": getattr(spans.micro, name) for name in ("precision", "recall", "f1")}
        result["span_f1_macro"] = spans.macro.f1
    return result
