"""Scores of text agree with jiwer, rouge-score and sacrebleu (values noted from their runs)."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra import metrics
from recurra.errors import DataError, MissingExtraError, SpecError
from recurra.metrics import MetricWarning, text

REFERENCES = ["the cat sat on the mat", "it isn't e-mail, is it?", "a b c d"]
HYPOTHESES = ["the cat lay on mat", "it is an e-mail", "d c b a"]


def test_perplexity_of_a_uniform_guess_is_the_number_of_choices() -> None:
    assert text.perplexity(np.log(np.full(7, 1 / 5))) == pytest.approx(5)
    assert text.bits_per_character(np.log(np.full(7, 1 / 8)), 7) == pytest.approx(3)


def test_bits_per_character_do_not_depend_on_the_tokens() -> None:
    characters, words = np.log([0.5, 0.25, 0.5, 0.5]), np.log([0.125, 0.25])
    scores = [metrics.language_model_scores(p, characters=4) for p in (characters, words)]
    assert scores[0]["bits_per_character"] == pytest.approx(scores[1]["bits_per_character"])
    assert scores[0]["perplexity"] != scores[1]["perplexity"]
    assert scores[0]["nats_per_token"] == pytest.approx(math.log(scores[0]["perplexity"]))


@given(st.text("abc", max_size=9), st.text("abc", max_size=9))
def test_edit_distance_equals_the_plain_recursion(a: str, b: str) -> None:
    table = {(i, 0): i for i in range(len(a) + 1)} | {(0, j): j for j in range(len(b) + 1)}
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            same = table[i - 1, j - 1] + (a[i - 1] != b[j - 1])
            table[i, j] = min(same, table[i - 1, j] + 1, table[i, j - 1] + 1)
    assert text.edit_distance(a, b) == table[len(a), len(b)]


def test_error_rates_equal_jiwers() -> None:
    # jiwer 4.0
    result = metrics.transcription_scores(REFERENCES, HYPOTHESES)
    assert result["word_error_rate"] == pytest.approx(0.6666666666666666)
    assert result["character_error_rate"] == pytest.approx(0.40384615384615385)
    assert result["sequence_accuracy"] == 0.0


def test_an_error_rate_can_exceed_one() -> None:
    assert text.word_error_rate(["a"], ["b c d"]) == 3.0


def test_rouge_equals_rouge_score() -> None:
    # rouge-score 0.1.2 without stemming: mean precision, recall, F1.
    expected = {
        "1": (0.8666666666666667, 0.746031746031746, 0.7979797979797979),
        "2": (0.16666666666666666, 0.12222222222222223, 0.14074074074074075),
        "L": (0.5499999999999999, 0.4484126984126984, 0.4924242424242424),
    }
    for kind, score in text.rouge(REFERENCES, HYPOTHESES).items():
        assert (score.precision, score.recall, score.f1) == pytest.approx(expected[kind])


def test_of_several_references_the_best_counts() -> None:
    assert text.rouge([["x y", "a b"]], ["a b"])["2"].f1 == 1.0


def test_rouge_of_nothing_is_zero_and_other_scripts_have_words() -> None:
    assert text.rouge(["a b"], [""])["L"].f1 == 0.0
    assert text.rouge(["Привет, мир"], ["привет мир!"])["1"].f1 == 1.0


def test_bleu_and_chrf_are_sacrebleus_with_signature() -> None:
    sacrebleu = pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    result = text.bleu(REFERENCES, HYPOTHESES)
    assert result.score == pytest.approx(sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score)
    assert result.signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert text.chrf(REFERENCES, HYPOTHESES).score == pytest.approx(
        sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score
    )
    several = [[reference, "it is an e-mail"] for reference in REFERENCES]
    second = ["it is an e-mail"] * 3
    assert text.bleu(several, HYPOTHESES).score == pytest.approx(
        sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES, second]).score
    )
    assert text.bleu([["a b c d"], ["e f g h", "x"]], ["a b c d", "e f g h"]).score == pytest.approx(100)


def test_generation_scores_of_a_perfect_text_are_full() -> None:
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    result = metrics.generation_scores([["no", "the cat sat down"]], ["the cat sat down"])
    assert result == pytest.approx(
        {"bleu": 100, "chrf": 100, "rouge_1": 1, "rouge_2": 1, "rouge_l": 1, "sequence_accuracy": 1}
    )


def test_without_sacrebleu_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "sacrebleu"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(
        MissingExtraError, match=r"the score BLEU needs sacrebleu.*pip install 'recurra\[train\]'"
    ):
        text.bleu(["a"], ["a"])


def test_nothing_to_score_is_nan_and_warned_of() -> None:
    with pytest.warns(MetricWarning, match="perplexity is undefined: there are no tokens"):
        assert math.isnan(text.perplexity([]))
    with pytest.warns(MetricWarning, match="bits per character"):
        assert math.isnan(text.bits_per_character([], 0))
    with pytest.warns(MetricWarning, match="word error rate is undefined: the references are empty"):
        assert math.isnan(text.word_error_rate([""], ["a"]))
    with pytest.warns(MetricWarning, match="ROUGE is undefined"):
        assert math.isnan(text.rouge([], [])["1"].f1)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(DataError, match=r"must not be above 0, got 0\.5; pass logarithms"):
        text.perplexity([0.5])
    with pytest.raises(SpecError, match="kinds must hold '1' to '9' or 'L', got 'Lsum'"):
        text.rouge(["a"], ["a"], kinds=["Lsum"])
    with pytest.raises(DataError, match="references has 1, hypotheses has 2"):
        text.character_error_rate(["a"], ["a", "b"])
