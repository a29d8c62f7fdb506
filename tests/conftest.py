"""What every test starts from: a clean environment and reproducible examples."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "recurra",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("recurra")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell hands its background jobs an ignored Ctrl-C, and we leave ignored signals as they are.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    fuzz = parser.getgroup("fuzz", "tests/kernels/test_fuzz.py")
    fuzz.addoption("--fuzz-examples", type=int, default=1500, help="how many calls it makes")
    fuzz.addoption("--fuzz-module", default="", help="the native module, for one with sanitizers")
    fuzz.addoption("--fuzz-preload", default="", help="a library that this module needs first")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    """No option of the person who runs the tests reaches them."""
    for name in [name for name in os.environ if name.startswith("RECURRA_")]:
        if name not in ("RECURRA_REQUIRE", "RECURRA_REQUIRE_NATIVE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
