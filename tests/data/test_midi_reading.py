"""Piano rolls read from MIDI files and from lists of keys."""

from __future__ import annotations

import json
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recurra.data import midi_reading
from recurra.data.midi import write_midi
from recurra.data.midi_reading import MOST_STEPS, read_midi
from recurra.data.piano import KEY_NAMES, KEYS
from recurra.data.reading import read
from recurra.errors import DataError
from shared import assert_noticed, shared_data


def midi(*tracks: bytes, kind: int = 1, ticks: int = 4) -> bytes:
    header = b"MThd" + (6).to_bytes(4, "big")
    header += b"".join(number.to_bytes(2, "big") for number in (kind, len(tracks), ticks))
    return header + b"".join(b"MTrk" + len(track).to_bytes(4, "big") + track for track in tracks)


END = b"\x00\xff\x2f\x00"


def sounding(roll):
    """Names of the keys of each step."""
    return [[KEY_NAMES[key] for key in np.flatnonzero(step)] for step in roll]


@settings(max_examples=30, deadline=None)
@given(
    roll=arrays(np.uint8, st.tuples(st.integers(0, 12), st.just(KEYS)), elements=st.integers(0, 1)),
    steps=st.sampled_from([1, 2, 4, 6]),
)
def test_what_was_written_is_read_back(tmp_path_factory, roll, steps):
    path = write_midi(tmp_path_factory.mktemp("m") / "a.mid", roll, steps_per_quarter=steps)
    np.testing.assert_array_equal(read_midi(path.read_bytes(), "a.mid", steps_per_quarter=steps), roll)


def check_a_file_of_two_tracks():
    """Running status, a note that loudness 0 ends, a meta event, a system message, percussion, other events."""
    melody = bytes([0, 0x90, 60, 80, 4, 60, 0, 0, 64, 80, 2, 64, 0])
    other = b"\x00\xff\x03\x02hi\x00\xf0\x01\xf7" + bytes([0, 0xC1, 5, 0, 0x91, 48, 9, 8, 0x81, 48, 0])
    drums = bytes([0, 0x99, 50, 90, 4, 0x89, 50, 0])
    found = read_midi(midi(melody + END, other + drums + END), "x.mid", steps_per_quarter=2)
    assert sounding(found) == [["C3", "C4"], ["C3", "C4"], ["C3", "E4"], ["C3"], [], []]


def test_tracks_sound_together_on_the_grid():
    """Drums that were read as pitches would be noticed."""
    assert_noticed(mock.patch.object(midi_reading, "PERCUSSION", -1), check_a_file_of_two_tracks)


def test_a_short_note_has_one_step_and_an_unended_one_the_rest():
    track = bytes([4, 0x90, 60, 80, 0, 0x80, 60, 0, 4, 0x90, 62, 80]) + b"\x08\xff\x2f\x00"
    found = read_midi(midi(track, kind=0), "x.mid", steps_per_quarter=1)
    assert sounding(found) == [[], ["C4"], ["D4"], ["D4"]]


def test_a_note_at_the_very_end_is_heard():
    late = bytes([4, 0x90, 60, 80, 1, 0x80, 60, 0]) + END
    assert sounding(read_midi(midi(late), "x", steps_per_quarter=1)) == [[], ["C4"]]


def test_keys_beyond_the_piano_are_left_out():
    track = bytes([0, 0x90, 20, 80, 0, 109, 80, 0, 21, 80, 0, 108, 80]) + b"\x04\xff\x2f\x00"
    assert sounding(read_midi(midi(track), "x", steps_per_quarter=1)) == [["A0", "C8"]]


LONG = bytes([0xFF, 0xFF, 0xFF, 0x7F]) + b"\xff\x2f\x00"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"RIFF and more", "no standard MIDI file"),
        (midi(END, kind=2), "format 2"),
        (midi(END, ticks=0xE728), "division 0xe728"),
        (midi(END, END)[:-10], "lacks 1 of its tracks|middle of a track"),
        (midi(b"\x00\x90\x3c"), "middle of an event"),
        (midi(b"\x00\x3c\x3c"), "byte 23 is no MIDI event"),
        (midi(b"\xff\xff\xff\xff\x01\x00"), "a number that is too long"),
        (midi(b"\x00\xff\x01\x7f\x00"), "middle of an event"),
        (midi(LONG, ticks=1), f"at most {MOST_STEPS:,}"),
    ],
)
def test_what_is_no_midi_is_one_clear_error(data, message):
    with pytest.raises(DataError, match=message):
        read_midi(data, "x.mid")


def test_folders_of_midi_are_sequences_with_their_parts_and_classes(tmp_path):
    generator = np.random.default_rng(0)
    for place in ("train", "valid", "test"):
        (tmp_path / "parts" / place).mkdir(parents=True)
    for name in ("bach", "bartok"):
        (tmp_path / "classes" / name).mkdir(parents=True)
    rolls = generator.integers(0, 2, (4, 6, KEYS))
    for roll, place in zip(rolls[:3], ("parts/train/a", "parts/valid/b", "parts/test/c"), strict=True):
        write_midi(tmp_path / f"{place}.mid", roll)
    for row, place in enumerate(("bach/a", "bach/b", "bartok/c", "bartok/d")):
        write_midi(tmp_path / "classes" / f"{place}.MID", rolls[row], steps_per_quarter=4)
    parts = read(tmp_path / "parts")
    assert (parts.kind, parts.targets, len(parts), parts.features) == ("signal", None, 3, KEY_NAMES)
    assert sorted(parts.split) == ["test", "train", "validation"]
    np.testing.assert_array_equal(parts.part("train").inputs[0], rolls[0])
    classes = read(tmp_path / "classes", steps_per_quarter=4)
    assert classes.targets == ["bach", "bach", "bartok", "bartok"]
    for row in range(4):
        np.testing.assert_array_equal(classes.inputs[row], rolls[row])


def test_steps_per_quarter_without_midi_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("text,label\na,b\n")
    with pytest.raises(DataError, match="steps_per_quarter has no effect"):
        read(tmp_path / "x.csv", steps_per_quarter=4)


def test_lists_of_keys_by_part_are_rolls(tmp_path):
    path = tmp_path / "songs.json"
    path.write_text(json.dumps({"train": [[[60, 64.0], [], [21, -1]]], "valid": [[[108]]], "test": [[]]}))
    found = read(path)
    assert found.split.tolist() == ["train", "validation", "test"]
    assert sounding(found.inputs[0]) == [["C4", "E4"], [], ["A0"]]
    assert [len(piece) for piece in found.inputs] == [3, 1, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"train": [[[60]], 5]}, "train, piece 2 must be a list of steps"),
        ({"train": [[[60], [20]]]}, "piece 1, step 2: a key must be a MIDI number from 21 to 108, got 20"),
        ({"train": [[[60.5]]]}, "got 60.5"),
        ({"train": [[[60]]], "other": []}, "'other' must be train, valid or test"),
    ],
)
def test_lists_that_are_no_keys_are_named(tmp_path, content, message):
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        read(tmp_path / "x.json")


def test_jsb_chorales_are_read_with_their_split():
    found = read(shared_data("polyphonic_music") / "jsb-chorales-quarter.json.gz")
    sizes = [
        (len(part), len(part.inputs.values)) for part in map(found.part, ("train", "validation", "test"))
    ]
    assert sizes == [(229, 13_807), (76, 4_602), (77, 4_725)]
