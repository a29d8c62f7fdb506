"""Real processes: killed at random moments, told to stop, and resumed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.training import fit
from training.toy import Toy
from training.trainer_server import SEQUENCES, TRAINING

KILLS = 24
Run = Callable[..., int]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Train in a child process: run(folder, act=..., ...) -> exit code; `act` gets the child's process number."""
    script = Path(__file__).with_name("trainer_server.py")
    paths = [str(script.parents[1]), *(p for p in sys.path if p)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    server = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    stdin, stdout = server.stdin, server.stdout

    def ask(folder: Path, act: Callable[[int], None] | None = None, **order: Any) -> int:
        stdin.write(json.dumps({"folder": str(folder), **order}) + "\n")
        stdin.flush()
        child = int(stdout.readline())
        if act is not None:
            act(child)
        return int(stdout.readline())

    with server:
        yield ask
        stdin.close()


def weights(folder: Path) -> dict[str, bytes]:
    with np.load(folder / "weights.npz") as found:
        return {name: found[name].tobytes() for name in found.files}


@pytest.fixture(scope="module")
def expected() -> dict[str, bytes]:
    """The bits of a run that nothing disturbs, trained in this process."""
    fitted = fit(Toy(count=SEQUENCES), TRAINING)
    named = {**fitted.last_parameters, **{f"best {name}": value for name, value in fitted.parameters.items()}}
    return {name: value.tobytes() for name, value in named.items()}


def lines_of(folder: Path) -> int:
    """How many steps and epochs a run has written down."""
    with suppress(FileNotFoundError):
        return (folder / "history.jsonl").read_bytes().count(b"\n")
    return 0


def killed_at(folder: Path, lines: int, rest: float) -> Callable[[int], None]:
    """Kill the child when it has written so many more lines, and a rest of seconds later."""

    def act(child: int) -> None:
        goal = lines_of(folder) + lines
        with suppress(ProcessLookupError):
            while lines_of(folder) < goal:
                os.kill(child, 0)
                time.sleep(0.001)
            time.sleep(rest)
            os.kill(child, signal.SIGKILL)

    return act


def test_a_run_killed_at_random_moments_and_resumed_ends_in_the_same_bits(
    tmp_path: Path, run: Run, expected: dict[str, bytes]
) -> None:
    chance = random.Random(20261122)
    begun: list[float] = []
    assert run(tmp_path / "whole", lambda child: begun.append(time.monotonic())) == 0
    length, lines = time.monotonic() - begun[0], lines_of(tmp_path / "whole")
    assert weights(tmp_path / "whole") == expected
    kills = finished = 0
    while kills < KILLS:
        folder = tmp_path / f"run {finished}"
        act = killed_at(folder, chance.randint(0, 3), chance.uniform(0.0, 1.5 * length / lines))
        code = run(folder, act, threads=chance.choice([1, 2]))
        if code == 0:
            assert weights(folder) == expected
            finished += 1
        else:
            assert code == -signal.SIGKILL
            kills += 1
    if (tmp_path / f"run {finished}").exists():
        assert run(tmp_path / f"run {finished}") == 0
        assert weights(tmp_path / f"run {finished}") == expected


def wait_for(path: Path, seconds: float = 200.0) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not appear"
        time.sleep(0.005)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_step_saves_and_gives_the_agreed_exit_code(
    tmp_path: Path, run: Run, expected: dict[str, bytes], number: signal.Signals, code: int,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def act(child: int) -> None:
        wait_for(tmp_path / "checkpoints" / "ckpt-2")
        os.kill(child, number)

    assert run(tmp_path, act) == code
    assert not (tmp_path / "weights.npz").exists()
    records = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    done = sum(record["kind"] == "step" for record in records)
    assert (tmp_path / "checkpoints" / "latest").read_text().strip() == f"ckpt-{done}"
    assert run(tmp_path) == 0
    assert weights(tmp_path) == expected


def test_a_second_signal_acts_at_once(tmp_path: Path, run: Run) -> None:
    """After one signal alone the child would finish its step of a minute and end with 130 or 143."""

    def twice(number: signal.Signals) -> Callable[[int], None]:
        def act(child: int) -> None:
            wait_for(tmp_path / "started")
            os.kill(child, number)
            time.sleep(0.2)
            os.kill(child, number)

        return act

    assert run(tmp_path, twice(signal.SIGINT), slow=True) == 99
    (tmp_path / "started").unlink()
    assert run(tmp_path, twice(signal.SIGTERM), slow=True) == -signal.SIGTERM
