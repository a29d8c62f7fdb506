"""The request: its defaults, what it refuses, and that no option is without effect."""

from __future__ import annotations

import dataclasses

import pytest

from decoding.toys import Hashed
from recurra.decoding.beam import beam_search
from recurra.decoding.generation import Generation
from recurra.decoding.phrases import Phrases
from recurra.decoding.writing import Rules, write
from recurra.errors import SpecError

SPELLINGS = "abcdef"
CHANGES = {
    "length": [({}, {"length": 3})],
    "temperature": [({}, {"temperature": 0.3})],
    "top_k": [({}, {"top_k": 2})],
    "top_p": [({}, {"top_p": 0.4})],
    "beam": [({"beam": 1}, {"beam": 20})],
    "length_penalty": [({"beam": 20}, {"beam": 20, "length_penalty": 6.0})],
    "repetition_penalty": [({}, {"repetition_penalty": 3.0})],
    "repetition_window": [
        ({"repetition_penalty": 9.0}, {"repetition_penalty": 9.0, "repetition_window": 1}),
    ],
    "banned": [({}, {"banned": ("c",)})],
    "required": [({"beam": 2}, {"beam": 2, "required": ("aaaa",)})],
    "stop": [({}, {"stop": ("c",)})],
    "seed": [({}, {"seed": 1})],
    "count": [({}, {"count": 2}), ({"beam": 3}, {"beam": 3, "count": 3})],
}
"""Field -> pairs of requests that differ in it and must give different texts."""


def texts(**options):
    asked = Generation(**{"length": 10, **options})
    rules = Rules(
        end=5,
        banned=Phrases(asked.banned, SPELLINGS),
        required=Phrases(asked.required, SPELLINGS),
        stop=Phrases(asked.stop, SPELLINGS),
    )
    model = Hashed(6, 4, [(0,)])
    if asked.beam is not None:
        return [each.tokens for each in beam_search(model, model.first[0], (0,), asked, rules)]
    return [(event.row, event.token) for event in write(model, model.first, [(0,)], asked, rules)]


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Generation)])
def test_every_option_changes_what_is_written(name):
    for before, after in CHANGES[name]:
        assert texts(**before) != texts(**after)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 3, "temperature": 0.5}, "temperature has no effect with beam"),
        ({"beam": 3, "seed": 0}, "seed has no effect with beam"),
        ({"temperature": 0, "top_p": 0.9}, "top_p has no effect with temperature=0"),
        ({"temperature": 0, "count": 2}, "count=2 with temperature=0"),
        ({"length_penalty": 1.0}, "length_penalty has no effect without beam"),
        ({"required": ("a",)}, "required needs beam"),
        ({"beam": 2, "count": 3}, "count must be at most beam=2"),
        ({"repetition_window": 5}, "repetition_window has no effect"),
        ({"stop": ("",)}, "stop must hold texts of at least one character"),
        ({"top_p": 1.0}, "top_p must be"),
        ({"temperature": -1}, "temperature must be"),
        ({"top_k": 0}, "top_k must be"),
        ({"length": 0}, "length must be"),
        ({"seed": 2**64}, "seed must be"),
    ],
)
def test_what_can_have_no_effect_or_no_sense_is_refused(options, message):
    with pytest.raises(SpecError, match=message):
        Generation(**options)


def test_defaults_are_filled_in():
    assert (Generation().resolved().temperature, Generation().resolved().seed) == (1.0, 0)
    assert Generation(beam=2).resolved().length_penalty == 0.6
    assert Generation(temperature=0).resolved() == Generation(temperature=0)
