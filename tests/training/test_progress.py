"""What a person sees of training."""

from __future__ import annotations

import io

import pytest

from recurra.errors import SpecError
from recurra.spec import Training
from recurra.training import Callback, fit, progress
from recurra.training.progress import Bar, Lines, duration, make_progress
from training.toy import Toy

BASE = Training(epochs=2, batch_size=8, learning_rate=0.02)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_go_to_standard_error_and_nothing_to_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    problem = Toy()
    problem.notes = ("3 of 50 sequences were cut to 100 steps",)
    problem.poisoned = {3}
    fit(problem, BASE, progress="auto")
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0].startswith("training 269 parameters on 50 sequences for 2 epochs on cpu")
    assert "best by accuracy" in lines[0]
    assert lines[1] == "3 of 50 sequences were cut to 100 steps"
    assert lines[2].startswith("epoch 1/2  loss 1.")
    for part in (
        "validation_accuracy",
        "gradient norm",
        "rate 0.02",
        "sequences/s",
        "skipped 1 steps",
        "left ",
    ):
        assert part in lines[2]
    assert len(lines) == 4


def test_nothing_is_shown_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    fit(Toy(), BASE)
    assert capsys.readouterr() == ("", "")


def test_long_epochs_show_lines_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    out = io.StringIO()
    fit(Toy(), BASE, progress=Lines(out))
    assert "epoch 1/2  step 3/7  loss" in out.getvalue()


def test_a_reader_that_went_away_does_not_end_training() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    assert fit(Toy(), BASE, progress=Lines(Closed())).stopped_by == "epochs"


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    assert isinstance(make_progress("auto", terminal), Bar)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    fit(Toy(), BASE, progress=Bar(terminal))
    shown = terminal.getvalue()
    for part in ("epoch", "loss", "accuracy", "norm", "seq/s", "epoch 2/2"):
        assert part in shown


def test_the_bar_is_put_away_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    bar = Bar(terminal)

    class Broken(Toy):
        def loss(self, *args: object, **more: object) -> None:  # type: ignore[override]
            raise KeyError("x")

    with pytest.raises(KeyError):
        fit(Broken(), BASE, progress=bar)
    assert "\x1b[?25h" in terminal.getvalue()  # the cursor is shown again


def test_kinds_of_progress() -> None:
    mine = Callback()
    assert make_progress(None) is None
    assert make_progress(mine) is mine
    assert isinstance(make_progress("lines", Terminal()), Lines)
    assert isinstance(make_progress("bar", io.StringIO()), Bar)
    with pytest.raises(
        SpecError, match="progress must be None, 'auto', 'bar', 'lines' or a callback, got 'loud'"
    ):
        make_progress("loud")


def test_durations_read_as_clocks() -> None:
    assert [duration(seconds) for seconds in (0, 7.4, 754, 3723)] == ["0:00", "0:07", "12:34", "1:02:03"]
