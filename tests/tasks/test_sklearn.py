"""scikit-learn's contract: clone, get_params, set_params, cross validation and grid search in two processes."""

from __future__ import annotations

import numpy as np
import pytest

import recurra as rc
from recurra.errors import SpecError
from tasks.made import small, texts

sklearn_base = pytest.importorskip("sklearn.base")


def test_clone_gives_an_equal_unfitted_estimator():
    model = small(pooling="mean")
    copy = sklearn_base.clone(model)
    assert copy is not model
    assert copy.get_params(deep=False) == model.get_params(deep=False)


def test_nested_parameters_rebuild_the_specification_and_never_change_a_shared_one():
    network = rc.Network(hidden_size=16)
    first, second = rc.Classifier(network), rc.Classifier(network)
    first.set_params(network__hidden_size=32, training__epochs=2)
    assert (first.network.hidden_size, second.network.hidden_size, network.hidden_size) == (32, 16, 16)
    assert first.get_params()["training__epochs"] == 2


def test_options_that_only_fit_together_can_be_set_together():
    model = rc.Classifier(rc.Network(cell="lstm", cell_clip=3.0))
    assert model.set_params(network__cell="gru", network__cell_clip=None).network.cell == "gru"


@pytest.mark.parametrize("name", ["nosuch", "network__nosuch", "network__hidden_size__x"])
def test_an_unknown_parameter_is_refused(name):
    with pytest.raises(SpecError, match="has no"):
        rc.Classifier().set_params(**{name: 1})


def test_an_invalid_value_in_a_grid_is_refused():
    with pytest.raises(SpecError, match="hidden_size"):
        rc.Classifier().set_params(network__hidden_size=0)


def test_cross_val_score_runs_on_texts():
    from sklearn.model_selection import cross_val_score

    scores = cross_val_score(small(epochs=2), *texts(90), cv=3)
    assert scores.shape == (3,)
    assert np.all(scores > 0.3)


def test_grid_search_runs_in_two_processes_and_finds_the_same_as_in_one():
    from sklearn.model_selection import GridSearchCV

    inputs, labels = texts(60)
    found = []
    for jobs in (1, 2):
        grid = {"network__hidden_size": [2, 8]}
        search = GridSearchCV(small(epochs=2), grid, cv=2, n_jobs=jobs, error_score="raise")
        search.fit(inputs, labels)
        found.append(search.cv_results_["mean_test_score"].tolist())
    assert found[0] == found[1]


def test_pandas_polars_and_numpy_go_in():
    import pandas
    import polars

    inputs, labels = texts(60)
    answers = [
        small(epochs=1).fit(x, y).predict_proba(inputs[:5])
        for x, y in [
            (inputs, labels),
            (np.array(inputs), np.array(labels)),
            (np.array(inputs, dtype=object), labels),
            (pandas.Series(inputs), pandas.Series(labels)),
            (polars.Series(inputs), polars.Series(labels)),
        ]
    ]
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    inputs, labels = texts(60)
    first, second, third = (small(epochs=1, seed=s).fit(inputs, labels).parameters_ for s in (1, 1, 2))
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])
    assert any(not np.array_equal(value, third[name]) for name, value in first.items())
