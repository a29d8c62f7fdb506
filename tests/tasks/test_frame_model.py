"""Frame models: many yes/no's per step, foretold from the steps before."""

from __future__ import annotations

import numpy as np
import pytest

import recurra as rc
from recurra.data.dataset import Dataset
from recurra.graph.run import tensors
from recurra.ragged import Ragged
from recurra.runtime import walking

NETWORK = rc.Network(hidden_size=8, num_layers=1)
TRAINING = rc.Training(epochs=2, batch_size=3, sequence_length=6, learning_rate=0.01)


def rolls(count: int = 12, seed: int = 0) -> list[np.ndarray]:
    """A cycle of chords over five keys, from a place that differs, with a little noise."""
    generator = np.random.default_rng(seed)
    chords = np.array([[1, 0, 1, 0, 0], [0, 1, 0, 1, 0], [0, 0, 1, 0, 1]])
    made = []
    for _ in range(count):
        begin, length = generator.integers(3), generator.integers(4, 20)
        made.append(chords[(begin + np.arange(length)) % 3].astype(np.uint8))
    return made


@pytest.fixture(scope="module")
def model() -> rc.FrameModel:
    return rc.FrameModel(NETWORK, TRAINING).fit(rolls())


def test_it_learns_which_chord_follows():
    training = rc.Training(epochs=30, batch_size=4, sequence_length=10, learning_rate=0.03)
    made = rc.FrameModel(rc.Network(hidden_size=16, num_layers=1), training).fit(rolls(40))
    found = made.predictor_.log_probabilities(rolls(5, seed=9))
    assert all(np.asarray(found[row][1:]).mean() > -0.5 for row in range(5))
    following = made.predictor_.next_frame([rolls(1)[0][:4]])[0] > 0.5
    assert following.tolist() == rolls(1)[0][1].astype(bool).tolist()


def test_frames_are_scored_as_the_definition_says(model):
    data = rolls(4, seed=2)
    batch = model.predictor_.encode(data)
    outputs = np.concatenate(list(model.predictor_.walk(batch))).astype(np.float64)
    found = model.predictor_.log_probabilities(data)
    for row, frames in enumerate(data):
        y = outputs[batch.offsets[row] : batch.offsets[row + 1] - 1]
        expected = -(np.logaddexp(0, y) - frames * y).sum(axis=1)
        np.testing.assert_allclose(found[row], expected, rtol=1e-5)
    total = -np.asarray(found.values, np.float64).sum() / sum(map(len, data))
    assert model.scores(data)["nats_per_frame"] == pytest.approx(total)


def test_training_reads_whole_sequences_with_the_same_bits(model):
    data = rolls(6, seed=3)
    batch = model.predictor_.encode(data)
    problem = model._problem(batch, None, TRAINING.replace(batch_size=1), model.parameters_)
    state, found, parameters = None, [], tensors(model.parameters_)
    for window in range(problem.windows(np.arange(1))):
        losses, weights, state = problem.loss(parameters, np.arange(1), seed=1, window=window, state=state)
        found.append(losses.detach().numpy()[weights.numpy() > 0])
    whole = np.asarray(model.predictor_.log_probabilities(data).values)
    assert np.concatenate(found).tobytes() == (-whole).tobytes()


def test_alone_in_a_batch_and_in_stretches_gives_the_same_bits(model, monkeypatch, tmp_path):
    data = rolls(5, seed=4)
    together = model.predictor_.log_probabilities(data)
    model.save(tmp_path / "m")
    stored = rc.load(tmp_path / "m")
    monkeypatch.setattr(walking, "CHUNK_TOKENS", 4)
    for row, frames in enumerate(data):
        assert stored.log_probabilities([frames])[0].tobytes() == together[row].tobytes()
    assert rc.FrameModel.load(tmp_path / "m").scores(data) == model.scores(data)


def test_a_dataset_and_a_ragged_are_taken_as_their_sequences(model):
    held, data = rolls(3, seed=7), rolls()
    whole = Ragged.from_lists([np.asarray(roll, np.float64) for roll in data])
    given = Dataset(inputs=whole, kind="signal", features=tuple("abcde"))
    plain = rc.FrameModel(NETWORK, TRAINING).fit(data, validation_data=held)
    for inputs in (whole, given):
        made = rc.FrameModel(NETWORK, TRAINING).fit(inputs, validation_data=held)
        assert all(made.parameters_[n].tobytes() == v.tobytes() for n, v in plain.parameters_.items())
        assert made.scores(inputs) == plain.scores(data)
        assert made.predict(inputs).tobytes() == plain.predict(data).tobytes()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rc.FrameModel(NETWORK, TRAINING).fit([np.full((3, 2), 0.5)] * 3), "0 and 1 alone, got 0.5"),
        (lambda: rc.FrameModel(NETWORK.replace(bidirectional=True), TRAINING).fit(rolls()), "must not see"),
        (lambda: rc.FrameModel(NETWORK, TRAINING).fit(rolls(1)), "at least two sequences"),
        (lambda: rc.FrameModel(NETWORK, TRAINING.replace(label_smoothing=0.1)).fit(rolls()), "no effect"),
    ],
)
def test_what_is_no_roll_is_refused(make, message):
    with pytest.raises(rc.errors.InputError, match=message):
        make()


def test_epochs_by_themselves_depend_on_the_frames():
    training = TRAINING.replace(epochs="auto", max_seconds=0.001)
    assert rc.FrameModel(NETWORK, training, validation=0.0).fit(rolls(6)).training_.epochs == 20
