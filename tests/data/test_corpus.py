"""Corpora: read in pieces of bounded size, cut into documents, divided, and encoded into a file."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from recurra.data import corpus as corpora
from recurra.data.bytes import Bytes
from recurra.data.corpus import Corpus, divided
from recurra.data.text import BPE, Characters, Words
from recurra.data.token_file import boundary_of, write_tokens
from recurra.errors import DataError, SpecError

TEXT = "To be, or not to be.\nThat is\n\nthe question: don't ask.\n \n\n\nWhether 'tis nobler\n" * 3


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(corpora, "PIECE", 8)


def written(tmp_path, text=TEXT, name="corpus.txt"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("documents", corpora.DOCUMENTS)
def test_documents_do_not_depend_on_the_size_of_the_pieces(tmp_path, monkeypatch, documents):
    path = written(tmp_path)
    whole = list(Corpus.of(path, documents=documents).whole())
    for size in (1, 3, 8, 50):
        monkeypatch.setattr(corpora, "PIECE", size)
        assert list(Corpus.of(path, documents=documents).whole()) == whole


def test_a_file_is_one_document_or_its_lines_or_its_paragraphs(tmp_path):
    path = written(tmp_path, "a b\nc\n\n\n \nd\r\ne\n")
    assert list(Corpus.of(path).whole()) == ["a b\nc\n\n\n \nd\ne\n"]
    assert list(Corpus.of(path, documents="lines").whole()) == ["a b", "c", " ", "d", "e"]
    assert list(Corpus.of(path, documents="paragraphs").whole()) == ["a b\nc", "d\ne"]


def test_a_line_without_white_space_is_read_in_pieces_of_bounded_size(tmp_path, small_pieces):
    path = written(tmp_path, "x" * 500 + "e\u0301" * 50)
    pieces = [text for text, _ in Corpus.of(path).pieces()]
    assert "".join(pieces) == "x" * 500 + "e\u0301" * 50
    assert max(map(len, pieces)) <= 16
    assert not any(piece.startswith("\u0301") for piece in pieces)


def test_compressed_files_and_folders_are_read_as_they_are(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.txt").write_text("second")
    (tmp_path / "in" / "a.txt.gz").write_bytes(gzip.compress(b"first"))
    assert list(Corpus.of(tmp_path / "in").whole()) == ["first", "second"]
    assert Corpus.of(tmp_path / "in").ends


def test_invalid_utf_8_is_named_with_its_place(tmp_path, small_pieces):
    path = written(tmp_path, b"abc" * 10 + "é".encode()[:1] + b"xyz")
    with pytest.raises(DataError, match=r"byte 30 \(0xc3\) does not fit"):
        list(Corpus.of(path).pieces())
    assert "".join(Corpus.of(path, encoding="latin-1").texts()).endswith("\xc3xyz")


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ("no/such/file.txt", {}, r"does not exist; check the path; a text itself is given as \[text\]"),
        ("a long text\n" * 500, {}, r"^a long text a long text .* does not exist; .* is given as \[text\]$"),
        ("zero\0byte", {}, r"does not exist; check the path"),
        ([1, 2], {}, "number 0 is 1"),
        (7, {}, "must be a path or a list of texts"),
        (["a"], {"documents": "pages"}, "documents must be one of"),
    ],
)
def test_what_is_no_corpus_is_refused(given, options, message):
    with pytest.raises((DataError, SpecError), match=message):
        Corpus.of(given, **options)


@pytest.mark.parametrize("documents", corpora.DOCUMENTS)
def test_two_parts_of_a_file_are_the_file(tmp_path, small_pieces, documents):
    corpus = Corpus.of(written(tmp_path), documents=documents)
    first, second = divided(corpus, 0.3)
    assert [*first.whole(), *second.whole()] == (
        list(corpus.whole())
        if documents != "whole"
        else [TEXT[: -round(0.3 * len(TEXT))], TEXT[-round(0.3 * len(TEXT)) :]]
    )


def test_of_many_texts_random_ones_are_set_aside_and_none_is_lost():
    texts = [f"text {i}" for i in range(20)]
    first, second = divided(Corpus.of(texts), 0.2, seed=1)
    assert len(second.source) == 4
    assert sorted([*first.source, *second.source]) == sorted(texts)
    assert divided(Corpus.of(texts), 0.2, seed=2)[1] != second


def test_too_little_to_divide_is_said(tmp_path):
    with pytest.raises(DataError, match="set aside"):
        divided(Corpus.of(["a"]), 0.1)


@pytest.mark.parametrize("spec", [Characters(), Words(min_count=1), BPE(vocab_size=60, min_count=1), Bytes()])
@pytest.mark.parametrize("documents", corpora.DOCUMENTS)
def test_a_file_of_tokens_holds_what_encoding_whole_documents_gives(tmp_path, small_pieces, spec, documents):
    corpus = Corpus.of(written(tmp_path), documents=documents)
    encoder = spec.fit(corpus.texts())
    tokens = write_tokens(tmp_path / "ids", corpus, encoder)
    batch = encoder.encode(list(corpus.whole()))
    boundary = boundary_of(encoder)
    expected = [x for row in range(len(batch)) for x in (boundary, *batch[row].tolist())] + [boundary]
    assert tokens.ids.tolist() == expected
    assert tokens.documents == len(batch)
    assert tokens.tokens == len(batch.values)
    assert tokens.characters == sum(map(len, corpus.whole()))
    assert tokens.predicted == tokens.tokens + (tokens.documents if documents != "whole" else 0)


def test_the_digest_follows_the_ids(tmp_path):
    encoder = Characters().fit(["abc"])
    first, same, other = (
        write_tokens(tmp_path / f"ids{i}", Corpus.of([text]), encoder).digest
        for i, text in enumerate(["abca", "abca", "abcb"])
    )
    assert first == same != other


def test_a_corpus_without_a_token_is_refused(tmp_path):
    encoder = Words().fit(["some words"])
    with pytest.raises(DataError, match="at least one token"):
        write_tokens(tmp_path / "ids", Corpus.of(["   "]), encoder)


def test_bytes_lose_nothing_and_know_everything():
    encoder = Bytes().fit([])
    text = "añ☃\U0001f600"
    ids = np.asarray(encoder.encode([text]).values)
    assert encoder.decode(ids) == text
    assert encoder.unknown_rate([text]) == 0.0
    assert encoder.tokens("añ") == [("<0x61>", 0, 1), ("<0xC3>", 1, 2), ("<0xB1>", 1, 2)]
    assert encoder.decode([0xC3 + 1]) == "\ufffd"
    assert Bytes.restore(encoder.to_record(), encoder.files()) == encoder
