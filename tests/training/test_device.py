"""Where training runs, and what is put back."""

from __future__ import annotations

import threading

import pytest
import torch

from recurra.errors import SpecError
from recurra.training import resolve_device
from recurra.training.device import describe_device, one_torch_thread


def test_auto_takes_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [resolve_device(name) for name in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [resolve_device(name) for name in ("auto", "cpu")] == ["cpu", "cpu"]
    with pytest.raises(SpecError, match="got 'cuda', which torch does not find"):
        resolve_device("cuda")


def test_the_device_is_told_with_its_kernels_and_threads() -> None:
    assert describe_device("cpu").startswith("cpu (")
    assert "kernels" in describe_device("cpu")


def test_torch_threads_are_put_back_also_after_errors_and_when_nested() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)

    def fail() -> None:
        with one_torch_thread():
            assert torch.get_num_threads() == 1
            with one_torch_thread():
                assert torch.get_num_threads() == 1
            raise KeyError

    try:
        with pytest.raises(KeyError):
            fail()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_trainings_in_several_threads_put_back_what_the_first_found() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    entered, leave = threading.Event(), threading.Event()

    def inside() -> None:
        with one_torch_thread():
            entered.set()
            leave.wait(10)

    try:
        thread = threading.Thread(target=inside)
        thread.start()
        entered.wait(10)
        with one_torch_thread():
            assert torch.get_num_threads() == 1
        leave.set()
        thread.join()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
