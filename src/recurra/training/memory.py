"""How much memory training will need, before it starts, and one clear error where there is not enough."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recurra.errors import MemoryBudgetError
from recurra.spec import Training
from recurra.training.batches import steps_of_epoch
from recurra.training.problem import IndexArray, Problem

SLOTS = {"adam": 2, "adamw": 2, "sgd": 1, "rmsprop": 2}
COPIES = 5
"""Of the parameters at once: values, gradients, the good ones, the best ones, and those being scored."""


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """Bytes that training adds to the process at its peak.

    parameters: with gradients, optimizer slots, an average and kept copies; batch: what the largest batch keeps
    for its backward pass; tokens: of that batch (of one window, where it is trained in windows).
    """

    parameters: int
    batch: int
    tokens: int

    @property
    def total(self) -> int:
        """All bytes."""
        return self.parameters + self.batch


def estimate_memory(problem: Problem, training: Training) -> MemoryEstimate:
    """Estimate the peak from the batches of the first epoch."""
    numbers = sum(int(np.prod(value.shape)) for value in problem.parameters.values())
    steps = steps_of_epoch(
        problem.lengths,
        batch_size=training.batch_size,
        batch_tokens=training.batch_tokens,
        accumulate=training.accumulate,
        bucket=training.bucket,
        seed=training.seed,
    )
    tokens = max(_window_tokens(problem, index) for step in steps for index in step)
    copies = COPIES + SLOTS[training.optimizer] + (training.average_weights is not None)
    return MemoryEstimate(
        parameters=4 * numbers * copies, batch=tokens * problem.bytes_per_token(), tokens=tokens
    )


def _window_tokens(problem: Problem, index: IndexArray) -> int:
    return -(-int(problem.lengths[index].sum()) // problem.windows(index))


def check_memory(estimate: MemoryEstimate, available: int | None) -> None:
    """Raise MemoryBudgetError, saying what to change, where the estimate is more than there is."""
    if available is None or estimate.total <= available:
        return
    room = available - estimate.parameters
    per_token = max(1, estimate.batch // max(1, estimate.tokens))
    fits = int(0.8 * room) // per_token
    advice = (
        f"use batch_tokens={fits}, a smaller batch_size or a smaller sequence_length"
        if fits > 0
        else "use a smaller network (hidden_size, embedding_size, vocabulary)"
    )
    raise MemoryBudgetError(
        f"training needs about {_shown(estimate.total)} of memory ({_shown(estimate.batch)} for the largest "
        f"batch of {estimate.tokens} tokens, {_shown(estimate.parameters)} for the parameters) and "
        f"{_shown(available)} are free; {advice}"
    )


@contextmanager
def clear_memory_errors(estimate: MemoryEstimate) -> Iterator[None]:
    """Turn running out of memory, however it shows, into one MemoryBudgetError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise MemoryBudgetError(
            f"memory ran out in training (estimated beforehand: {_shown(estimate.total)}); use a smaller "
            "batch_size, batch_tokens or sequence_length, or a smaller network"
        ) from error


def _is_out_of_memory(error: BaseException) -> bool:
    words = ("can't allocate memory", "out of memory", "bad_alloc", "not enough memory")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def available_memory(device: str = "cpu") -> int | None:
    """Return the bytes that this process may still take, by memory, groups and limits; None: unknown."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    known = [room for room in (_system_room(), _group_room(), _limit_room()) if room is not None]
    return min(known) if known else None


def _system_room() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _group_room() -> int | None:
    """What the control groups (version 1 or 2) leave, from that of this process up to the root."""
    rooms: list[int] = []
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                rooms += _rooms(Path("/sys/fs/cgroup"), path, "memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                root = Path("/sys/fs/cgroup/memory")
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                rooms += _rooms(root, path, *names)
    return min(rooms) if rooms else None


def _rooms(root: Path, path: str, limit: str, usage: str, reclaimable: str) -> list[int]:
    rooms = []
    group = root / path.lstrip("/")
    for folder in (group, *group.parents):
        with suppress(OSError, ValueError):
            most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
            rooms.append(max(0, most - used + _counter(folder / "memory.stat", reclaimable)))
        if folder == root:
            break
    return rooms


def _counter(file: Path, name: str) -> int:
    with suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


def _limit_room() -> int | None:
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            return max(0, limit - pages * resource.getpagesize())
    return None


def _shown(count: int) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.1f} MB"
