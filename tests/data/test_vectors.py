"""Pretrained vectors from small files made here: every format, the words asked for, damage in one clear error."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from recurra.data.vectors import FASTTEXT_MAGIC, read_vectors
from recurra.errors import DataError

TABLE = {
    "the": [0.5, -1.0, 2.0],
    "cat": [1.0, 0.0, 0.25],
    "naïve": [-3.0, 4.0, 5.5],
    "at name": [7.0, 8.0, 9.0],
}


def as_text(header: bool, words=TABLE) -> bytes:
    lines = [f"{len(words)} 3"] if header else []
    lines += [f"{word} {' '.join(map(str, row))}" for word, row in words.items()]
    return "\n".join(lines).encode() + b"\n"


def as_word2vec() -> bytes:
    rows = [
        word.replace(" ", "_").encode() + b" " + struct.pack("<3f", *row) + b"\n"
        for word, row in TABLE.items()
    ]
    return b"4 3\n" + b"".join(rows)


MATRIX = np.arange(3 * (3 + 50), dtype=np.float32).reshape(-1, 3) / 7


def as_fasttext(
    *, quantised: int = 0, pruned: int = -1, version: int = 12, least: int = 3, most: int = 4
) -> bytes:
    parts = [struct.pack("<ii", FASTTEXT_MAGIC, version)]
    parts.append(struct.pack("<12id", 3, 5, 5, 1, 5, 1, 1, 2, 50, least, most, 100, 1e-4))
    parts.append(struct.pack("<3i2q", 3, 3, 0, 100, pruned))
    parts += [word.encode() + b"\0" + struct.pack("<qb", 9, 0) for word in ("the", "cat", "naïve")]
    parts.append(struct.pack("<b2q", quantised, *MATRIX.shape) + MATRIX.tobytes())
    return b"".join(parts)


def by_hand(word: str, own: list[int]) -> np.ndarray:
    """fastText's vector by its definition, written another way: slices of the text, an unsigned hash by NumPy."""

    def row(gram: str) -> int:
        found = np.uint32(2166136261)
        with np.errstate(over="ignore"):
            for byte in gram.encode():
                found = (
                    found ^ np.uint32(np.int8(np.uint8(byte).astype(np.int8)).astype(np.uint32))
                ) * np.uint32(16777619)
        return 3 + int(found) % 50

    whole = f"<{word}>"
    grams = [whole[i : i + n] for i in range(len(whole)) for n in (3, 4) if i + n <= len(whole)]
    return MATRIX[own + [row(gram) for gram in grams]].mean(axis=0)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("ending", [".txt", ".vec", ".vec.gz"])
def test_text_files_give_the_words_asked_for(tmp_path, header, ending):
    content = as_text(header)
    path = tmp_path / f"v{ending}"
    path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    found = read_vectors(path, ["Cat", "dog", "naïve", "at name"])
    assert found.found.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(found.values, [TABLE["cat"], [0, 0, 0], TABLE["naïve"], TABLE["at name"]])
    assert "3 of 4 words" in found.how


def test_word2vec_files_are_read_where_they_lie(tmp_path):
    path = tmp_path / "v.bin"
    path.write_bytes(as_word2vec())
    found = read_vectors(path, ["naïve", "the", "x"])
    np.testing.assert_array_equal(found.values, [TABLE["naïve"], TABLE["the"], [0, 0, 0]])


def test_fasttext_makes_vectors_of_words_and_of_their_parts(tmp_path):
    path = tmp_path / "v.bin"
    path.write_bytes(as_fasttext())
    words = ["cat", "naïve", "cats", "x"]
    found = read_vectors(path, words)
    assert found.found.all()
    for row, (word, own) in enumerate(zip(words, ([1], [2], [], []), strict=True)):
        np.testing.assert_allclose(found.values[row], by_hand(word, own), rtol=1e-6)
    assert "from their parts" in found.how


def test_fasttext_without_parts_knows_listed_words_alone(tmp_path):
    path = tmp_path / "v.bin"
    path.write_bytes(as_fasttext(least=0, most=0))
    found = read_vectors(path, ["the", "cats"])
    assert found.found.tolist() == [True, False]
    np.testing.assert_array_equal(found.values[0], MATRIX[0])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("v.txt", b"", "holds no word vectors"),
        ("v.txt", b"cat 1 2\ndog 1\n", "line 2: must be a word and 2 numbers"),
        ("v.txt", b"cat 1 x\n", "line 1: must be a word"),
        ("v.txt", b"cat 1 nan\n", "the vector of 'cat' is not finite"),
        ("v.vec.gz", gzip.compress(as_text(True), mtime=0)[:-12], "damaged or cut short"),
        ("v.bin", b"", "is empty"),
        ("v.bin", b"\x80\x04pickle", "no file of word vectors"),
        ("v.bin", b"hello world\n123", "is no binary file"),
        ("v.bin", b"999999999 3\nthe ", "its length does not allow"),
        ("v.bin", as_word2vec()[:-5], "cut short"),
        ("v.bin", as_fasttext()[:-9], "cut short"),
        ("v.bin", as_fasttext()[:40], "cut short"),
        ("v.bin", as_fasttext(quantised=1), "quantised"),
        ("v.bin", as_fasttext(pruned=7), "pruned"),
        ("v.bin", as_fasttext(version=13), "version 13"),
    ],
)
def test_damage_is_one_clear_error(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_vectors(path, ["the", "cat"])


def test_every_truncation_is_an_error_or_harmless(tmp_path):
    path = tmp_path / "v.bin"
    for content in (as_word2vec(), as_fasttext()):
        for size in range(0, len(content), 7):
            path.write_bytes(content[:size])
            with pytest.raises(DataError):
                read_vectors(path, ["the", "naïve", "at_name"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file of word vectors"):
        read_vectors(tmp_path / "v.txt", ["a"])
