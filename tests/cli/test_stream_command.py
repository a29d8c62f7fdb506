"""`recurra stream`: a process between pipes, in order, line by line, ended by the end, a signal or a closed pipe."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from recurra.cli import stream as stream_module
from recurra.cli.app import run
from recurra.cli.stream import _Stop, waiting_lines
from recurra.runtime import load
from recurra.runtime.store import save_predictor
from runtime.streaming import model_of, numbers, plain_signal


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("stream") / "model"
    save_predictor(model_of(plain_signal(), "mean"), path, training={}, scores={}, data={})
    return str(path)


@contextmanager
def process(bundle: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "recurra", "stream", bundle, *options]
    with subprocess.Popen(command, bufsize=0, stdin=-1, stdout=-1, stderr=-1) as running:
        try:
            yield running
        finally:
            running.kill()


def line_of(running: subprocess.Popen[bytes], seconds: float = 120.0) -> dict:
    assert select.select([running.stdout], [], [], seconds)[0], "no answer came"
    return json.loads(running.stdout.readline())


def send(running: subprocess.Popen[bytes], value: object) -> None:
    running.stdin.write(json.dumps(value).encode() + b"\n")
    running.stdin.flush()


def test_lines_are_answered_as_they_come_and_sigterm_ends_it(bundle):
    rows = numbers(3, 1).tolist()
    with process(bundle) as running:
        for n, row in enumerate(rows, 1):
            send(running, {"key": "a", "input": row})
            record = json.loads(json.dumps(next(iter(load(bundle).records([rows[:n]])))))
            assert line_of(running) == {"key": "a", "steps": n, **record}
        running.stdin.write(b"{nonsense\n")
        send(running, {"key": "a", "input": rows[0]})
        assert "not JSON" in line_of(running)["error"]["message"]
        assert line_of(running)["steps"] == 4
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 143
        assert running.stdout.read() == b""
        assert running.stderr.read().count(b"\n") == 1


def test_the_end_of_input_ends_it_and_the_last_line_needs_no_newline(bundle):
    lines = b"\n".join(json.dumps({"key": i % 700, "input": [1.0, 2.0, 3.0]}).encode() for i in range(1500))
    done = subprocess.run(
        [sys.executable, "-m", "recurra", "stream", bundle], input=lines, capture_output=True, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["key"] for answer in answers] == [i % 700 for i in range(1500)]
    assert [answer["steps"] for answer in answers] == [1 + i // 700 for i in range(1500)]
    assert done.stderr == b""


def fill(running: subprocess.Popen[bytes]) -> int:
    """Send lines and take no answer, until nothing more can be sent; returns the bytes that went."""
    line = json.dumps({"key": "a", "input": [1.0, 2.0, 3.0]}).encode() + b"\n"
    os.set_blocking(running.stdin.fileno(), False)
    sent, quiet = 0, 0
    while quiet < 5:
        try:
            sent += os.write(running.stdin.fileno(), line * 50)
            quiet = 0
        except BlockingIOError:
            quiet += not select.select([], [running.stdin], [], 0.4)[1]
    return sent


@pytest.mark.parametrize(("how", "code"), [("closed", 141), ("SIGTERM", 143), ("SIGINT", 130)])
def test_whoever_does_not_read_the_answers_is_not_read_from(bundle, how, code):
    """Back-pressure: with nobody taking the answers, what can be sent is bounded by the pipes."""
    with process(bundle) as running:
        send(running, {"key": "first", "input": [1.0, 2.0, 3.0]})
        line_of(running)
        assert fill(running) < 1 << 20
        if how == "closed":
            running.stdout.close()
        else:
            running.send_signal(getattr(signal, how))
        assert running.wait(60) == code
        assert b"Traceback" not in running.stderr.read()
        if how != "closed":
            answers = running.stdout.read()
            assert [json.loads(line)["steps"] for line in answers.splitlines()] == list(
                range(1, answers.count(b"\n") + 1)
            )
            assert answers.endswith(b"\n")


def test_a_bidirectional_model_is_refused_at_once_and_reads_back_on_demand(tmp_path, capsys):
    path = tmp_path / "model"
    model = model_of(plain_signal(), "mean", bidirectional=True)
    save_predictor(model, path, training={}, scores={}, data={})
    assert run(["stream", str(path)]) == 2
    assert "reads from the end" in capsys.readouterr().err
    with process(str(path), "--look-ahead", "4") as running:
        send(running, {"input": numbers(4, 1).tolist()})
        assert (
            line_of(running)["probabilities"] == next(iter(model.records([numbers(4, 1)])))["probabilities"]
        )


def test_odd_options_are_one_line(bundle, capsys):
    assert run(["stream", bundle, "--lost", "restrat"]) == 2
    assert "did you mean 'restart'" in capsys.readouterr().err


def lines_of(blocks: list[bytes]) -> list[bytes | None]:
    class Blocks(_Stop):
        def read(self, descriptor: int) -> bytes:
            return blocks.pop(0) if blocks else b""

    return [line for lines in waiting_lines(0, Blocks()) for line in lines]


def test_lines_may_be_torn_between_reads():
    assert lines_of([b"a\nb", b"", b"never"]) == [b"a", b"b"]
    assert lines_of([b"on", b"e\ntw", b"o\n\nthree"]) == [b"one", b"two", b"", b"three"]
    assert lines_of([b"x\n" * 1000]) == [b"x"] * 1000
    assert lines_of([]) == []


def test_a_line_that_never_ends_is_not_kept(monkeypatch):
    monkeypatch.setattr(stream_module, "MAX_LINE", 10)
    assert lines_of([b"ok\n" + b"x" * 8, b"x" * 8, b"x" * 8 + b"\nok"]) == [b"ok", None, b"ok"]
    assert lines_of([b"x" * 11]) == [None]
