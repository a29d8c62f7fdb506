"""The regressor: one number, vectors, losses, bundles."""

from __future__ import annotations

import numpy as np
import pytest

import recurra as rc
from recurra.errors import InputError, SpecError
from tasks.made import signals


def model(epochs: int = 25, **options) -> rc.Regressor:
    network = rc.Network(cell="gru", hidden_size=8, num_layers=1)
    return rc.Regressor(network, rc.Training(epochs=epochs, learning_rate=0.02, batch_size=8), **options)


def slopes(inputs) -> np.ndarray:
    return np.array([100.0 + 50.0 * (row[-1, 0] - row[0, 0]) for row in inputs])


@pytest.mark.parametrize("loss", ["squared", "absolute", "huber"])
def test_a_number_is_learnt_in_its_own_units(loss):
    inputs, _ = signals(80)
    fitted = model(loss=loss).fit(inputs, slopes(inputs))
    unseen, _ = signals(40, seed=7)
    assert fitted.score(unseen, slopes(unseen)) > 0.8
    assert 0 < fitted.predict(unseen).mean() < 200


def test_a_vector_is_learnt_and_stored(tmp_path):
    inputs, _ = signals(80)
    targets = np.stack([slopes(inputs), [len(row) for row in inputs]], axis=1)
    fitted = model().fit(inputs, targets)
    assert fitted.predict(inputs).shape == (80, 2)
    loaded = rc.load(fitted.save(tmp_path / "m"))
    np.testing.assert_array_equal(loaded.predict(inputs), fitted.predict(inputs))
    assert len(next(iter(loaded.records(inputs[:1])))["value"]) == 2
    assert rc.Regressor.load(tmp_path / "m").score(inputs, targets) == fitted.score(inputs, targets)


def test_missing_targets_and_classification_options_are_refused():
    inputs, _ = signals(20)
    with pytest.raises(InputError, match=r"nan|missing|finite"):
        model().fit(inputs, [float("nan")] * 20)
    with pytest.raises(SpecError, match="label_smoothing"):
        model().set_params(training__label_smoothing=0.1).fit(inputs, slopes(inputs))
    with pytest.raises(SpecError, match="class_weight"):
        model().set_params(training__class_weight="balanced").fit(inputs, slopes(inputs))


def test_another_task_is_not_loaded_as_this_one(tmp_path):
    inputs, _ = signals(30)
    path = model(epochs=1).fit(inputs, slopes(inputs)).save(tmp_path / "m")
    with pytest.raises(InputError, match="holds a regressor"):
        rc.Classifier.load(path)
