from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recurra.errors import CorruptBundleError, DataError
from recurra.runtime.weights import ArraySpec, check_arrays, decode_arrays, encode_arrays, expected_bytes

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?", ">f4", ">i8"]
ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__" and _encodable(name)),
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    ),
    max_size=5,
)


def _encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def encoded(arrays: dict[str, np.ndarray[Any, Any]]) -> bytes:
    payload, parts = encode_arrays(arrays), []

    class Sink:
        def write(self, data: bytes | memoryview, /) -> int:
            parts.append(bytes(data))
            return len(data)

    payload.write(Sink())
    data = b"".join(parts)
    assert len(data) == payload.size
    return data


def assert_same(found: dict[str, np.ndarray[Any, Any]], arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        plain = array.astype(array.dtype.newbyteorder("="))
        assert found[name].dtype == plain.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == plain.tobytes()


@settings(max_examples=60)
@given(arrays=ARRAYS)
def test_arrays_come_back_and_the_safetensors_library_agrees(arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    data = encoded(arrays)
    assert_same(decode_arrays(data, "file"), arrays)
    assert_same(safetensors.numpy.load(data), arrays)
    plain = {name: np.array(a, dtype=a.dtype.newbyteorder("="), order="C") for name, a in arrays.items()}
    assert_same(decode_arrays(safetensors.numpy.save(plain), "file"), arrays)


def test_any_memory_layout_is_written_in_order() -> None:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    arrays = {"turned": base.T, "strided": base[::2, ::-3], "fortran": np.asfortranarray(base)}
    arrays["scalar"] = np.array(base[0, 1])
    assert_same(decode_arrays(encoded(arrays), "file"), arrays)


def test_views_are_read_only_and_aligned() -> None:
    arrays = {"a": np.ones(3, np.int8), "b": np.ones(5, np.float64), "c": np.ones((2, 3), np.float32)}
    for array in decode_arrays(encoded(arrays), "file").values():
        assert array.flags.aligned
        assert not array.flags.writeable


def test_header_of_another_writer_that_aligns_nothing_is_read() -> None:
    arrays = {"b": np.arange(5, dtype=np.float64), "c": np.ones((2, 3), np.float32)}
    data = encoded(arrays)
    length = int.from_bytes(data[:8], "little")
    shifted = (length + 3).to_bytes(8, "little") + data[8 : 8 + length] + b"   " + data[8 + length :]
    found = decode_arrays(shifted, "file")
    assert_same(found, arrays)
    assert all(array.flags.aligned and not array.flags.writeable for array in found.values())


def test_same_arrays_give_the_same_bytes_in_any_order() -> None:
    arrays = {"b": np.ones(3, np.float32), "a": np.zeros(2, np.float64), "c": np.ones(1, np.float32)}
    assert encoded(arrays) == encoded(dict(reversed(arrays.items())))


@pytest.mark.parametrize("array", [np.array(["x"]), np.array([object()]), np.zeros(2, np.complex64)])
def test_dtype_that_is_not_stored_is_refused(array: np.ndarray[Any, Any]) -> None:
    with pytest.raises(DataError, match=r"array 'x' has dtype .*, which is not stored"):
        encode_arrays({"x": array})


EXPECTED = {"weight": (2, 3), "index": ArraySpec(shape=(4,), dtype="int64")}
GOOD = {"weight": np.zeros((2, 3), np.float32), "index": np.zeros(4, np.int64)}


def test_expected_arrays_pass() -> None:
    check_arrays(GOOD, EXPECTED, "file")
    assert expected_bytes(EXPECTED) > len(encoded(GOOD))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": None}, "m/file lacks the array 'weight'"),
        ({"wieght": np.zeros(1)}, r"m/file holds the unknown array 'wieght'; did you mean 'weight'\?"),
        (
            {"weight": np.zeros((3, 2), np.float32)},
            r"m/file: 'weight' must have the shape \(2, 3\), got \(3, 2\)",
        ),
        ({"weight": np.zeros((2, 3))}, "m/file: 'weight' must have the dtype float32, got float64"),
        ({"index": np.zeros(4, np.int32)}, "m/file: 'index' must have the dtype int64, got int32"),
    ],
)
def test_unexpected_arrays_are_named(change: dict[str, Any], message: str) -> None:
    arrays = {name: array for name, array in {**GOOD, **change}.items() if array is not None}
    with pytest.raises(CorruptBundleError, match=message):
        check_arrays(arrays, EXPECTED, "m/file")
