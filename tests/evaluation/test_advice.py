"""The adviser: what it finds where it was planted, what it recommends, and that its advice runs."""

from __future__ import annotations

import json
import tomllib
from contextlib import contextmanager

import numpy as np
import pytest

import recurra as rc
from recurra.cli.app import run
from recurra.data.dataset import Dataset
from recurra.evaluation import advice, ordering
from recurra.evaluation.advice import inspect
from recurra.evaluation.context import context_curve
from recurra.evaluation.ordering import OrderTest, exchange_test, order_test, sign_test
from recurra.evaluation.probing import Probe, first, last, shuffled
from recurra.evaluation.sketch import bag_likeness
from shared import assert_noticed

SIZES = {"train": 1200, "validation": 200, "test": 200}


def bags(count: int = 600, seed: int = 1) -> Dataset:
    """Texts whose class says which words they hold, in random order: order carries nothing."""
    generator = np.random.default_rng(seed)
    words = [f"w{number}" for number in range(60)]
    texts, labels = [], []
    for row in range(count):
        share = np.ones(60)
        share[10 * (row % 2) : 10 * (row % 2) + 10] = 2.5
        texts.append(" ".join(generator.choice(words, size=generator.integers(8, 25), p=share / share.sum())))
        labels.append("ab"[row % 2])
    return Dataset(inputs=texts, targets=labels)


def pulses(count: int = 300, seed: int = 0, *, back: int = 6) -> Dataset:
    """Signals of 40 steps whose class is the sign of the one value that is marked, `back` steps before the end."""
    values = np.random.default_rng(seed).standard_normal((count, 40, 2))
    values[:, :, 1] = 0.0
    values[:, -back, 1] = 5.0
    return Dataset(
        inputs=rc.Ragged(values=values.reshape(-1, 2), offsets=np.arange(0, 40 * count + 1, 40)),
        targets=["up" if value > 0 else "down" for value in values[:, -back, 0]],
        kind="signal",
        features=("x", "mark"),
    )


@pytest.fixture(scope="module")
def reviews():
    return inspect(rc.demo_reviews(sizes=SIZES))


def test_order_matters_in_the_demo_reviews(reviews):
    assert reviews.order.matters
    assert reviews.order.ordered > reviews.order.shuffled + 0.1
    assert reviews.order.ordered > reviews.order.unordered + 0.1
    assert reviews.wrong_tool == ()
    assert "order matters: accuracy" in str(reviews)


def test_order_carries_nothing_in_a_bag_of_words():
    report = inspect(bags())
    assert not report.order.matters
    assert report.order.p_value > 0.05
    (why,) = [text for text in report.wrong_tool if "order carries nothing" in text]
    assert "wrong tool" in why
    assert "'tf-idf + logistic'" in why


def test_a_shuffle_that_shuffles_nothing_is_noticed():
    """Saboteur: with sequences left as they are, the order of the reviews would seem to carry nothing."""

    @contextmanager
    def nothing_shuffled():
        kept, ordering.shuffled = ordering.shuffled, lambda batch, generator: batch
        try:
            yield
        finally:
            ordering.shuffled = kept

    probe = Probe.of(rc.demo_reviews(sizes={"train": 800, "validation": 200, "test": 2}), "words")

    def check() -> None:
        assert order_test(probe).matters

    assert_noticed(nothing_shuffled(), check)


def test_a_natural_order_that_says_nothing_more_is_no_order():
    """Reviews in their own order, but the class only says whether a word is in them."""
    data = rc.demo_reviews(sizes={"train": 1000, "validation": 200, "test": 2})
    labels = ["in" if "acting" in text.lower() or "story" in text.lower() else "out" for text in data.inputs]
    found = order_test(Probe.of(Dataset(inputs=data.inputs, targets=labels), "words"))
    assert found.unordered > 0.95
    assert not found.matters


def test_the_memory_is_as_long_as_was_planted():
    curve = context_curve(Probe.of(pulses(600), "signal"))
    assert curve.contexts == (1, 4, 16, 40)
    assert curve.needed == 16
    assert max(curve.scores[:2]) < 0.65 < 0.8 < curve.scores[2]


