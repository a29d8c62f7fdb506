"""Frame models at the command line: from MIDI files to a song, as a person calls it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest

import recurra as rc
from recurra.cli import frames
from recurra.cli.app import run
from recurra.data.midi import write_midi
from recurra.data.piano import KEYS
from shared import assert_noticed

QUICK = (
    *("--hidden-size", "8", "--num-layers", "1", "--epochs", "1", "--batch-size", "4"),
    *("--sequence-length", "9", "--learning-rate", "0.01", "--quiet"),
)


def song(length: int, first: int = 30) -> np.ndarray:
    roll = np.zeros((length, KEYS), np.uint8)
    for step in range(length):
        roll[step, [first + step % 3, first + 12 + step % 3]] = 1
    return roll


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    for row in range(12):
        write_midi(folder / f"song{row}.mid", song(8 + row, 20 + 2 * row), steps_per_quarter=4)
    return folder


@pytest.fixture(scope="module")
def model(music, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("m") / "model")
    assert run(["fit", "frame-model", str(music), "--steps-per-quarter", "4", "-o", folder, *QUICK]) == 0
    return folder


def test_fit_divides_the_pieces_and_says_their_scores(music, tmp_path, capsys):
    folder = str(tmp_path / "m")
    arguments = ["fit", "frame-model", str(music), "-o", folder, "--json", *QUICK]
    assert run([*arguments, "--steps-per-quarter", "4"]) == 0
    told = capsys.readouterr()
    record = json.loads(told.out)
    assert "split: train 10, validation 1, test 1" in told.err
    assert record["task"] == "frame_model"
    assert (record["scores"]["sequences"], record["validation"]["sequences"]) == (1, 1)
    assert (tmp_path / "m" / "history.jsonl").is_file()
    assert not (tmp_path / "m.training").exists()
    assert rc.load(folder).config["data"]["reading"]["steps_per_quarter"] == 4


def test_data_with_parts_of_their_own_keep_them(tmp_path, capsys):
    songs = [[np.flatnonzero(step).tolist() for step in song(6, first)] for first in range(21, 40)]
    songs = [[[key + 21 for key in step] for step in piece] for piece in songs]
    data = tmp_path / "songs.json"
    data.write_text(json.dumps({"train": songs[:12], "valid": songs[12:16], "test": songs[16:]}))
    assert run(["fit", "frame-model", str(data), "-o", str(tmp_path / "m"), "--json", *QUICK]) == 0
    fitted = json.loads(capsys.readouterr().out)["scores"]
    assert fitted["sequences"] == 3
    assert run(["evaluate", str(tmp_path / "m"), str(data), "--part", "test", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == fitted


def test_evaluate_and_predict_read_as_in_training(model, music, capsys, monkeypatch):
    assert run(["evaluate", model, str(music), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rolls = rc.read(music, steps_per_quarter=4).inputs
    assert found["scores"] == rc.load(model).scores(list(rolls))
    assert (found["rows"], found["scores"]["frames"]) == (12, sum(range(8, 20)))
    assert run(["predict", model, str(music / "song3.mid")]) == 0
    by_file = capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(song(11, 26).tolist())))
    assert run(["predict", model]) == 0
    assert capsys.readouterr().out == by_file


def check_a_song_begins_with_its_prompt(model, music, folder, capsys):
    out = folder / "song.mid"
    arguments = ["generate", model, "--prompt", str(music / "song0.mid"), "--length", "6", "--seed", "2"]
    assert run([*arguments, "-o", str(out)]) == 0
    assert run([*arguments, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    made = rc.load(model).generate(song(8, 20), frames=6, seed=2)
    assert record["frames"] == made.astype(int).tolist()
    whole = rc.read(out, steps_per_quarter=4).inputs[0]
    np.testing.assert_array_equal(whole, np.concatenate([song(8, 20), made]))


def test_generate_writes_music_by_the_seed(model, music, tmp_path, capsys):
    """A song without its prompt would be noticed."""
    without = mock.patch.object(frames.np, "concatenate", lambda parts: parts[-1])
    assert_noticed(without, lambda: check_a_song_begins_with_its_prompt(model, music, tmp_path, capsys))


def test_what_is_generated_may_be_scored(model, capsys, monkeypatch):
    assert run(["generate", model, "--length", "5", "--temperature", "0"]) == 0
    line = capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO(line))
    assert run(["predict", model]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 5


def test_playing_scoring_and_predicting_load_no_torch(model, tmp_path):
    song = str(tmp_path / "song.mid")
    verbs = [
        ["generate", model, "--length", "3", "-o", song],
        ["evaluate", model, song],
        ["predict", model, song],
    ]
    code = (
        "import sys; sys.modules['torch'] = None\nfrom recurra.cli.app import run\n"
        f"assert [run(each) for each in {verbs!r}] == [0, 0, 0]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_other_verbs_take_it(model, music, tmp_path, capsys):
    assert run(["verify", model, str(music / "song0.mid"), "--json"]) == 0
    assert "interleaved by key = batch" in capsys.readouterr().out
    assert run(["export", model, "--precision", "int8", "-o", str(tmp_path / "int8")]) == 0
    assert run(["evaluate", str(tmp_path / "int8"), str(music)]) == 0
    assert run(["inspect", str(music), "--quick"]) == 0
    assert "12 sequences, kind signal" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "frame-model", "{music}", "-o", "{out}", "--unit", "words"], "unit has no effect"),
        (["fit", "frame-model", "{music}", "-o", "{out}", "--pooling", "max"], "pooling has no effect"),
        (["fit", "frame-model", "{music}", "-o", "{out}", "--conformal", "0.9"], "effect on a frame model"),
        (["fit", "frame-model", "{music}", "-o", "{out}", "--bidirectional"], "must not see"),
        (["fit", "frame-model", "{text}", "-o", "{out}"], "holds text; a frame model reads steps of 0 and 1"),
        (["fit", "frame-model", "{numbers}", "-o", "{out}"], "0 and 1 alone, got 7"),
        (
            ["fit", "frame-model", "{music}", "-o", "{out}", "--set", "data.steps_per_quarter=x"],
            "whole number",
        ),
        (["fit", "frame-model", "{music}", "-o", "{out}", "--steps-per-quarter", "0"], "at least 1, got 0"),
        (["evaluate", "{model}", "{text}"], "holds text"),
        (["evaluate", "{model}", "{music}", "--cache", "window=2"], "are for language models"),
        (["evaluate", "{model}", "{music}", "--part", "test"], "split"),
        (["generate", "{model}", "--top-k", "3"], "--top-k has no effect on a frame model"),
        (["generate", "{model}", "--ban", "a"], "--ban has no effect on a frame model"),
        (["generate", "{model}", "-o", "{out}.txt"], "must be a file that ends in .mid"),
        (["generate", "{model}", "--steps-per-quarter", "2"], "no effect without --output"),
        (["generate", "{model}", "--prompt", "{music}"], "must hold one sequence, got the 12"),
        (["generate", "{model}", "--prompt", "a.mid", "-p", "b.mid"], "must be one file"),
        (["generate", "{model}", "--condition", "x"], "no effect on this model"),
        (["generate", "{model}", "--length", "0"], "frames must be a whole number"),
        (["predict", "{model}", "--text", "la la"], "must be a sequence of numbers"),
        (["compare", "frame-model", "{music}", "-o", "{out}"], "which recurra fit takes and this"),
        (["tune", "frame-model", "{music}", "-o", "{out}"], "which recurra fit takes and this"),
        (["quantize", "{model}", "{music}"], "export --precision"),
        (["explain", "{model}", "{music}"], "once per sequence"),
    ],
)
def test_bad_use_is_one_line_and_leaves_nothing(model, music, tmp_path, capsys, arguments, message):
    (tmp_path / "text.txt").write_text("la la la\nli li\n")
    np.savez(tmp_path / "numbers.npz", values=np.full((20, 3), 7.0), offsets=np.arange(0, 21, 2))
    places = {"model": model, "music": music, "out": tmp_path / "out"}
    places |= {"text": tmp_path / "text.txt", "numbers": tmp_path / "numbers.npz"}
    quick = QUICK if arguments[0] == "fit" else ()
    assert run([*(each.format(**places) for each in arguments), *quick]) == 2
    told = capsys.readouterr()
    assert message in told.err.strip().splitlines()[-1]
    assert "Traceback" not in told.err
    assert not list(tmp_path.glob("out*"))
