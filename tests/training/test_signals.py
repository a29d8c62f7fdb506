"""Signals within the process: what is remembered, saved and put back."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from recurra.errors import Interrupted
from recurra.spec import Training
from recurra.training import Callback, Fitted, StepEvent, fit
from recurra.training.signals import Signals
from training.toy import Toy, fitted_to_compare

BASE = Training(epochs=3, batch_size=8, learning_rate=0.02)


class Raise(Callback):
    """Sends this process a signal after so many steps."""

    def __init__(self, number: signal.Signals, after: int) -> None:
        self.number, self.after = number, after

    def on_step(self, event: StepEvent) -> None:
        if event.total == self.after:
            signal.raise_signal(self.number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("after", [5, 7, 21])
def test_a_signal_saves_says_how_to_resume_and_carries_what_was_learnt(
    tmp_path: Path, number: signal.Signals, code: int, after: int
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=f"after step {after} .*saved in .*resume=True") as caught:
        fit(Toy(), BASE, callbacks=[Raise(number, after)], folder=tmp_path)
    assert caught.value.exit_code == code
    assert isinstance(caught.value.fitted, Fitted)
    assert (caught.value.fitted.stopped_by, caught.value.fitted.steps) == ("signal", after)
    assert signal.getsignal(number) is before
    resumed = fit(Toy(), BASE, folder=tmp_path, resume=True)
    assert fitted_to_compare(resumed) == fitted_to_compare(fit(Toy(), BASE))


def test_without_a_folder_the_message_says_that_nothing_is_saved() -> None:
    with pytest.raises(Interrupted, match="nothing is saved, as no folder was given"):
        fit(Toy(), BASE, callbacks=[Raise(signal.SIGTERM, 2)])


def test_a_signal_while_the_rate_is_searched_stops_that_too(tmp_path: Path) -> None:
    class Early(Toy):
        def loss(self, *args: object, **more: object) -> object:  # type: ignore[override]
            answer = super().loss(*args, **more)  # type: ignore[arg-type]
            if self.calls == 5:
                signal.raise_signal(signal.SIGINT)
            return answer

    training = BASE.replace(learning_rate="auto")
    problem = Early()
    with pytest.raises(Interrupted, match="saved in"):
        fit(problem, training, folder=tmp_path)
    assert problem.calls == 6
    resumed = fit(Toy(), training, folder=tmp_path, resume=True)
    assert fitted_to_compare(resumed) == fitted_to_compare(fit(Toy(), training))


def test_the_second_ctrl_c_acts_at_once() -> None:
    with Signals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.received == signal.SIGINT
        assert signals.exit_code == 130
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_the_process_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Signals() as signals:
            signal.raise_signal(signal.SIGINT)
            assert signals.received is None
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_of_the_main_thread_handlers_are_left_alone() -> None:
    seen: list[object] = []

    def look() -> None:
        with Signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    before = signal.getsignal(signal.SIGTERM)
    thread.start()
    thread.join()
    assert seen == [before]
