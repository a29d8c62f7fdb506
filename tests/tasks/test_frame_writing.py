"""Frames that a model draws: by the seed alone, in the shares of its probabilities, and as music."""

from __future__ import annotations

import numpy as np
import pytest

import recurra as rc
from recurra import kernels
from recurra.data.midi import write_midi
from recurra.errors import SpecError
from tasks.test_frame_model import NETWORK, TRAINING, rolls


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    made = rc.FrameModel(NETWORK, TRAINING.replace(epochs=6, learning_rate=0.03)).fit(rolls(30))
    return rc.load(made.save(tmp_path_factory.mktemp("frames") / "m"))


def test_a_seed_gives_the_same_frames_at_any_thread_count_and_the_fewer_begin_the_more(model):
    before, made = kernels.get_num_threads(), []
    try:
        for threads in (1, 3):
            kernels.set_num_threads(threads)
            made.append(model.generate(rolls(1)[0], frames=20, seed=4))
    finally:
        kernels.set_num_threads(before)
    np.testing.assert_array_equal(*made)
    np.testing.assert_array_equal(model.generate(rolls(1)[0], frames=7, seed=4), made[0][:7])
    assert not np.array_equal(model.generate(rolls(1)[0], frames=20, seed=5), made[0])


def test_keys_sound_as_often_as_their_probability_says(model):
    prompt = rolls(1)[0][:5]
    chances = model.next_frame([prompt])[0].astype(np.float64)
    drawn = np.mean([model.generate(prompt, frames=1, seed=seed)[0] for seed in range(600)], axis=0)
    spread = np.sqrt(chances * (1 - chances) / 600)
    assert np.all(np.abs(drawn - chances) < 4 * spread)
    assert np.any(np.abs(drawn - np.roll(chances, 1)) > 4 * spread)


def test_temperature_zero_takes_the_likelier_of_yes_and_no(model):
    read = [rolls(1)[0][:3]]
    made = model.generate(read[0], frames=6, temperature=0)
    for frame in made:
        np.testing.assert_array_equal(frame, model.next_frame(read)[0] > 0.5)
        read = [np.concatenate([read[0], frame[None]])]


def test_frames_begin_from_nothing_and_become_music(model, tmp_path):
    made = model.generate(frames=16, seed=1)
    assert made.shape == (16, 5)
    assert set(np.unique(made)) <= {0.0, 1.0}
    assert write_midi(tmp_path / "song.mid", made, lowest=60).stat().st_size > 30


@pytest.mark.parametrize(
    ("options", "message"), [({"frames": 0}, "frames must"), ({"temperature": -1}, "temper")]
)
def test_bad_requests_are_refused(model, options, message):
    with pytest.raises(SpecError, match=message):
        model.generate(**options)
