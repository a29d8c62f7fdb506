"""Every field of every specification does something: changing it changes the graph, the bits or the history.

Each row gives the base that a field needs to be able to act, and a value that must make a difference. A field
without a row fails the test, so that no option is ever swallowed.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import recurra as rc
from recurra.data.bytes import Bytes
from recurra.data.encoder import InputSpec
from recurra.data.signal import Signal
from recurra.data.text import BPE, Characters, Words
from recurra.spec import Network, Spec, Training
from tasks.made import texts

SMALL = {"hidden_size": 4, "num_layers": 2, "embedding_size": 4}
QUICK = {"epochs": 2, "batch_size": 16, "learning_rate": 0.01}

NETWORK: dict[str, tuple[dict[str, Any], Any]] = {
    "cell": ({}, "gru"),
    "hidden_size": ({}, 5),
    "num_layers": ({}, 1),
    "bidirectional": ({}, True),
    "embedding_size": ({}, 3),
    "dropout": ({}, 0.5),
    "input_dropout": ({}, 0.5),
    "recurrent_dropout": ({}, 0.5),
    "output_dropout": ({}, 0.5),
    "locked_dropout": ({}, True),
    "weight_dropout": ({}, 0.5),
    "embedding_dropout": ({}, 0.5),
    "tied_embedding": ({}, True),
    "zoneout": ({}, 0.5),
    "forget_bias": ({}, 0.0),
    "chrono_steps": ({}, 50),
    "cell_clip": ({}, 0.01),
    "layer_norm": ({}, True),
    "recurrent_init": ({}, "uniform"),
    "initial_state": ({}, "learnt"),
}
TRAINING: dict[str, tuple[dict[str, Any], Any]] = {
    "epochs": ({}, 1),
    "batch_size": ({}, 8),
    "batch_tokens": ({}, 20),
    "sequence_length": ({}, 3),
    "learning_rate": ({}, 0.02),
    "optimizer": ({}, "sgd"),
    "momentum": ({"optimizer": "sgd"}, 0.9),
    "weight_decay": ({"optimizer": "adamw"}, 0.1),
    "decay_recurrent": ({"optimizer": "adamw", "weight_decay": 0.5}, False),
    "gradient_clip": ({}, 0.01),
    "clip_by": ({"gradient_clip": 0.01}, "value"),
    "layer_decay": ({}, 0.3),
    "unfreeze": ({}, "gradual"),
    "accumulate": ({}, 2),
    "schedule": ({}, "cosine"),
    "decay_every": ({"schedule": "step", "decay_every": 5}, 1),
    "decay_factor": ({"schedule": "step", "decay_every": 1}, 0.1),
    "warmup": ({}, 0.5),
    "patience": ({"learning_rate": 1e-9, "epochs": 4}, 1),
    "monitor": ({"epochs": 5, "learning_rate": 0.2}, "loss"),
    "restore_best": ({"epochs": 6, "learning_rate": 0.3}, False),
    "class_weight": ({}, "balanced"),
    "label_smoothing": ({}, 0.2),
    "activation_penalty": ({}, 2.0),
    "slowness_penalty": ({}, 2.0),
    "average": ({}, "tokens"),
    "average_weights": ({}, "exponential"),
    "average_after": (
        {"average_weights": "tail", "epochs": 8, "learning_rate": 0.3, "restore_best": False},
        1,
    ),
    "average_decay": ({"average_weights": "exponential"}, 0.5),
    "bucket": ({}, False),
    "max_seconds": ({"epochs": 50}, 0.01),
    "max_bad_steps": ({}, 3),
    "diagnose": ({}, True),
    "seed": ({}, 1),
    "precision": ({}, "bfloat16"),
    "device": ({}, "cuda"),
}
RAW = [
    "Ünïted don't <br /> stop &amp; go",
    "United nations",
    "don't stop",
    "don't go e\u0301t\u00e9 go go",
] * 3
TEXT: dict[str, tuple[dict[str, Any], Any]] = {
    "min_count": ({"min_count": 1}, 4),
    "max_size": ({}, 3),
    "max_length": ({}, 2),
    "truncate": ({"max_length": 2}, "start"),
    "lowercase": ({"lowercase": True}, False),
    "strip_accents": ({}, True),
    "clean_html": ({}, True),
    "normalize": ({"normalize": "NFC"}, "none"),
    "vocab_size": ({"vocab_size": 60}, 40),
}
SIGNAL: dict[str, tuple[dict[str, Any], Any]] = {
    "scaling": ({}, "minmax"),
    "missing": ({}, "refuse"),
    "mask_features": ({"mask_features": True}, False),
    "elapsed_time": ({}, True),
    "max_length": ({}, 2),
    "truncate": ({"max_length": 2}, "start"),
}


def outcome(network: Network, training: Training) -> Any:
    """What a short training leaves: weights, per-step losses, why it stopped. An error is an outcome too."""
    inputs, labels = texts(60)
    labels = ["pos" if i % 5 == 0 else label for i, label in enumerate(labels)]
    try:
        model = rc.Classifier(network, training, Words(min_count=1), pooling="last").fit(inputs, labels)
    except (rc.RecurraError, RuntimeError) as error:
        return type(error).__name__, str(error)
    fitted = model.fitted_
    losses = fitted.history.steps["loss"]
    return (
        fitted.stopped_by,
        fitted.best_epoch,
        losses,
        len(fitted.history.probes),
        {k: v.tobytes() for k, v in fitted.parameters.items()},
    )


def rows(spec: type[Spec], table: dict[str, tuple[dict[str, Any], Any]]) -> list[Any]:
    return [pytest.param(name, *table.get(name, (None, None)), id=name) for name in spec.names()]


@pytest.mark.parametrize(("name", "base", "value"), rows(Network, NETWORK))
def test_every_field_of_a_network_makes_a_difference(name, base, value):
    assert base is not None, f"say in this test what {name} must change"
    first = Network(**{**SMALL, **base})
    training = Training(**QUICK)
    assert outcome(first, training) != outcome(first.replace(**{name: value}), training)


@pytest.mark.parametrize(("name", "base", "value"), rows(Training, TRAINING))
def test_every_field_of_a_training_makes_a_difference(name, base, value, monkeypatch):
    assert base is not None, f"say in this test what {name} must change"
    network = Network(**SMALL)
    first = Training(**{**QUICK, **base})
    if name == "max_bad_steps":
        _poison(monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert outcome(network, first) != outcome(network, first.replace(**{name: value}))


def _poison(monkeypatch) -> None:
    """Every loss is not a number, so that only the patience with bad steps decides when training ends."""
    from recurra.tasks.problem import SupervisedProblem

    honest = SupervisedProblem.loss

    def loss(self, *args, **options):
        losses, weights, state = honest(self, *args, **options)
        return losses * float("nan"), weights, state

    monkeypatch.setattr(SupervisedProblem, "loss", loss)


def encoded(spec: InputSpec, inputs: Any) -> Any:
    try:
        batch = spec.fit(inputs).encode(inputs)
    except rc.RecurraError as error:
        return str(error)
    return batch.offsets.tolist(), np.asarray(batch.values).tolist()


@pytest.mark.parametrize("kind", [Words, Characters, BPE, Bytes])
def test_every_field_of_a_text_spec_makes_a_difference(kind):
    for name in kind.names():
        assert name in TEXT, f"say in this test what {name} must change"
        base, value = TEXT[name]
        base = {k: v for k, v in {"min_count": 1, **base}.items() if k in kind.names()}
        if kind is Characters and name == "min_count":
            value = 10
        first = kind(**base)
        assert encoded(first, RAW) != encoded(first.replace(**{name: value}), RAW), name


SENTENCES = [["The", "cat", "sees"], ["a", "cafe\u0301", "opens"], ["the", "dogs", "bark", "the"]] * 4
TAGS = [["D", "N", "V"], ["D", "N", "V"], ["D", "N", "V", "D"]] * 4
TOKENS: dict[str, tuple[dict[str, Any], Any]] = {
    "min_count": ({}, 5),
    "max_size": ({}, 2),
    "max_length": ({}, 2),
    "lowercase": ({}, False),
    "normalize": ({}, "none"),
    "character_size": ({}, 5),
    "units": ({}, 4),
    "max_characters": ({}, 2),
    "affixes": ({}, 1),
    "affix_size": ({}, 3),
    "word_dropout": ({}, 0.9),
}


@pytest.mark.parametrize(("name", "base", "value"), rows(rc.Tokens, TOKENS))
def test_every_field_of_a_tokens_spec_makes_a_difference(name, base, value):
    assert base is not None, f"say in this test what {name} must change"
    first = rc.Tokens(
        **{"min_count": 1, "character_size": 3, "units": 3, "affixes": 2, "affix_size": 2, **base}
    )
    training = Training(**QUICK, sequence_length=None)
    tagged = [
        rc.Tagger(Network(**SMALL), training, spec, validation=0.25).fit(SENTENCES, TAGS)
        for spec in (first, first.replace(**{name: value}))
    ]
    left, right = ({k: v.tobytes() for k, v in made.fitted_.parameters.items()} for made in tagged)
    assert left != right


def test_every_field_of_a_signal_spec_makes_a_difference():
    values = np.array([[1.0, np.nan], [2.0, 5.0], [4.0, 1.0], [8.0, 3.0], [3.0, 9.0]])
    time = np.array([0.0, 1.0, 5.0, 0.0, 7.0])
    inputs = rc.Ragged(values=values, offsets=np.array([0, 3, 5]), columns={"time": time})
    for name in Signal.names():
        assert name in SIGNAL, f"say in this test what {name} must change"
        base, value = SIGNAL[name]
        first = Signal(**base)
        assert encoded(first, inputs) != encoded(first.replace(**{name: value}), inputs), name


def test_every_field_of_an_events_spec_is_checked_by_the_same_rule():
    inputs = rc.Ragged(
        values=np.array([[1.0], [np.nan], [4.0], [8.0], [3.0]]),
        offsets=np.array([0, 3, 5]),
        columns={
            "page": np.array(["a", "b", "a", "a", "c"], dtype=object),
            "time": np.array([0.0, 1.0, 5.0, 0.0, 7.0]),
        },
    )
    table = {**SIGNAL, "min_count": ({"min_count": 1}, 2), "max_size": ({"min_count": 1}, 1)}
    for name in rc.Events.names():
        if name == "id_columns":
            continue
        base, value = table[name]
        first = rc.Events(**base)
        assert _events(first, inputs) != _events(first.replace(**{name: value}), inputs), name
    numbers = rc.Ragged(values=np.array([[1.0], [7.0], [1.0]]), offsets=np.array([0, 2, 3]))
    plain = _events(rc.Events(min_count=1), numbers)
    assert plain != _events(rc.Events(min_count=1, id_columns=("feature_0",)), numbers)


def _events(spec: InputSpec, inputs: Any) -> Any:
    try:
        batch = spec.fit(inputs).encode(inputs)
    except rc.RecurraError as error:
        return str(error)
    columns = {name: column.tolist() for name, column in batch.columns.items()}
    return batch.offsets.tolist(), np.asarray(batch.values).tolist(), columns


def test_a_swallowed_field_would_be_noticed(monkeypatch):
    """The saboteur: a network that ignores one of its options gives the same outcome twice."""
    from recurra.graph.run import Run

    monkeypatch.setattr(Run, "dropped", lambda self, flow, *_, **__: flow.values)
    first, training = Network(**SMALL), Training(**QUICK)
    assert outcome(first, training) == outcome(first.replace(input_dropout=0.5), training)


TAG_OPTIONS: dict[str, tuple[dict[str, Any], Any]] = {
    "head": ({}, "softmax"),
    "scheme": ({"head": "softmax"}, "none"),
    "illegal": ({}, "repair"),
    "unlabelled": ({}, "O"),
}


@pytest.mark.parametrize(("name", "base", "value"), rows(rc.Tags, TAG_OPTIONS))
def test_every_field_of_tags_makes_a_difference(name, base, value):
    assert base is not None, f"say in this test what {name} must change"

    def learnt(tags: rc.Tags) -> Any:
        words = [["a", "b", "c"], ["c", "a"]] * 6
        targets = [["O", "I-x", "O"], ["B-x", "I-x"]] * 6
        network = Network(**{**SMALL, "num_layers": 1})
        model = rc.Tagger(network, Training(**QUICK), rc.Tokens(units=3), tags=tags).fit(words, targets)
        weights = {key: array.tobytes() for key, array in model.parameters_.items()}
        return weights, model.predictor_.config["schemes"], model.target_.classes

    first = rc.Tags(**{"scheme": "bio", **base})
    assert learnt(first) != learnt(first.replace(**{name: value}))
