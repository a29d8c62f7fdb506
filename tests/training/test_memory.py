"""Peak memory, estimated beforehand, and running out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recurra.errors import MemoryBudgetError
from recurra.spec import Training
from recurra.training import estimate_memory, fit, memory
from training.toy import Toy


def test_the_estimate_counts_the_largest_batch_and_all_copies_of_the_parameters() -> None:
    problem = Toy(count=3)
    found = estimate_memory(problem, Training(batch_size=3))
    numbers = sum(value.size for value in problem.parameters.values())
    assert found.tokens == problem.lengths.sum()
    assert found.batch == 1000 * problem.lengths.sum()
    assert found.parameters == 4 * numbers * 7
    assert found.total == found.batch + found.parameters


def test_smaller_batches_and_windows_need_less() -> None:
    whole = estimate_memory(Toy(), Training()).tokens
    assert estimate_memory(Toy(), Training(batch_tokens=20)).tokens <= 20
    assert estimate_memory(Toy(window=3), Training()).tokens < whole / 2


def test_too_little_memory_is_refused_beforehand_with_what_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Toy()
    room = estimate_memory(problem, Training()).parameters + 50_000
    monkeypatch.setattr("recurra.training.fitting.available_memory", lambda device: room)
    with pytest.raises(MemoryBudgetError, match="use batch_tokens=40, a smaller batch_size") as caught:
        fit(problem, Training())
    assert "are free" in str(caught.value)
    assert problem.calls == 0
    fit(problem, Training(epochs=1, batch_tokens=40))


def test_a_network_that_does_not_fit_is_refused() -> None:
    estimate = estimate_memory(Toy(), Training())
    with pytest.raises(MemoryBudgetError, match="use a smaller network"):
        memory.check_memory(estimate, 100)
    memory.check_memory(estimate, None)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError("x"),
    ],
)
def test_running_out_of_memory_is_one_clear_error(error: Exception) -> None:
    class Greedy(Toy):
        def loss(self, *args: Any, **more: Any) -> Any:
            raise error

    with pytest.raises(MemoryBudgetError, match=r"memory ran out in training .* use a smaller batch_size"):
        fit(Greedy(), Training())


def test_other_errors_pass_unchanged() -> None:
    class Broken(Toy):
        def loss(self, *args: Any, **more: Any) -> Any:
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        fit(Broken(), Training())


def test_available_memory_is_known_here_and_plausible() -> None:
    room = memory.available_memory()
    assert room is not None
    assert 2**20 < room < 2**50


def test_every_control_group_on_the_way_to_the_root_counts(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    for folder, most, used, reclaimable in ((inner, "max", 5, 0), (tmp_path / "a", "1000", 400, 150)):
        (folder / "memory.max").write_text(f"{most}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {reclaimable}\n")
    assert memory._rooms(tmp_path, "/a/b", "memory.max", "memory.current", "inactive_file") == [750]
