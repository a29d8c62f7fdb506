"""compare tagger and evaluate of a tagger at the command line."""

from __future__ import annotations

import json
from unittest import mock

import numpy as np
import pytest

import recurra as rc
from recurra.cli.app import run
from recurra.cli.options import Choices
from recurra.cli.tune import _sections
from recurra.decoding.tag_decoder import TagDecoder
from recurra.evaluation.tuning.space import as_asked, default_space
from shared import assert_noticed

SMALL = ["--hidden-size", "8", "--epochs", "8", "--batch-size", "8"]


@pytest.fixture(scope="module")
def entities(tmp_path_factory):
    """A file of columns: names are spans, a place only after "in"."""
    path = tmp_path_factory.mktemp("data") / "news.conll"
    draw = np.random.default_rng(0)
    lines = ["-DOCSTART- O", ""]
    for _ in range(80):
        first, last, place = (
            str(draw.choice(words)) for words in (["Ann", "Bob"], ["Ray", "Fox"], ["Rome", "Oslo"])
        )
        lines += [f"{first} B-person", f"{last} I-person", "lives O", "in O", f"{place} B-place", ". O", ""]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def comparison(entities, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "m"
    columns = ["--input", "0", "--target", "-1"]
    arguments = ["compare", "tagger", str(entities), *columns, "--networks", "bilstm", "--seeds", "1", "-q"]
    assert run([*arguments, "-o", str(folder), *SMALL]) == 0
    return folder, json.loads((folder / "metrics.json").read_text())


def test_compare_sets_a_tagger_beside_the_cheap_ones_and_judges_spans(comparison):
    folder, record = comparison
    assert record["main_score"] == "span_f1"
    rows = {row["name"]: row for row in record["rows"]}
    assert set(rows) == {"bilstm", "most frequent label", "most frequent tag", "linear on words"}
    assert rows["most frequent label"]["scores"]["span_f1"] == 0.0
    assert rows["most frequent tag"]["scores"]["span_f1"] == 1.0
    assert "bilstm" in record["verdict"]
    assert (folder / "report.html").stat().st_size > 10_000


def test_evaluate_says_what_each_type_of_span_reaches(comparison, entities, capsys):
    folder, _ = comparison
    assert run(["evaluate", str(folder), str(entities), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert {"accuracy", "span_f1", "sequence_accuracy", "accuracy_known_words"} <= set(scores)
    assert {label: row["support"] for label, row in scores["spans"].items()} == {"person": 80, "place": 80}
    assert all(0.0 <= row["f1"] <= 1.0 for row in scores["spans"].values())
    assert run(["evaluate", str(folder), str(entities)]) == 0
    printed = capsys.readouterr().out
    assert "of 80" in printed
    assert "spans" not in printed


def test_a_file_with_too_few_sentences_to_divide_is_one_clear_error(tmp_path, capsys):
    path = tmp_path / "few.conll"
    path.write_text("the D\ncat N\n\n")
    assert run(["fit", "tagger", str(path), "-o", str(tmp_path / "m")]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "few.conll: its 1 sequences" in said
    assert "leave none for validation" in said
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("changes", [None, {"num_layers": 2}, {"cell": "gru", "forget_bias": None}])
def test_a_tuned_tagger_is_written_down_as_what_differs_from_a_tagger(changes):
    """`fit --config` begins with a tagger's own network, not with the network of all tasks."""
    usual = rc.Tagger.default("network")
    found = rc.Tagger(None if changes is None else usual.replace(**changes))
    sections = _sections(found, Choices())
    assert usual.replace(**sections["network"]) == (found.network or usual)
    assert sections["network"] == {} if changes is None else "hidden_size" not in sections["network"]
    asked = as_asked(found, default_space())
    assert (asked["network.num_layers"], asked["network.bidirectional"]) == (
        (changes or {}).get("num_layers", 1),
        True,
    )


def test_options_of_tags_are_options_of_the_task(entities, tmp_path, capsys):
    columns = ["--input", "0", "--target", "-1", "--epochs", "0", "--hidden-size", "4", "-q"]
    command = ["fit", "tagger", str(entities), *columns, "-o", str(tmp_path / "m")]
    assert run([*command, "--set", "task.head=softmax", "--set", "task.scheme=none"]) == 0
    stored = json.loads((tmp_path / "m" / "config.json").read_text())
    assert stored["options"]["schemes"] == [None]
    assert not rc.load(tmp_path / "m").head.chain
    capsys.readouterr()
    assert run([*command, "--set", "task.hed=crf"]) == 2
    assert "[task] has no option 'hed'; did you mean 'head'?" in capsys.readouterr().err
    assert run([*command, "--set", "task.tags=crf"]) == 2
    assert "[task] has no option 'tags'" in capsys.readouterr().err


def check_alternatives_begin_with_the_answer(folder, capsys):
    text = "Ann Ray lives in Oslo ."
    assert run(["predict", str(folder), "--text", text, "--n-best", "3"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["alternatives"] == rc.load(folder).alternatives([text], count=3)[0]
    assert len(record["alternatives"]) == 3
    assert record["alternatives"][0]["labels"] == [step["label"] for step in record["steps"]]


def test_predict_tells_the_best_sequences_of_tags_on_request(comparison, capsys):
    """Sequences that were not in their order would be noticed."""
    best = TagDecoder.best

    def turned(self, *given):
        return [(paths[::-1], chances[::-1]) for paths, chances in best(self, *given)]

    backwards = mock.patch.object(TagDecoder, "best", turned)
    assert_noticed(backwards, lambda: check_alternatives_begin_with_the_answer(comparison[0], capsys))


def test_alternatives_are_of_taggers_alone(tmp_path, capsys):
    clf = rc.Classifier(rc.Network(hidden_size=4, num_layers=1), rc.Training(epochs=1))
    clf.fit(["good", "bad"] * 8, ["a", "b"] * 8).save(tmp_path / "m")
    assert run(["predict", str(tmp_path / "m"), "--text", "good", "--n-best", "2"]) == 2
    assert "--n-best has no effect on a classifier" in capsys.readouterr().err
