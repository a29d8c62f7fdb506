"""Texts to ids: what a token is, what is kept, and that pieces, streams and stored files agree with the whole."""

from __future__ import annotations

import itertools
import json
import pickle
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from data.nasty import PIECES, texts
from recurra.data import text_encoders, tokenization
from recurra.data.encoder import UNKNOWN, encoder_from_record
from recurra.data.text import BPE, Characters, Words
from recurra.data.text_encoders import TextEncoder
from recurra.errors import CorruptBundleError, DataError, SpecError

CORPUS = [" ".join(PIECES[i::3]) for i in range(3)] + [
    "not bad at all",
    "Not good , not bad",
    "the the the cat",
]
SPECS = {
    "words": Words(min_count=1),
    "words all": Words(min_count=1, strip_accents=True, clean_html=True, normalize="NFKC"),
    "words plain": Words(min_count=1, lowercase=False, normalize="none"),
    "words html": Words(min_count=1, clean_html=True, lowercase=False),
    "characters": Characters(),
    "characters all": Characters(lowercase=True, strip_accents=True, clean_html=True, normalize="NFKC"),
    "bpe": BPE(vocab_size=400, min_count=1),
    "bpe all": BPE(
        vocab_size=400, min_count=1, lowercase=True, strip_accents=True, clean_html=True, normalize="NFKC"
    ),
}
FITTED = {name: spec.fit(CORPUS) for name, spec in SPECS.items()}
every = pytest.mark.parametrize("name", SPECS)


