"""Every native function under hostile arguments, in a process of its own: a clear error or the right answer.

`make fuzz` runs many more examples, on a module built with AddressSanitizer and UndefinedBehaviorSanitizer.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kernels.fuzz_calls import CALLS, NO_ARGUMENTS

native = pytest.importorskip("recurra._native", reason="the C++ kernels are not built")

TESTS = str(Path(__file__).resolve().parents[1])
PATIENCE = 60.0  # seconds for one call


class Worker:
    """Makes calls in another process, a new one after each crash."""

    def __init__(self, module: str = "", preload: str = "", sabotage: str = "") -> None:
        self.command = [
            sys.executable,
            "-m",
            "kernels.fuzz_worker",
            "--module",
            module,
            "--sabotage",
            sabotage,
        ]
        self.preload = {"LD_PRELOAD": preload} if preload else {}
        self.process: subprocess.Popen[str] | None = None
        self.errors: IO[str] | None = None

    def __call__(self, **case: object) -> tuple[str, str]:
        process = self.process or self._started()
        process.stdin.write(json.dumps(case) + "\n")
        process.stdin.flush()
        reports = select.select([process.stdout], [], [], PATIENCE)[0]
        line = process.stdout.readline() if reports else ""
        if line:
            found, why = json.loads(line)
            return found, why
        said = self.close()
        return ("crashed" if reports else "hung"), f"exit code {process.returncode}: {said[-4000:]}"

    def _started(self) -> subprocess.Popen[str]:
        env = os.environ | {"PYTHONPATH": os.pathsep.join([TESTS, *filter(None, sys.path)])} | self.preload
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - `close` closes it
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=env,
        )
        return self.process

    def close(self) -> str:
        """Ends the process and returns what it said of its errors."""
        if self.process is None:
            return ""
        for stream in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):
                stream.close()
        try:
            self.process.wait(PATIENCE if self.process.poll() is None else 0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.seek(0)
        said = self.errors.read()
        self.errors.close()
        self.process = None
        return said


@pytest.fixture(scope="module")
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    made = Worker(request.config.getoption("--fuzz-module"), request.config.getoption("--fuzz-preload"))
    yield made
    made.close()


FEW = st.integers(0, 999)
CASES = st.fixed_dictionaries(
    {
        "name": st.sampled_from(sorted(CALLS)),
        "seed": st.integers(0, 9999),
        "spoils": st.lists(st.tuples(FEW, FEW, FEW), max_size=3),
        "layouts": st.lists(st.tuples(FEW, st.integers(0, 6)), max_size=2),
    }
)
EXAMPLES = 1500  # a run of the tests makes so many; `make fuzz` many more
HEALTH = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


def fuzz(worker: Worker, examples: int, shrink: bool = True) -> None:
    """Fails with the smallest case that crashes, hangs, misreads its arguments or refuses them vaguely."""
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @settings(
        max_examples=examples, phases=phases, derandomize=True, database=None, deadline=None,
        suppress_health_check=HEALTH, report_multiple_bugs=False,
    )  # fmt: skip
    @given(CASES)
    def holds(case: dict[str, object]) -> None:
        found, why = worker(**case)
        assert found in ("answered", "refused"), f"{found}: {case}: {why}"

    holds()


def test_every_native_function_is_fuzzed():
    functions = {name for name in dir(native) if not name.startswith("_") and callable(getattr(native, name))}
    methods = {
        f"{kind}.{name}"
        for kind in ("Packed", "Stepper", "RowScaler")
        for name in dir(getattr(native, kind))
        if not name.startswith("_") and callable(getattr(getattr(native, kind), name))
    }
    assert functions | methods == CALLS.keys() | NO_ARGUMENTS


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_call_with_nothing_spoiled_is_answered(worker, name):
    for seed in range(12):
        assert worker(name=name, seed=seed, spoils=[], layouts=[]) == ("answered", "")


def test_hostile_arguments_are_answered_rightly_or_refused_clearly(worker, request):
    fuzz(worker, request.config.getoption("--fuzz-examples"))


@pytest.mark.parametrize(
    ("fault", "function", "said"),
    [
        ("an index is not checked", "gather_rows", "crashed|wrong"),
        ("a row too many is read", "column_sums", "crashed|wrong"),
        ("strides are not read", "column_sums", "wrong|crashed"),
        ("no argument is named", "layer_norm", "names no argument"),
    ],
)
def test_a_fault_is_found(fault, function, said):
    """The saboteurs: each check switched off must fail the fuzzer, within as many examples as every run makes."""
    saboteur = Worker(sabotage=fault)
    try:
        with pytest.raises(AssertionError, match=said):
            fuzz(saboteur, EXAMPLES, shrink=False)
    finally:
        saboteur.close()