def test_the_test_split_is_never_looked_at():
    data = rc.demo_reviews(sizes={"train": 100, "validation": 20, "test": 60})
    marked = [
        f"poison {text}" if part == "test" else text
        for text, part in zip(data.inputs, data.split, strict=True)
    ]
    probe = Probe.of(Dataset(inputs=marked, targets=data.targets, split=data.split), "words")
    assert len(probe.batch) == 120
    rows = np.concatenate([probe.train, probe.choice, probe.held])
    assert sorted(rows.tolist()) == list(range(120))


def test_groups_are_not_on_both_sides():
    data = bags(200)
    groups = [row // 8 for row in range(200)]
    probe = Probe.of(data, "words", groups)
    sides = [{groups[row] for row in rows.tolist()} for rows in (probe.train, probe.choice, probe.held)]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]


def test_shuffling_and_cutting_keep_what_they_should():
    batch = rc.Ragged(
        values=np.arange(10.0)[:, None],
        offsets=[0, 4, 4, 10],
        columns={"c": np.array(list("abcdefghij"), dtype=object)},
    )
    mixed = shuffled(batch, np.random.default_rng(0))
    assert [
        sorted(row.values[:, 0].tolist() if hasattr(row, "values") else row[:, 0].tolist()) for row in mixed
    ] == [
        [0, 1, 2, 3],
        [],
        [4, 5, 6, 7, 8, 9],
    ]
    assert not np.array_equal(mixed.values, batch.values)
    assert last(batch, 2).values[:, 0].tolist() == [2, 3, 8, 9]
    assert first(batch, 2).columns["c"].tolist() == list("abef")
    np.testing.assert_allclose(bag_likeness(mixed), bag_likeness(batch), atol=1e-12)


def test_permutation_tests_are_false_at_their_level_only():
    generator = np.random.default_rng(4)
    exchanged = [
        exchange_test(generator.integers(0, 2, (6, 80)).astype(float), generator) for _ in range(200)
    ]
    signs = [sign_test(generator.standard_normal(60), generator) for _ in range(200)]
    # 19 of 200 is the 99.8% point of the binomial law at 5%.
    assert sum(p <= 0.05 for p in exchanged) <= 19
    assert sum(p <= 0.05 for p in signs) <= 19
    assert sign_test(generator.standard_normal(60) + 1, generator) < 0.01


def test_numbers_and_several_labels_are_asked_too():
    data = pulses(200, back=2)
    values = np.asarray(data.inputs.values).reshape(200, 40, 2)[:, :, 0]
    numbers = Dataset(inputs=data.inputs, targets=values[:, -2] + values[:, -1], kind="signal")
    assert order_test(Probe.of(numbers, "signal")).score == "R²"
    texts = bags(200)
    several = [tuple(word for word in ("w1", "w2") if word in text.split()) for text in texts.inputs]
    found = order_test(Probe.of(Dataset(inputs=texts.inputs, targets=several), "words"))
    assert found.score == "label accuracy"
    assert not found.matters


def test_the_recommended_sizes_are_those_of_the_model(reviews):
    made = reviews.recommended
    train = rc.demo_reviews(sizes=SIZES).part("train")
    training = made.training.replace(epochs=0)
    model = rc.Classifier(made.network, training, made.inputs, pooling=made.pooling)
    model.fit(train.select(range(1200)), validation_data=(train.select(range(50)), None))
    assert made.summary.parameters == model.summary().parameters
    assert made.seconds_per_epoch > 0
    assert f"{made.summary.parameters:,} parameters" in str(reviews)


def test_the_configuration_says_the_same_in_toml(reviews):
    made = reviews.recommended
    assert tomllib.loads(made.to_toml()) == {k: v for k, v in made.sections().items() if v}
    assert rc.Network.from_dict(made.sections()["network"]) == made.network
    assert rc.Training.from_dict(made.sections()["training"]) == made.training


def test_every_choice_that_is_no_default_has_its_reason(reviews):
    reasons = set(reviews.recommended.reasons)
    assert {"network.hidden_size", "training.sequence_length", "task.pooling", "training.epochs"} <= reasons


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (bags(50), "50 sequences to learn from"),
        (
            Dataset(inputs=[f"a b {n}" for n in range(400)], targets=[f"c{n // 4}" for n in range(400)]),
            "4.0 sequences per",
        ),
        (Dataset(inputs=["w " * 1500] * 20 + ["x"], targets=["a", "b", "c"] * 7), "very long sequences"),
    ],
)
def test_the_wrong_tool_is_called_so_and_an_alternative_named(data, why):
    (text,) = [text for text in inspect(data, quick=True).wrong_tool if why in text]
    assert text.startswith("a recurrent model is the wrong tool")
    assert "use" in text