def tokens(spec: Words | Characters | BPE, text: str) -> list[str]:
    """The tokens of a text under a vocabulary that knows all of them."""
    return [token for token, _, _ in spec.fit([text]).tokens(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop!", ["don't", "stop", "!"]),
        ("l'été, c'est l’été", ["l'été", ",", "c'est", "l'été"]),
        ("'tis the dogs' (bone)", ["'", "tis", "the", "dogs", "'", "(", "bone", ")"]),
        ("e\u0301te\u0301 ÉTÉ", ["été", "été"]),
        ("3.14 x_1 C++", ["3", ".", "14", "x", "_", "1", "c", "+", "+"]),
        ("well-known…", ["well", "-", "known", "…"]),
        ("हिन्दी తెలుగు ئۇيغۇر", ["हिन्दी", "తెలుగు", "ئۇيغۇر"]),
        ("日本のテスト", ["日", "本", "の", "テスト"]),
        ("ok👨\u200d👩\u200d👧👍🏽🇩🇪🇫🇷", ["ok", "👨\u200d👩\u200d👧", "👍🏽", "🇩🇪", "🇫🇷"]),
        ("\ufeffHel\u00adlo\u200bworld", ["hello", "world"]),
        ("نمی\u200cخواهم", ["نمی\u200cخواهم"]),
        ("col·lecció", ["col·lecció"]),
        ("a\x00b \x07c", ["a", "\ufffd", "b", "c"]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_words_cuts_text_into_words_and_marks(text: str, expected: list[str]) -> None:
    assert tokens(Words(min_count=1), text) == expected


def test_words_keeps_dont_apart_from_dont_without_apostrophe() -> None:
    encoder = Words(min_count=1).fit(["don't dont"])
    assert encoder.vocabularies == {"tokens": 3}


@pytest.mark.parametrize(
    ("spec", "text", "expected"),
    [
        (
            Words(min_count=1, clean_html=True),
            "good.<br /><br />Bad &amp; ugly",
            ["good", ".", "bad", "&", "ugly"],
        ),
        (Words(min_count=1, clean_html=True), "I <3 it &lt;br&gt; don&#39;t", None),
        (Words(min_count=1, strip_accents=True), "Été naïve", ["ete", "naive"]),
        (Words(min_count=1, strip_accents=True), "हिन्दी が 한국어", ["हिन्दी", "が", "한국어"]),
        (Words(min_count=1, lowercase=False), "Good GOOD", ["Good", "GOOD"]),
        (Words(min_count=1, normalize="NFKC"), "ﬁne ＡＢ", ["fine", "ab"]),
        (Words(min_count=1, normalize="none"), "e\u0301", ["e\u0301"]),
        (Characters(), "Aé\n", ["A", "é", "\n"]),
        (Characters(lowercase=True), "Ab", ["a", "b"]),
    ],
)
def test_options_change_what_a_token_is(spec: Any, text: str, expected: list[str] | None) -> None:
    if expected is None:
        expected = ["i", "<", "3", "it", "<", "br", ">", "don't"]
    assert tokens(spec, text) == expected


def test_bpe_merges_frequent_words_and_never_over_a_space() -> None:
    encoder = BPE(vocab_size=200).fit(["the cat sat on the mat. the end"] * 20)
    found = [token for token, _, _ in encoder.tokens("the cat the")]
    assert found == ["the", " cat", " the"]
    assert all(" " not in token[1:] for token in encoder.vocabulary)


@every
def test_pieces_from_memory_give_what_the_stored_tokenizer_gives(name: str) -> None:
    encoder = FITTED[name]
    stored = Tokenizer.from_str(encoder.files()["tokenizer.json"].decode())

    @given(texts)
    @settings(max_examples=120, deadline=None)
    def check(text: str) -> None:
        whole = stored.encode(tokenization.sound(text))
        ids = encoder.encode([text]).values.tolist()
        assert ids == whole.ids
        assert [token for token, _, _ in encoder.tokens(text)] == whole.tokens

    check()


@every
def test_a_long_unbroken_text_is_cut_in_windows_as_in_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = FITTED[name]
    whole = encoder._tokenizer

    @given(st.lists(st.sampled_from([p for p in PIECES if not p.isspace()]), max_size=60).map("".join))
    @settings(max_examples=60, deadline=None)
    def check(text: str) -> None:
        expected = whole.encode(tokenization.sound(text)).ids
        assert encoder.encode([text]).values.tolist() == expected

    for module in (text_encoders, tokenization):
        monkeypatch.setattr(module, "WINDOW", 7)
    check()


def test_windows_do_not_change_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    glued = ["".join(PIECES) * 3, "don't" * 40 + "!" * 40]
    expected = Words(min_count=1).fit(glued).vocabulary
    for module in (text_encoders, tokenization):
        monkeypatch.setattr(module, "WINDOW", 7)
    assert Words(min_count=1).fit(glued).vocabulary == expected


@every
@given(batch=st.lists(texts, max_size=6), data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_text_alone_is_as_in_a_batch_and_permuted(name: str, batch: list[str], data: st.DataObject) -> None:
    encoder = FITTED[name]
    order = data.draw(st.permutations(range(len(batch))))
    made = encoder.encode(batch)
    assert made.values.dtype == np.int64
    assert len(made) == len(batch)
    for position, row in zip(order, encoder.encode([batch[i] for i in order]), strict=True):
        assert np.array_equal(row, made[position])
        assert np.array_equal(row, encoder.encode([batch[position]])[0])


@every
@given(text=texts)
@settings(max_examples=60, deadline=None)
def test_tokens_point_into_the_text_in_order(name: str, text: str) -> None:
    encoder = FITTED[name]
    spans = [(begin, end) for _, begin, end in encoder.tokens(text)]
    assert all(0 <= begin <= end <= len(text) for begin, end in spans)
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(spans))
    assert len(spans) == len(encoder.encode([text]).values)


@given(text=st.text(alphabet=st.characters(codec="ascii", exclude_characters="\0"), max_size=60))
def test_tokens_of_plain_text_are_the_characters_they_point_to(text: str) -> None:
    for token, begin, end in Words(min_count=1).fit([text, "x"]).tokens(text):
        assert text[begin:end].lower() == token


@pytest.mark.parametrize(
    "spec", [Characters(normalize="none"), BPE(vocab_size=5000, min_count=1, normalize="none")]
)
@given(text=texts)
@settings(max_examples=60, deadline=None)
def test_characters_and_bpe_lose_nothing_of_known_text(spec: Any, text: str) -> None:
    clean = tokenization.sound(text)
    encoder = spec.fit([clean])
    assert encoder.decode(encoder.encode([clean]).values) == clean


@given(text=texts)
@settings(max_examples=60, deadline=None)
def test_canonically_equal_texts_have_equal_ids(text: str) -> None:
    import unicodedata

    for encoder in (FITTED["words"], FITTED["characters"], FITTED["bpe"]):
        composed, split = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
        assert np.array_equal(encoder.encode([composed]).values, encoder.encode([split]).values)


@given(chunks=st.lists(texts, max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_stream_of_words_is_the_whole(chunks: list[str]) -> None:
    encoder = FITTED["words"]
    assert streamed(encoder, chunks) == encoder.encode([" ".join(chunks)]).values.tolist()


@given(words=st.lists(st.text(alphabet="abe.,!é", min_size=1, max_size=8), max_size=8))
def test_a_stream_of_bpe_and_characters_is_the_whole(words: list[str]) -> None:
    chunks = [f" {word}" for word in words]
    for encoder in (FITTED["bpe"], FITTED["characters"]):
        assert streamed(encoder, chunks) == encoder.encode(["".join(chunks)]).values.tolist()


def streamed(encoder: TextEncoder, chunks: list[Any]) -> list[int]:
    """The ids of a stream, its memory written to JSON and read between any two steps."""
    memory, ids = None, []
    for chunk in chunks:
        made, memory = encoder.step(chunk, memory)
        assert len(made) == 1
        ids += made.values.tolist()
        memory = json.loads(json.dumps(memory))
    return ids


def test_a_stream_stops_at_max_length() -> None:
    encoder = Words(min_count=1, max_length=3).fit(["a b c d"])
    assert streamed(encoder, ["a b", "c d", "a"]) == encoder.encode(["a b c d a"]).values.tolist()


def test_a_stream_cannot_keep_the_end() -> None:
    encoder = Words(min_count=1, max_length=3, truncate="start").fit(["a b c d"])
    with pytest.raises(SpecError, match="truncate='start' with max_length=3"):
        encoder.step("a")


@pytest.mark.parametrize(("side", "expected"), [("end", ["a", "b"]), ("start", ["c", "d"])])
def test_truncate_names_the_side_that_is_cut(side: str, expected: list[str]) -> None:
    encoder = Words(min_count=1, max_length=2, truncate=side).fit(["a b c d"])
    assert [token for token, _, _ in encoder.tokens("a b c d")] == expected
    assert encoder.decode(encoder.encode(["a b c d"]).values).split() == expected


def test_vocabulary_is_ordered_by_count_then_text() -> None:
    encoder = Words(min_count=1).fit(["b a c a", "c a d"])
    assert encoder.vocabulary == ("<unk>", "a", "c", "b", "d")


@given(
    st.lists(st.text(alphabet="abcd ", max_size=20), min_size=1, max_size=8),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_min_count_and_max_size_keep_the_most_frequent(batch: list[str], least: int, most: int) -> None:
    counts = Counter(word for text in batch for word in text.split())
    ranked = sorted((word for word in counts if counts[word] >= least), key=lambda w: (-counts[w], w))
    encoder = Words(min_count=least, max_size=most).fit(batch)
    assert encoder.vocabulary == ("<unk>", *ranked[:most])


def test_unknown_words_are_kept_as_unknown() -> None:
    encoder = Words(min_count=1).fit(["good bad"])
    made = encoder.encode(["zzz yyy", "good zzz", ""])
    assert [row.tolist() for row in made] == [[UNKNOWN, UNKNOWN], [2, UNKNOWN], []]
    assert encoder.unknown_rate(["zzz yyy", "good zzz", ""]) == pytest.approx(0.75)
    assert encoder.unknown_rate([""]) == 0.0
    assert encoder.tokens("good zzz") == [("good", 0, 4), ("<unk>", 5, 8)]


def test_a_vocabulary_of_nothing_works_and_says_so() -> None:
    encoder = Words(min_count=5).fit(["a b"])
    assert encoder.vocabularies == {"tokens": 1}
    assert encoder.encode(["a b"]).values.tolist() == [0, 0]
    assert "lower min_count" in encoder.notes[0]


def test_the_word_unk_in_a_text_is_not_the_unknown_token() -> None:
    encoder = Words(min_count=1).fit(["<unk> unk"])
    assert [token for token, _, _ in encoder.tokens("<unk>")] == ["<", "unk", ">"]


def test_lists_of_words_are_one_token_each() -> None:
    encoder = Words(min_count=1).fit([["New York", "DON'T", "3.14"], ["and", ""]])
    made = encoder.encode([["new york", "3.14", "", "other"], []])
    assert [row.tolist() for row in made] == [[encoder.vocabulary.index("new york"), 2 - 1, 0, 0], []]
    assert encoder.tokens(["and", "zzz"]) == [("and", 0, 3), ("<unk>", 4, 7)]
    assert streamed(encoder, [["and"], ["3.14"]]) == encoder.encode([["and", "3.14"]]).values.tolist()


@every
def test_a_stored_encoder_is_the_same(name: str) -> None:
    encoder = FITTED[name]
    record = json.loads(json.dumps(encoder.to_record()))
    again = encoder_from_record(record, encoder.files())
    assert again == encoder
    assert again.spec == encoder.spec
    assert again.files() == encoder.files()
    assert np.array_equal(again.encode(CORPUS).values, encoder.encode(CORPUS).values)
    assert pickle.loads(pickle.dumps(encoder)) == encoder
    assert hash(again) == hash(encoder)


def test_fitting_gives_the_same_bytes_in_every_process() -> None:
    program = (
        "import hashlib; from recurra.data.text import *\n"
        "texts = [' '.join(chr(97 + (i * j) % 17) * (j % 5 + 1) for j in range(60)) for i in range(40)]\n"
        "for spec in (Words(), Characters(), BPE(vocab_size=120)):\n"
        "    print(hashlib.sha256(spec.fit(texts).files()['tokenizer.json']).hexdigest())\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            text=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1


def test_a_fork_after_fitting_and_encoding_is_silent() -> None:
    program = (
        "import os; from recurra.data.text import *\n"
        "texts = ['a b c é'] * 500\n"
        "encoders = [spec.fit(texts) for spec in (Words(), Characters(), BPE(vocab_size=50))]\n"
        "[encoder.encode(texts) for encoder in encoders]\n"
        "assert 'TOKENIZERS_PARALLELISM' not in os.environ\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    [encoder.encode(texts) for encoder in encoders]; BPE(vocab_size=50).fit(texts); os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={}, timeout=60)
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["words", "characters", "bpe"])
@pytest.mark.parametrize(
    "text", ["x" * 1_000_000, "ab " * 300_000, "!" * 50_000, "\ud800" * 50_000, "é" * 200_000]
)
def test_one_huge_line_is_read(name: str, text: str) -> None:
    text = text[:100_000] if name == "bpe" else text
    encoder = FITTED[name]
    assert len(encoder.encode([text])) == 1


@every
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("one text", "wrap it"),
        (["good", None], r"inputs\[1\] must be a text, got None"),
        (["good", float("nan")], r"inputs\[1\] must be a text, got nan.*missing text"),
        ([b"bytes"], r"inputs\[0\] must be a text"),
        ([3], r"inputs\[0\] must be a text, got 3"),
        (7, "must be a list of texts, got int"),
        ({"a": "b"}, "must be a list of texts, got dict"),
    ],
)
def test_what_is_no_text_is_refused_by_row(name: str, inputs: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        FITTED[name].encode(inputs)
    with pytest.raises(DataError, match=message):
        SPECS[name].fit(inputs)


def test_lists_of_words_are_refused_where_tokens_are_not_words() -> None:
    with pytest.raises(DataError, match=r"inputs\[0\] must be a text, got \['a'\]"):
        FITTED["characters"].encode([["a"]])
    with pytest.raises(DataError, match="a list with 3"):
        FITTED["words"].encode([["a", 3]])


@every
def test_nothing_to_learn_from_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="at least one text"):
        SPECS[name].fit([])


def test_numpy_and_series_of_texts_are_texts() -> None:
    import pandas as pd

    encoder = Words(min_count=1).fit(["a b"])
    expected = encoder.encode(["a b", "b"]).values.tolist()
    for inputs in (
        np.array(["a b", "b"]),
        np.array(["a b", "b"], dtype=object),
        pd.Series(["a b", "b"], index=[5, 5]),
    ):
        assert encoder.encode(inputs).values.tolist() == expected


def test_bpe_refuses_a_vocabulary_below_its_characters() -> None:
    with pytest.raises(DataError, match="vocab_size=5 must hold at least UNK and the 26 characters"):
        BPE(vocab_size=5, min_count=1).fit(["abcdefghijklmnopqrstuvwxyz"])


def test_bpe_leaves_rare_characters_to_unknown() -> None:
    encoder = BPE(vocab_size=50, min_count=2).fit(["abab abab é"])
    assert "é" not in encoder.vocabulary
    assert encoder.encode(["é"]).values.tolist() == [UNKNOWN]


@pytest.mark.parametrize("kind", [Words, Characters, BPE])
def test_options_without_sense_are_refused(kind: Any) -> None:
    with pytest.raises(SpecError, match="strip_accents brings text into a normal form"):
        kind(strip_accents=True, normalize="none")
    with pytest.raises(SpecError, match="min_count must be a whole number of at least 1"):
        kind(min_count=0)
    with pytest.raises(SpecError, match="did you mean 'NFC'"):
        kind(normalize="NFCC")
    with pytest.raises(SpecError, match="truncate must be one of 'end', 'start'"):
        kind(truncate="middle")


def test_names_of_features_have_no_place_in_texts() -> None:
    with pytest.raises(DataError, match="features has no effect on texts"):
        Words().fit(["a"], features=["x"])


def test_decode_refuses_ids_that_are_none() -> None:
    with pytest.raises(DataError, match="ids must lie between 0 and"):
        FITTED["words"].decode([10**6])


def broken(change: Any, name: str = "words") -> tuple[dict[str, Any], dict[str, bytes]]:
    """Record and files of a stored encoder after a change to the content of its tokenizer.json."""
    encoder = FITTED[name]
    content = json.loads(encoder.files()["tokenizer.json"])
    change(content)
    return encoder.to_record(), {"tokenizer.json": json.dumps(content).encode()}


CHANGES: list[tuple[str, Any, str]] = [
    ("words", lambda c: c["model"]["vocab"].update(extra=99999), "without gaps"),
    ("words", lambda c: c["model"]["vocab"].update(extra=-1), "without gaps"),
    ("words", lambda c: c["model"]["vocab"].update(extra="1"), "whole number"),
    ("words", lambda c: c["model"]["vocab"].update(extra=True), "whole number"),
    ("words", lambda c: c["model"]["vocab"].update(extra=len(c["model"]["vocab"])), "the record says"),
    ("words", lambda c: c["model"]["vocab"].pop("<unk>"), "without gaps"),
    ("words", lambda c: c["model"].update(type="Unigram"), "must hold a WordLevel model"),
    ("words", lambda c: c["model"].update(unk_token="?"), "must hold a WordLevel model"),
    ("words", lambda c: c.pop("model"), "has no 'model'"),
    ("words", lambda c: c.update(normalizer=None), "cuts texts otherwise"),
    ("words", lambda c: c.update(normalizer={"type": "Lowercase"}), "cuts texts otherwise"),
    ("words", lambda c: c.update(pre_tokenizer={"type": "Nonsense"}), "is not a tokenizer"),
    ("words", lambda c: c.update(truncation={"max_length": 1}), "tokenizer.json"),
    ("words", lambda c: c.update(added_tokens=[{"id": 0}]), "tokenizer.json"),
    ("bpe", lambda c: c["model"]["merges"].append(["q", "qqq"]), "merge"),
    ("bpe", lambda c: c["model"]["merges"].append(["q"]), "merge"),
    ("bpe", lambda c: c["model"]["merges"].append("q q"), "merge"),
    ("bpe", lambda c: c["model"].update(merges=None), "must be of type list"),
]


@pytest.mark.parametrize(("name", "change", "message"), CHANGES)
def test_a_changed_tokenizer_file_is_refused(name: str, change: Any, message: str) -> None:
    with pytest.raises(CorruptBundleError, match=message):
        encoder_from_record(*broken(change, name))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"model": {}}', b"[" * 100_000]
)
def test_a_file_that_is_no_tokenizer_is_refused(content: bytes) -> None:
    with pytest.raises(CorruptBundleError, match=r"tokenizer\.json"):
        encoder_from_record(FITTED["words"].to_record(), {"tokenizer.json": content})


def test_a_missing_tokenizer_file_is_named() -> None:
    with pytest.raises(CorruptBundleError, match=r"tokenizer\.json is missing"):
        encoder_from_record(FITTED["words"].to_record(), {})


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_flipped_bytes_are_refused_or_harmless(data: st.DataObject) -> None:
    encoder = FITTED[data.draw(st.sampled_from(["words", "bpe", "characters"]))]
    stored = bytearray(encoder.files()["tokenizer.json"])
    for _ in range(data.draw(st.integers(1, 3))):
        stored[data.draw(st.integers(0, len(stored) - 1))] = data.draw(st.integers(0, 255))
    try:
        again = encoder_from_record(encoder.to_record(), {"tokenizer.json": bytes(stored)})
    except CorruptBundleError:
        return
    ids = again.encode(CORPUS).values
    assert len(ids) == 0 or 0 <= ids.min() <= ids.max() < again.vocabularies["tokens"]
