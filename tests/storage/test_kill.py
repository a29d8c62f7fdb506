"""kill -9 at random instants leaves the last version that was called done, or the one after it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.faults import memory_folder

HARNESS = Path(__file__).with_name("kill_harness.py")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a kill does not lose what the kernel has, and fsync is fast."""
    with memory_folder(tmp_path) as folder:
        yield folder


def killed(subject: str, place: Path, kills: int, *switches: str) -> dict[str, Any]:
    given = [argument for switch in switches for argument in ("--switch", switch)]
    command = [sys.executable, str(HARNESS), subject, str(place / "target"), "--kills", str(kills), *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def assert_survives(result: dict[str, Any], kills: int) -> None:
    assert result["complaints"] == []
    assert result["kills"] == kills
    assert not [name for name in result["left"] if ".tmp-" in name or ".old-" in name]


@pytest.mark.parametrize("switches", [(), ("no_exchange",)], ids=["exchange", "aside"])
def test_bundle_survives_kills_at_random_instants(place: Path, switches: tuple[str, ...]) -> None:
    result = killed("bundle", place, 200, *switches)
    assert_survives(result, 200)
    assert result["amid"] >= 40  # the kills did hit writers at work


@pytest.mark.slow
def test_checkpoints_survive_kills_at_random_instants(place: Path) -> None:
    result = killed("checkpoint", place, 200)
    assert_survives(result, 200)
    assert result["amid"] >= 20


@pytest.mark.parametrize("subject", ["folder", "text", "lines"])
def test_folder_file_and_log_survive_kills_at_random_instants(place: Path, subject: str) -> None:
    assert_survives(killed(subject, place, 60), 60)


@pytest.mark.slow
@pytest.mark.parametrize("switch", ["write_in_place", "resume_without_random_state"])
def test_kills_find_a_store_that_does_not_keep_its_promise(place: Path, switch: str) -> None:
    # Which of the broken promises a kill meets first is chance; that one of them is told is not.
    assert killed("checkpoint", place, 200, switch)["complaints"]


@pytest.mark.parametrize("switch", ["write_in_place", "target_removed_first"])
def test_kills_find_a_writer_that_does_not_exchange(place: Path, switch: str) -> None:
    assert killed("folder", place, 200, switch)["complaints"]