def test_quick_trains_nothing(monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("trained")

    monkeypatch.setattr(Probe, "fit", refuse)
    monkeypatch.setattr(advice, "timed", refuse)
    report = inspect(bags(100), quick=True)
    assert report.order is report.memory is None
    assert report.recommended.seconds_per_epoch is None


@pytest.mark.parametrize(
    ("data", "targets", "part"),
    [
        (["a b"] * 50, None, "has no targets"),
        (["a b"] * 50, ["x"] * 50, "only one class"),
        (["a b", "b a"] * 5, ["x", "y"] * 5, "10 sequences are too few"),
        (["a", "b"] * 50, ["x", "y"] * 50, "no sequence has two steps"),
    ],
)
def test_what_cannot_be_asked_is_said(data, targets, part):
    report = inspect(data, targets)
    assert report.order is None
    assert any(part in text for text in report.left_out)


def test_data_that_cannot_be_trained_on_are_described_all_the_same():
    data = pulses(80)
    values = np.asarray(data.inputs.values).copy()
    values[7, 0] = np.inf
    broken = rc.Ragged(values=values, offsets=data.inputs.offsets)
    report = inspect(Dataset(inputs=broken, targets=data.targets, kind="signal", features=("x", "mark")))
    assert report.order is report.recommended is None
    assert any(text.startswith("no order") and "nfinite" in text for text in report.left_out)
    assert report.features[0].infinite == 1


def test_a_class_that_only_one_group_has_is_no_failure():
    data = bags(120)
    labels = [*data.targets[:110], *["rare"] * 10]
    columns = {"who": np.array([row // 10 for row in range(120)])}
    report = inspect(Dataset(inputs=data.inputs, targets=labels, columns=columns), group="who")
    assert report.order is not None or any(text.startswith("no order") for text in report.left_out)


def test_the_command_writes_a_configuration_that_fits_and_a_page(tmp_path, capsys):
    data = pulses(80)
    rows = [
        {"x": row[:, 0].tolist(), "label": label}
        for row, label in zip(data.inputs, data.targets, strict=True)
    ]
    path = tmp_path / "pulses.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    config, page = tmp_path / "recurra.toml", tmp_path / "page.html"
    arguments = ["--input", "x", "--target", "label"]
    assert run(["inspect", str(path), *arguments, "-o", str(config), "--html", str(page), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert {"lengths", "order", "memory", "recommended", "wrong_tool", "groups", "near", "series"} <= set(
        record
    )
    assert record["order"]["p_value"] <= 1
    assert "recurra.toml" in page.read_text()
    fit = ["fit", "classifier", str(path), "--config", str(config), "--epochs", "1", "-q"]
    assert run([*fit, "-o", str(tmp_path / "model")]) == 0
    assert json.loads((tmp_path / "model" / "config.json").read_text())["network"]["bidirectional"]


def test_a_configuration_without_targets_is_refused(tmp_path, capsys):
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"line {n}"}) for n in range(5)))
    assert run(["inspect", str(path), "--input", "text", "-o", str(tmp_path / "c.toml"), "--quick"]) == 2
    assert "nothing can be recommended without targets" in capsys.readouterr().err
    assert not (tmp_path / "c.toml").exists()


@pytest.mark.parametrize(
    ("ordered", "p", "said"),
    [
        (0.95, 0.01, "order matters"),
        (0.95, 0.16, "order may matter"),
        (0.93, 0.16, "order carries nothing"),
        (0.80, 0.99, "order carries nothing"),
    ],
)
def test_a_lead_that_is_not_shown_leaves_the_question_open(ordered, p, said):
    found = OrderTest(
        score="accuracy",
        ordered=ordered,
        shuffled=0.92,
        unordered=0.92,
        p_shuffled=p,
        p_unordered=p,
        rows=187,
    )
    assert said in str(found)
    assert found.to_dict()["ahead"] is (ordered - 0.92 > 0.02)
