"""MIDI files read back by a reader of its own, note by note."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recurra.data.midi import TICKS, write_midi
from recurra.errors import DataError


def notes(content):
    """((key, first tick, last tick) of each note, microseconds per quarter, ticks in all) of a file of one track."""
    assert content[:4] == b"MThd"
    assert [int.from_bytes(content[at : at + 2], "big") for at in (8, 10, 12)] == [0, 1, TICKS]
    assert content[14:18] == b"MTrk"
    assert len(content) == 22 + int.from_bytes(content[18:22], "big")
    place, now, tempo, begun, found = 22, 0, None, {}, []
    while True:
        wait = 0
        while content[place] & 0x80:
            wait, place = (wait << 7) + (content[place] & 0x7F), place + 1
        now, place = now + (wait << 7) + content[place], place + 1
        status = content[place]
        if status == 0xFF:
            kind, size = content[place + 1], content[place + 2]
            body = content[place + 3 : place + 3 + size]
            place += 3 + size
            if kind == 0x2F:
                assert place == len(content)
                assert not begun
                return found, tempo, now
            assert kind == 0x51
            tempo = int.from_bytes(body, "big")
        else:
            key, loudness = content[place + 1], content[place + 2]
            place += 3
            if status == 0x90:
                assert key not in begun
                assert loudness == 80
                begun[key] = now
            else:
                assert status == 0x80
                found.append((key, begun.pop(key), now))


def held(roll):
    """The same notes straight from the roll, in steps."""
    made = []
    for key in range(roll.shape[1]):
        begin = None
        for step in range(len(roll) + 1):
            sounds = step < len(roll) and roll[step, key]
            if sounds and begin is None:
                begin = step
            if not sounds and begin is not None:
                made.append((key, begin, step))
                begin = None
    return made


@settings(max_examples=50, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(0, 12), st.integers(1, 5))), st.sampled_from([1, 2, 4]))
def test_every_note_is_read_back(tmp_path_factory, roll, per_quarter):
    path = tmp_path_factory.mktemp("midi") / "song.mid"
    assert write_midi(path, roll, lowest=60, steps_per_quarter=per_quarter) == path
    found, tempo, ticks = notes(path.read_bytes())
    step = TICKS // per_quarter
    assert sorted(found) == sorted((key + 60, begin * step, end * step) for key, begin, end in held(roll))
    assert tempo == 600_000
    assert ticks == len(roll) * step


def test_a_long_silence_and_a_full_keyboard(tmp_path):
    roll = np.zeros((1000, 88))
    roll[0], roll[-1] = 1, 1
    found, _, ticks = notes(write_midi(tmp_path / "a.mid", roll).read_bytes())
    assert len(found) == 176
    assert {key for key, _, _ in found} == set(range(21, 109))
    assert ticks == 1000 * 240


@pytest.mark.parametrize(
    ("roll", "options", "message"),
    [
        (np.zeros(5), {}, "shape"),
        (np.zeros((5, 88)), {"lowest": 60}, "0 to 127"),
        (np.zeros((5, 88)), {"steps_per_quarter": 7}, "steps_per_quarter must divide 480"),
        (np.zeros((5, 88)), {"tempo": 0}, "tempo"),
        (np.zeros((5, 88)), {"velocity": 128}, "velocity"),
    ],
)
def test_what_midi_cannot_say_is_refused(tmp_path, roll, options, message):
    with pytest.raises(DataError, match=message):
        write_midi(tmp_path / "a.mid", roll, **options)
    assert not list(tmp_path.iterdir())
