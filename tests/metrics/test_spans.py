"""Spans and their scores follow seqeval, and give the known scores of real systems."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recurra import metrics
from recurra.errors import DataError, SpecError
from recurra.metrics import MetricWarning, spans
from shared import assert_noticed, shared_data

X, Y = "X", "Y"
# seqeval 1.2.2: spans by mode="strict" and the scheme's class; spans by its default mode.
CASES = [
    ("bio", "B-X I-X O B-Y", [(0, 2, X), (3, 4, Y)], [(0, 2, X), (3, 4, Y)]),
    ("bio", "I-X I-X O I-Y", [], [(0, 2, X), (3, 4, Y)]),
    ("bio", "B-X B-X I-Y", [(0, 1, X), (1, 2, X)], [(0, 1, X), (1, 2, X), (2, 3, Y)]),
    ("bio", "B-X I-Y I-Y", [(0, 1, X)], [(0, 1, X), (1, 3, Y)]),
    ("bio", "O I-X B-X I-X", [(2, 4, X)], [(1, 2, X), (2, 4, X)]),
    ("iob", "I-X I-X O I-Y", [(0, 2, X), (3, 4, Y)], [(0, 2, X), (3, 4, Y)]),
    ("iob", "I-X B-X I-X I-Y", [(0, 1, X), (1, 3, X), (3, 4, Y)], [(0, 1, X), (1, 3, X), (3, 4, Y)]),
    ("iob", "O B-X I-X", [(2, 3, X)], [(1, 3, X)]),
    ("iob", "B-X B-Y I-Y", [(2, 3, Y)], [(0, 1, X), (1, 3, Y)]),
    ("iob", "I-X B-Y O", [(0, 1, X)], [(0, 1, X), (1, 2, Y)]),
    ("bioes", "B-X I-X E-X S-Y", [(0, 3, X), (3, 4, Y)], [(0, 3, X), (3, 4, Y)]),
    ("bioes", "B-X I-X O", [], [(0, 2, X)]),
    ("bioes", "S-X I-X E-X", [(0, 1, X)], [(0, 1, X), (1, 3, X)]),
    ("bioes", "B-X E-Y", [], [(0, 1, X), (1, 2, Y)]),
    ("bioes", "O E-X S-X S-X", [(2, 3, X), (3, 4, X)], [(1, 2, X), (2, 3, X), (3, 4, X)]),
    ("bioes", "B-X B-X E-X", [(1, 3, X)], [(0, 1, X), (1, 3, X)]),
    ("bilou", "B-X I-X L-X U-Y", [(0, 3, X), (3, 4, Y)], [(0, 3, X), (3, 4, Y)]),
    ("bilou", "B-X L-Y U-X", [(2, 3, X)], [(0, 1, X), (1, 2, Y), (2, 3, X)]),
    ("bio", "B I O B", [(0, 2, ""), (3, 4, "")], [(0, 2, ""), (3, 4, "")]),
    ("bio", "", [], []),
]


def plain(found: list[spans.Span]) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.label) for span in found]


@pytest.mark.parametrize(("scheme", "tags", "strict", "forgiving"), CASES)
def test_spans_are_those_of_seqeval(scheme, tags, strict, forgiving) -> None:  # type: ignore[no-untyped-def]
    assert plain(spans.spans_of(tags.split(), scheme=scheme)) == strict
    assert plain(spans.spans_of(tags.split())) == forgiving


TRUTH = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-PER", "O"], ["B-ORG", "I-ORG", "I-ORG"]]
GUESS = [["B-PER", "I-PER", "O", "B-ORG"], ["B-PER", "I-PER", "O"], ["B-ORG", "I-ORG", "I-ORG"]]


def test_span_scores_equal_seqevals() -> None:
    with pytest.warns(MetricWarning, match="precision is undefined: class 'LOC' does not occur in the pred"):
        scores = metrics.span_scores(TRUTH, GUESS)
    assert scores.by_label.labels.tolist() == ["LOC", "ORG", "PER"]
    assert scores.by_label.f1 == pytest.approx([0, 2 / 3, 0.5])
    assert (scores.micro.precision, scores.micro.recall, scores.micro.f1) == (0.5, 0.5, 0.5)
    assert scores.macro.f1 == pytest.approx(0.38888888888888884)
    assert scores.weighted.f1 == pytest.approx(0.41666666666666663)


def check_whole_spans() -> None:
    result = metrics.tagging_scores(TRUTH, GUESS)
    assert result["span_f1"] == 0.5
    assert result["token_accuracy"] == pytest.approx(0.7)


@contextmanager
def every_token_a_span() -> Iterator[None]:
    """Saboteur: what is marked counts token by token."""

    def by_token(tags: list[str], **_: object) -> list[spans.Span]:
        marked = [(i, tag) for i, tag in enumerate(tags) if tag != "O"]
        return [spans.Span(start=i, end=i + 1, label=tag[2:]) for i, tag in marked]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans, "spans_of", by_token)
        yield


def test_a_span_is_right_as_a_whole_only() -> None:
    assert_noticed(every_token_a_span(), check_whole_spans)


def test_plain_tags_have_no_span_scores() -> None:
    result = metrics.tagging_scores([["NOUN", "VERB"], ["NOUN"]], [["NOUN", "NOUN"], ["NOUN"]])
    assert result == {"token_accuracy": pytest.approx(2 / 3), "sequence_accuracy": 0.5}


def test_no_tokens_and_no_spans_are_nan_and_warned_of() -> None:
    with pytest.warns(MetricWarning, match="token accuracy is undefined"):
        assert math.isnan(metrics.tagging_scores([], [])["token_accuracy"])
    with pytest.warns(MetricWarning, match="micro average is undefined: there is nothing to count"):
        assert math.isnan(metrics.span_scores([["O"]], [["O"]]).micro.f1)
    with pytest.warns(MetricWarning, match="sequence accuracy"):
        assert math.isnan(spans.sequence_accuracy([], []))


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(DataError, match=r"got 'NOUN' at position 1; for tags that are no spans"):
        spans.spans_of(["O", "NOUN"])
    with pytest.raises(DataError, match="scheme 'bio' must not begin with 'E', as at position 0"):
        spans.spans_of(["E-X"], scheme="bio")
    with pytest.raises(SpecError, match=r"got 'biose'; did you mean 'bioes'\?"):
        spans.spans_of(["O"], scheme="biose")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="got 2 and 1 in sequence 0"):
        spans.token_accuracy([["O", "O"]], [["O"]])


def read_tags(path: Path) -> list[list[str]]:
    sentences: list[list[str]] = [[]]
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        for line in file:
            if line.strip():
                sentences[-1].append(line.split()[-1])
            elif sentences[-1]:
                sentences.append([])
    return [sentence for sentence in sentences if sentence]


@pytest.mark.parametrize(
    ("system", "f1"),
    [
        ("uh_ritual", 41.86),
        ("spinningbytes.txt", 40.78),
        ("sjtu_adapt.txt", 40.42),
        ("arcada", 39.98),
        ("flytxt", 38.35),
        ("mic-cis.txt", 37.06),
        ("drexel_cci", 26.30),
    ],
)
def test_the_systems_of_wnut_17_get_their_published_scores(system: str, f1: float) -> None:
    folder = shared_data("wnut17")
    gold = read_tags(folder / "emerging.test.annotated.gz")
    scores = metrics.span_scores(gold, read_tags(folder / "submissions" / f"{system}.gz"), warn=False)
    assert round(100 * scores.micro.f1, 2) == f1
    assert scores.micro.support == 1079
    if system == "uh_ritual":
        assert (round(100 * scores.micro.precision, 2), round(100 * scores.micro.recall, 2)) == (57.54, 32.90)
