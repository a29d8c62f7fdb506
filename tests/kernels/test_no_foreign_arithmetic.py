"""Every float from input to answer comes from our own operators: no BLAS, no OpenMP, no arithmetic of NumPy."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from kernels import promises
from kernels.cases import NATIVE, offsets_of
from recurra.kernels import engines, numpy_native

pytestmark = pytest.mark.skipif(not NATIVE, reason="the native engine was not built")

MOVES = {"ascontiguousarray", "asarray", "ndarray", "int64", "full", "errstate"}
# norms take roots of sums that were made natively, in double
ALLOWED = MOVES | {"sqrt"}


def arithmetic_of(source: str) -> set[str]:
    """NumPy functions and operators on arrays that a module uses, beyond moving memory."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "np":
            found.add(node.attr)
        if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.BitOr):
            found.add(type(node.op).__name__)
    return found - ALLOWED


def test_the_native_face_moves_memory_and_nothing_else():
    assert arithmetic_of(Path(numpy_native.__file__).read_text()) == set()


def test_the_guard_sees_arithmetic():
    assert arithmetic_of("import numpy as np\ny = np.dot(x, w) + b\n") == {"dot", "Add"}
    assert arithmetic_of("y = x @ w") == {"MatMult"}


def test_no_product_of_numpy_is_called(monkeypatch):
    def refused(*args, **kwargs):
        raise AssertionError("a product of NumPy was called")

    for name in ("dot", "matmul", "einsum", "inner", "tensordot", "vdot"):
        monkeypatch.setattr(np, name, refused)
    offsets = offsets_of(promises.LENGTHS)
    x = promises.numbers(0, int(offsets[-1]), promises.INPUTS)
    for run in promises.token_operators().values():
        run(x, offsets)


def test_the_module_links_to_neither_blas_nor_openmp_nor_torch():
    content = Path(engines.native().__file__).read_bytes()
    for library in (b"libgomp", b"libomp", b"libopenblas", b"libmkl", b"libtorch", b"libblas"):
        assert library not in content
