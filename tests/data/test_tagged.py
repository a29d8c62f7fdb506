"""Tagged text: CoNLL-U, columns, JSON lines with spans; what is odd is counted, what is wrong named by its line."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path

import pytest

import recurra as rc
from recurra.data.sentences import Sentence
from recurra.errors import DataError
from shared import shared_data

CONLLU = """# newdoc id = d
# sent_id = s1
# text = I don't know.
1\tI\tI\tPRON\tPRP\tCase=Nom\t4\tnsubj\t_\t_
2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdo\tdo\tAUX\tVBP\t_\t4\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t4\tadvmod\t_\t_
4\tknow\tknow\tVERB\tVB\t_\t0\troot\t_\tSpaceAfter=No
4.1\tit\tit\tPRON\tPRP\t_\t_\t_\t4:obj\t_
5\t.\t.\tPUNCT\t.\t_\t4\tpunct\t_\t_

# sent_id = s2
1\tYes\tyes\tINTJ\tUH\t_\t0\troot\t_\t_
"""


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_conllu_has_its_words_without_contractions_and_empty_nodes(tmp_path):
    data = rc.read(write(tmp_path / "a.conllu", CONLLU), task="tagger")
    assert data.inputs == [["I", "do", "n't", "know", "."], ["Yes"]]
    assert data.targets == [["PRON", "AUX", "PART", "VERB", "PUNCT"], ["INTJ"]]
    assert data.columns["sent_id"].tolist() == ["s1", "s2"]
    assert data.notes == ("1 multi-word tokens were read as their words, 1 empty nodes left out",)
    lemmas = rc.read(tmp_path / "a.conllu", task="tagger", input="lemma", target="xpos")
    assert lemmas.inputs[0][2] == "not"
    assert lemmas.targets[1] == ["UH"]
    several = rc.read(tmp_path / "a.conllu", task="tagger", target=["upos", "feats"])
    assert several.targets[0][0] == ("PRON", "Case=Nom")


def test_words_of_conllu_know_their_place_in_the_text_as_it_was_written(tmp_path):
    sentence, other = rc.read(write(tmp_path / "a.conllu", CONLLU), task="tagger").inputs
    assert (sentence.text, other.text) == ("I don't know.", "Yes")
    assert [sentence.text[begin:end] for begin, end in sentence.spans] == ["I", "do", "n't", "know", "."]
    lemmas = rc.read(tmp_path / "a.conllu", task="tagger", input="lemma").inputs[0]
    assert (lemmas[2], lemmas.text, lemmas.spans[2]) == ("not", "I don't know.", (2, 7))
    again = pickle.loads(pickle.dumps(sentence))
    assert (again, again.text, again.spans) == (sentence, sentence.text, sentence.spans)


@pytest.mark.parametrize("name", ["ud_english_ewt", "ud_telugu_mtg", "ud_uyghur_udt"])
def test_texts_of_real_treebanks_are_those_of_their_comments(name):
    (path,) = shared_data(name).glob("*-test.conllu.gz")
    said = [
        line[len("# text = ") :]
        for line in gzip.decompress(path.read_bytes()).decode().split("\n")
        if line.startswith("# text = ")
    ]
    found = rc.read(path, task="tagger").inputs
    same = [sentence.text == text.strip() for sentence, text in zip(found, said, strict=True)]
    assert sum(same) >= 0.99 * len(same), [t for t, ok in zip(said, same, strict=True) if not ok][:3]
    for sentence in found:
        assert all(begin < end for begin, end in sentence.spans)


def test_places_that_do_not_fit_are_refused():
    for spans in ([(0, 1)], [(0, 1), (0, 9)], [(2, 3), (0, 1)]):
        with pytest.raises(DataError, match="one place inside the text per word, in order"):
            Sentence(["a", "b"], "a b", spans)


@pytest.mark.parametrize("ending", [b"\n\n", b"", b"\r\n"])
def test_a_last_sentence_ends_with_the_file_however_its_lines_end(tmp_path, ending):
    text = CONLLU.strip().encode() + ending
    if ending == b"\r\n":
        text = text.replace(b"\n", b"\r\n")
    (tmp_path / "a.conllu.gz").write_bytes(gzip.compress(text))
    data = rc.read(tmp_path / "a.conllu.gz", task="tagger")
    assert data.targets[1] == ["INTJ"]


COLUMNS = "-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\n\nGerman JJ B-MISC\n"


@pytest.mark.parametrize("separator", [" ", "\t", "|"])
def test_columns_with_any_separator(tmp_path, separator):
    path = write(tmp_path / "a.conll", COLUMNS.replace(" ", separator))
    data = rc.read(path, task="tagger", input=0, target=-1, separator=separator if separator == "|" else None)
    assert data.inputs == [["EU", "rejects"], ["German"]]
    assert data.targets == [["B-ORG", "O"], ["B-MISC"]]
    middle = rc.read(path, task="tagger", target=1, separator=separator if separator == "|" else None)
    assert middle.targets == [["NNP", "VBZ"], ["JJ"]]


def test_the_tags_of_entities_are_the_last_column_by_any_of_its_names(tmp_path):
    path = write(tmp_path / "a.conll", "Ann NNP B-PER\nsees VBZ O\n\nBob NNP B-PER\n")
    for target in (None, "ner", "NER", -1, 2, ["ner", -1], [2, "ner", 2]):
        assert rc.read(path, task="tagger", target=target).targets == [["B-PER", "O"], ["B-PER"]]
    assert rc.read(path, task="tagger", target=[1, "ner"]).targets[1] == [("NNP", "B-PER")]


def test_files_whose_names_say_a_part_are_the_split(tmp_path):
    for part in ("train", "dev", "test"):
        write(tmp_path / f"x-{part}.conllu", CONLLU)
    data = rc.read([tmp_path / f"x-{part}.conllu" for part in ("train", "dev", "test")], task="tagger")
    assert data.split.tolist() == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2
    assert rc.read(tmp_path, task="tagger").split is not None


def test_spans_of_characters_become_tags_and_conflicts_are_counted(tmp_path):
    text = "Anna Smith lives in New York."
    spans = [
        [0, 10, "PER"],
        {"start": 20, "end": 28, "label": "LOC"},
        [22, 26, "ODD"],
        [4, 5, "BLANK"],
        [11, 14, "X"],
    ]
    path = write(tmp_path / "a.jsonl", json.dumps({"text": text, "spans": spans}) + "\n")
    data = rc.read(path, task="tagger")
    assert data.inputs == [["Anna", "Smith", "lives", "in", "New", "York", "."]]
    assert data.targets == [["B-PER", "I-PER", "B-X", "O", "B-LOC", "I-LOC", "O"]]
    assert data.notes == (
        "1 spans begin or end inside a token and were widened to whole tokens",
        "2 spans overlap an earlier one, or hold no token, and were left out",
    )


def test_lists_of_tokens_and_tags(tmp_path):
    path = write(
        tmp_path / "a.jsonl", '{"tokens": ["a", "b"], "tags": ["X", "O"]}\n{"tokens": [], "tags": []}\n'
    )
    data = rc.read(path, task="tagger")
    assert (data.inputs, data.targets) == ([["a", "b"]], [["X", "O"]])


BAD = [
    ("a.conll", "a X\nb\n", "a.conll, line 2 must have at least 2 columns"),
    ("a.conll", "\n\n", "holds no sentence"),
    ("a.conllu", "1\tone\tone\n", "line 1 must have the 10 columns"),
    ("a.jsonl", '{"tokens": ["a"], "tags": []}\n', "one tag per token, got 0 for 1"),
    ("a.jsonl", '{"text": "ab", "spans": [[1, 9, "X"]]}\n', "must lie within the 2 characters"),
    ("a.jsonl", '{"text": "ab", "spans": [[true, 2, "X"]]}\n', "must lie within the 2 characters"),
    ("a.jsonl", '{"text": "ab", "spans": [7]}\n', "must be .begin, end, label. or an object"),
    ("a.jsonl", '{"tokens": "ab", "tags": ["X"]}\n', "tags|span"),
]


@pytest.mark.parametrize(("name", "text", "words"), BAD)
def test_what_cannot_be_read_is_named_by_its_line(tmp_path, name, text, words):
    with pytest.raises(DataError, match=words):
        rc.read(write(tmp_path / name, text), task="tagger")


def test_unknown_columns_and_invalid_bytes_are_named(tmp_path):
    path = write(tmp_path / "a.conllu", CONLLU)
    with pytest.raises(DataError, match="did you mean 'upos'"):
        rc.read(path, task="tagger", target="upo")
    with pytest.raises(DataError, match="no column 12"):
        rc.read(path, task="tagger", target=12)
    with pytest.raises(DataError, match="columns by their position"):
        rc.read(write(tmp_path / "a.conll", COLUMNS), task="tagger", target="chunk")
    (tmp_path / "b.conll").write_bytes(b"a X\nb\xff Y\n")
    with pytest.raises(DataError, match="line 2"):
        rc.read(tmp_path / "b.conll", task="tagger")


def test_a_line_of_ten_million_characters_is_a_word(tmp_path):
    path = write(tmp_path / "a.conll", "x" * 10_000_000 + " X\nb Y\n")
    assert len(rc.read(path, task="tagger").inputs[0][0]) == 10_000_000


@pytest.mark.parametrize(
    ("folder", "files", "counts"),
    [
        ("ud_english_ewt", "en_ewt-ud-{}.conllu.gz", {"train": (12544, 204577), "dev": (2001, 25147)}),
        ("ud_uyghur_udt", "ug_udt-ud-{}.conllu.gz", {"train": (1656, 19262), "test": (900, 10330)}),
        ("ud_telugu_mtg", "te_mtg-ud-{}.conllu.gz", {"train": (1051, 5082), "test": (146, 721)}),
    ],
)
def test_real_treebanks_have_the_sentences_and_words_that_they_say(folder, files, counts):
    place = shared_data(folder)
    for part, (sentences, words) in counts.items():
        found = next(iter(sorted(place.glob(files.format(part).replace(".gz", "*")))))
        data = rc.read(found, task="tagger")
        assert (len(data), sum(map(len, data.inputs))) == (sentences, words)


def test_real_entities_have_the_spans_that_they_say():
    from recurra.metrics.spans import spans_of

    data = rc.read(shared_data("wnut17") / "wnut17train.conll.gz", task="tagger", input=0, target=-1)
    assert (len(data), sum(map(len, data.inputs))) == (3394, 62730)
    assert sum(len(spans_of(tags)) for tags in data.targets) == 1975
