from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.errors import CorruptBundleError, DataError
from recurra.storage import dump_json, parse_json, plain_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@settings(max_examples=50)
@given(value=VALUES)
def test_plain_values_come_back_bit_for_bit(value: Any) -> None:
    data = dump_json(plain_json(value, "value", allow_nan=True), allow_nan=True)
    back = parse_json(data, "file", allow_nan=True)
    assert repr(back) == repr(value)
    assert dump_json(back, allow_nan=True) == data


def test_random_states_and_non_finite_numbers_come_back() -> None:
    state = np.random.PCG64(7).state
    value = {
        "rng": state,
        "best": -math.inf,
        "loss": math.nan,
        "float32": np.float32(0.1),
        "flag": np.bool_(1),
    }
    data = dump_json(plain_json(value, "state", allow_nan=True), allow_nan=True)
    back = parse_json(data, "file", allow_nan=True)
    assert back["rng"] == state
    assert back["best"] == -math.inf
    assert math.isnan(back["loss"])
    assert np.float32(back["float32"]) == np.float32(0.1)
    assert back["flag"] is True


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, object()]}, r"config\['a'\]\[1\] must be made of .*got object"),
        ({1: 2}, r"config must have strings as keys.* 1;"),
        ({"a": float("nan")}, r"config\['a'\] must be a finite number"),
        ({"a": np.float32("inf")}, r"config\['a'\] must be a finite number"),
        ({"a": np.zeros(3)}, r"put arrays among the arrays"),
        ({"a": b"x"}, r"got bytes"),
    ],
)
def test_what_json_cannot_hold_is_named(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        plain_json(value, "config")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[" * 200_000,
        b'{"a": 1, "a": 2}',
        b"NaN",
        b"[Infinity]",
        b"\xff",
        b"1" * 5000,
        b"\x80\x04\x95",
    ],
)
def test_anything_else_is_corrupt_and_named(data: bytes) -> None:
    with pytest.raises(CorruptBundleError, match=r"place/file\.json"):
        parse_json(data, "place/file.json")
