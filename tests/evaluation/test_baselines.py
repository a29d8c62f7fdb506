"""The alternatives: each learns what it can and no more, by its contract; `auto` chooses them by their time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import recurra as rc
from recurra.errors import SpecError
from recurra.evaluation.baselines import BASELINES, Setting, Sizes, choose, fitting
from recurra.evaluation.baselines.choice import LEAST_SECONDS, network_seconds
from recurra.evaluation.baselines.layers import TransformerBody, positions
from recurra.evaluation.baselines.neighbours import warped_distances
from recurra.evaluation.runs import blank, setting_of
from recurra.tasks.materials import materials
from shared import assert_noticed
from tasks.made import signals, texts

NETWORK = rc.Network(cell="gru", hidden_size=16, num_layers=1)
TRAINING = rc.Training(epochs=25, batch_size=16)
NEURAL = ("cnn", "mlp", "transformer")


def parts(inputs, targets, static=None):
    whole = materials(inputs, targets, static)
    rows = np.arange(len(whole))
    return {
        "train": whole.select(rows[:-60]),
        "validation": whole.select(rows[-60:-30]),
        "test": whole.select(rows[-30:]),
    }


def learnt(name: str, divided, *, estimator=None, seed: int = 0, training=TRAINING):
    """(test targets, answers, baseline) of one baseline."""
    asked = estimator or rc.Classifier(NETWORK, training)
    empty = blank(asked, divided)
    coded = {part: empty.coded(divided[part]) for part in divided}
    made = BASELINES[name](setting_of(asked, empty, seed))
    made.prepare()
    made.fit(divided["train"], coded["train"], divided["validation"], coded["validation"])
    return coded["test"], made.answer(divided["test"]), made


def made_setting(**changes) -> Setting:
    usual = {
        "task": "classifier",
        "outputs": 2,
        "multilabel": False,
        "characters": False,
        "parameters": 1000,
        "operations": 8000,
        "network": NETWORK,
        "training": TRAINING,
        "inputs": rc.Words(),
    }
    return Setting(**{**usual, **changes})


CLASSES = [
    *((name, texts) for name in fitting(made_setting(), "text")),
    *((name, signals) for name in fitting(made_setting(), "signal")),
]


@pytest.mark.parametrize(("name", "made"), CLASSES, ids=lambda v: getattr(v, "__name__", v))
def test_classes_are_answered_with_probabilities_whatever_the_length(name, made):
    inputs, labels = made(150)
    divided = parts(inputs, labels)
    _, answers, baseline = learnt(name, divided, training=TRAINING.replace(epochs=3))
    assert answers.shape == (30, 2)
    np.testing.assert_allclose(answers.sum(axis=1), 1.0, atol=1e-6)
    assert answers.min() >= 0
    assert baseline.parameters() > 0
    one = baseline.answer(divided["test"].select(np.array([4])))
    np.testing.assert_allclose(one[0], answers[4], atol=1e-5)


@pytest.mark.parametrize("name", ["summary + logistic", "1-NN DTW", "cnn", "mlp", "transformer"])
def test_a_trend_in_signals_is_learnt_by_all_that_can_see_it(name):
    truth, answers, _ = learnt(name, parts(*signals(200)), training=TRAINING.replace(epochs=40))
    accuracy = np.mean(answers.argmax(axis=1) == truth)
    # Mean and maximum say nothing of the direction of a trend: the perceptron must not see it.
    assert accuracy < 0.8 if name == "mlp" else accuracy > 0.9


@pytest.mark.parametrize(
    ("name", "knows_order"), [("naive Bayes", False), ("mlp", False), ("transformer", True)]
)
def test_the_order_of_words_is_learnt_only_where_it_is_read(name, knows_order):
    truth, answers, _ = learnt(name, parts(*texts(360)), training=TRAINING.replace(epochs=25))
    accuracy = np.mean(answers.argmax(axis=1) == truth)
    assert accuracy > 0.9 if knows_order else accuracy < 0.8


@pytest.mark.parametrize("name", [*NEURAL, "summary + ridge", "1-NN DTW", "mean"])
def test_numbers_are_answered_in_their_own_units(name):
    inputs, _ = signals(200)
    numbers = np.array([500 + 100 * row.mean() for row in inputs])
    reg = rc.Regressor(NETWORK, TRAINING)
    truth, answers, _ = learnt(name, parts(inputs, numbers), estimator=reg)
    assert answers.shape == truth.shape
    assert abs(answers.mean() - 500) < 30


@pytest.mark.parametrize("name", NEURAL)
def test_several_labels_and_vectors_of_numbers_are_answered(name):
    inputs, labels = texts(120)
    both = [
        {label, "film"} if "film" in text.split() else {label}
        for text, label in zip(inputs, labels, strict=True)
    ]
    few = TRAINING.replace(epochs=2)
    truth, answers, _ = learnt(name, parts(inputs, both), estimator=rc.Classifier(NETWORK, few))
    assert answers.shape == truth.shape == (30, 3)
    assert ((answers > 0) & (answers < 1)).all()
    rows, _ = signals(120)
    pairs = np.array([[row.mean(), row.std()] for row in rows])
    truth, answers, _ = learnt(name, parts(rows, pairs), estimator=rc.Regressor(NETWORK, few))
    assert answers.shape == truth.shape == (30, 2)


@pytest.mark.parametrize("name", NEURAL)
def test_networks_without_recurrence_have_a_like_number_of_parameters(name):
    for divided in (parts(*texts(120)), parts(*signals(120))):
        asked = rc.Classifier(rc.Network(hidden_size=32, num_layers=1), TRAINING.replace(epochs=0))
        wanted = blank(asked, divided).summary().parameters
        _, _, baseline = learnt(name, divided, estimator=asked)
        assert baseline.parameters() == pytest.approx(wanted, rel=0.15)


@pytest.mark.parametrize("name", NEURAL)
def test_the_same_seed_gives_the_same_answers_and_another_does_not(name):
    divided = parts(*signals(120))
    few = TRAINING.replace(epochs=2)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    _, first, _ = learnt(name, divided, training=few)
    _, again, _ = learnt(name, divided, training=few)
    _, other, _ = learnt(name, divided, training=few, seed=1)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads


def padding_has_no_say(name: str) -> None:
    inputs, labels = signals(120)
    divided = parts([*inputs, np.zeros((200, 2))], [*labels, "up"])
    _, answers, baseline = learnt(name, divided, training=TRAINING.replace(epochs=1))
    alone = np.concatenate([baseline.answer(divided["test"].select(np.array([i]))) for i in range(30)])
    np.testing.assert_allclose(answers, alone, atol=1e-5)


@pytest.mark.parametrize("name", NEURAL)
def test_answers_do_not_depend_on_what_stands_beside(name):
    padding_has_no_say(name)


def test_forgotten_padding_would_be_noticed():
    class Unmasked:
        def __enter__(self):
            self.kept = TransformerBody.forward
            TransformerBody.forward = lambda body, steps, mask: self.kept(body, steps, torch.ones_like(mask))

        def __exit__(self, *_):
            TransformerBody.forward = self.kept

    assert_noticed(Unmasked(), lambda: padding_has_no_say("transformer"))


@pytest.mark.parametrize("name", NEURAL)
def test_static_features_and_empty_sequences_are_read(name):
    inputs, _ = signals(150)
    inputs[-1] = np.zeros((0, 2))
    static = np.random.default_rng(0).standard_normal((150, 1))
    labels = np.where(static[:, 0] > 0, "high", "low").tolist()
    divided = parts(inputs, labels, static)
    _, answers, baseline = learnt(name, divided, training=TRAINING.replace(epochs=20))
    assert np.isfinite(answers).all()
    low, high = (
        baseline.answer(replace(divided["test"], static=np.full((30, 1), side))) for side in (-3.0, 3.0)
    )
    # Classes are numbered by name: "high" is the first.
    assert (high[:, 0] - low[:, 0]).mean() > 0.1


def test_positions_tell_every_step_apart_for_odd_widths_too():
    made = positions(50, 7).numpy()
    assert made.shape == (50, 7)
    assert len(np.unique(made.round(6), axis=0)) == 50


def reference_warping(a, b, band):
    """The textbook programme, cell by cell."""
    table = np.full((len(a) + 1, len(b) + 1), np.inf)
    table[0, 0] = 0.0
    slope = len(b) / len(a)
    reach = max(max(1.0, np.ceil(band * max(len(a), len(b)))), slope)
    for i in range(len(a)):
        for j in range(len(b)):
            if abs(j - ((i + 0.5) * slope - 0.5)) <= reach:
                best = min(table[i, j], table[i, j + 1], table[i + 1, j])
                table[i + 1, j + 1] = ((a[i] - b[j]) ** 2).sum() + best
    return table[-1, -1]


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    steps=st.integers(1, 12),
    band=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 1000),
)
def test_warped_distances_are_those_of_the_textbook(lengths, steps, band, seed):
    generator = np.random.default_rng(seed)
    others = [generator.standard_normal((n, 2)) for n in lengths]
    padded = np.full((len(lengths), max(lengths), 2), 99.0)
    for row, values in zip(padded, others, strict=True):
        row[: len(values)] = values
    query = generator.standard_normal((steps, 2))
    found = warped_distances(query, padded, np.array(lengths), band)
    wanted = [reference_warping(query, values, band) for values in others]
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, wanted)


def test_a_shifted_copy_is_nearest_under_warping():
    time = np.linspace(0, 6, 40)
    shifted, other = np.sin(time - 0.3)[:, None], np.cos(time)[:, None]
    near, far = warped_distances(np.sin(time)[:, None], np.stack([shifted, other]), np.array([40, 40]))
    assert near < 0.2 * far
    assert near < ((np.sin(time)[:, None] - shifted) ** 2).sum()


SMALL = Sizes(train=200, others=100, mean=20.0, longest=40)
LARGE = Sizes(train=50_000, others=10_000, mean=300.0, longest=500)


def names(chosen) -> list[str]:
    return [kind.name for kind in chosen.kinds]


def test_auto_takes_everything_where_that_is_quick():
    assert names(choose("auto", made_setting(), "text", sizes=SMALL)) == list(fitting(made_setting(), "text"))
    assert "1-NN DTW" in names(choose("auto", made_setting(), "signal", sizes=SMALL))


def test_auto_leaves_out_what_takes_longer_than_the_networks_and_says_so():
    chosen = choose("auto", made_setting(), "signal", sizes=LARGE)
    assert {"majority", "summary + logistic"} <= set(names(chosen))
    assert not {"1-NN DTW", "transformer"} & set(names(chosen))
    assert "1-NN DTW (about" in chosen.notes[0]
    spent = sum(kind.seconds(made_setting(), LARGE) for kind in chosen.kinds)
    assert spent <= max(LEAST_SECONDS, network_seconds(made_setting(), LARGE))
    more = choose("auto", made_setting(), "signal", sizes=LARGE, networks=50)
    assert set(names(more)) > set(names(chosen))


def test_every_baseline_is_there_once_before_any_has_more_seeds():
    setting, sizes = made_setting(), SMALL
    neural = [kind for kind in fitting(setting, "text").values() if kind.neural]
    each = sum(kind.seconds(setting, SMALL) for kind in neural)
    factor = LEAST_SECONDS / each * 0.99  # a training split on which all of them just fit once
    sizes = Sizes(train=int(SMALL.train * factor), others=int(SMALL.others * factor), mean=20.0, longest=40)
    chosen = choose("auto", setting, "text", sizes=sizes, seeds=3)
    assert {kind.name for kind in neural} <= set(names(chosen))
    assert any(chosen.seeds[kind.name] == 1 for kind in neural)
    assert "baselines with fewer seeds than 3: " in chosen.notes[0]
    assert choose("all", setting, "text", sizes=sizes, seeds=3).seeds["cnn"] == 3


def test_all_none_and_names_are_taken_at_their_word():
    setting = made_setting()
    assert names(choose("all", setting, "signal", sizes=LARGE)) == list(fitting(setting, "signal"))
    assert names(choose("none", setting, "text", sizes=SMALL)) == []
    assert names(choose(["cnn", "majority", "cnn"], setting, "text", sizes=SMALL)) == ["cnn", "majority"]
    with pytest.raises(SpecError, match="did you mean 'transformer'"):
        choose("transfomer", setting, "text", sizes=SMALL)
    with pytest.raises(SpecError, match="of this task"):
        choose("1-NN DTW", setting, "text", sizes=SMALL)
