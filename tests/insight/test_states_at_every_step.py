"""Hidden states of models that answer at every step: the bits of their streams, and whose step is whose."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import recurra as rc
from insight import saboteurs
from recurra.errors import SpecError
from recurra.insight.distribution import distribution
from recurra.insight.projection import project
from recurra.insight.states import hidden_states
from shared import assert_noticed

WORDS = [["a", "b", "zz"], ["b"], [], ["b", "a", "a", "b"]]
SIGNALS = [np.random.default_rng(n).standard_normal((n, 2)) for n in (4, 1, 6)]
ROLLS = [(np.random.default_rng(n).random((n, 3)) > 0.5).astype(float) for n in (5, 8, 3)]
TEXTS = ["banana", "ab", ""]


@cache
def learnt(kind: str) -> Any:
    net = rc.Network(cell="lstm" if kind == "language" else "gru", hidden_size=5, num_layers=2)
    training = rc.Training(epochs=1, batch_size=2, sequence_length=8)
    if kind == "tagger":
        return rc.Tagger(net, training).fit([["a", "b"], ["b"]] * 10, [["X", "Y"], ["Y"]] * 10)
    if kind == "signals":
        signals = SIGNALS * 8
        return rc.Tagger(net, training, rc.Signal()).fit(
            signals, [["u", "v", "u", "v", "u", "v"][: len(s)] for s in signals]
        )
    if kind == "frames":
        return rc.FrameModel(net, training).fit(ROLLS * 4)
    return rc.LanguageModel(net, training, rc.Characters()).fit(["banana band"] * 12)


DATA = {"tagger": WORDS, "signals": SIGNALS, "frames": ROLLS, "language": TEXTS}
BEGIN = ("frames", "language")
"""They read a boundary before every sequence."""


def check_states_are_those_of_the_stream(kind: str) -> None:
    model = learnt(kind).predictor_
    for item, states in zip(DATA[kind], hidden_states(model, DATA[kind]), strict=True):
        stream = model.stream(watch=True)
        for step, piece in enumerate(item, 1 if kind in BEGIN else 0):
            stream.push([piece] if kind in ("tagger", "signals") else piece)
            for layer in states.layers:
                seen = stream.layers[layer.name]
                np.testing.assert_array_equal(seen["hidden"], layer.hidden[step])
                for name, gate in layer.gates.items():
                    np.testing.assert_array_equal(seen[name], gate[step])


@pytest.mark.parametrize("kind", DATA)
def test_states_of_a_model_that_answers_at_every_step_are_those_of_its_stream(kind: str) -> None:
    check_states_are_those_of_the_stream(kind)


def test_the_comparison_notices_streams_that_begin_anew() -> None:
    assert_noticed(saboteurs.streams_begin_anew(), lambda: check_states_are_those_of_the_stream("language"))


@pytest.mark.parametrize("kind", DATA)
def test_states_alone_are_those_in_a_batch_with_a_token_for_each(kind: str) -> None:
    together = hidden_states(learnt(kind), DATA[kind])
    for item, mine in zip(DATA[kind], together, strict=True):
        alone = hidden_states(learnt(kind), [item])
        for layer, other in zip(mine.layers, alone.layers, strict=True):
            np.testing.assert_array_equal(layer.hidden, other.hidden)
            assert len(layer.hidden) == len(mine.passages[0]) == len(item) + (kind in BEGIN)


def test_tokens_and_the_unknown_ones_are_told() -> None:
    tagged = hidden_states(learnt("tagger"), WORDS).passages[0]
    assert (tagged.tokens, tagged.unknown, tagged.text) == (("a", "b", "zz"), (2,), "a b zz")
    said = hidden_states(learnt("language"), ["xb"]).passages[0]
    assert (said.tokens, said.unknown, said.pieces()[0]) == (("", "x", "b"), (1,), ["", "x", "b"])


def test_final_states_are_seen_and_there_is_no_pooled_one() -> None:
    states = hidden_states(learnt("frames"), ROLLS)
    assert states.pooled is None
    assert project(states).points.shape == (3, 2)
    assert distribution(states).sequences == 3
    with pytest.raises(SpecError, match="of='pooled' has no meaning for a model that answers at every step"):
        project(states, of="pooled")
    assert "Hidden state of layer l1" in states._repr_html_()
