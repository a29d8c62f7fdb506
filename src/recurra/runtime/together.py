"""Several models stepped together on what one encoder gives: as `graph.stepping`, for an ensemble."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from recurra.graph.stepping import Stepping
from recurra.ragged import Array, Ragged

Joined = Callable[[Sequence[Array]], Array]


class Together:
    """The interface of `Stepping` over several of them; `joined` makes one answer of theirs.

    Where the members look tokens up, a token is one row of all their vectors side by side; where they read numbers
    as they are, it is these numbers once.
    """

    def __init__(self, parts: Sequence[Stepping], joined: Joined) -> None:
        self._parts, self._joined = parts, joined
        self._plain = not any(part.looks_up for part in parts)
        self._ends = np.cumsum([part.inputs for part in parts])

    @property
    def rows(self) -> int:
        """Streams that there is room for."""
        return self._parts[0].rows

    @property
    def inputs(self) -> int:
        """Numbers per token."""
        return self._parts[0].inputs if self._plain else int(self._ends[-1])

    def enter(self, batch: Ragged) -> Array:
        """What the members' recurrent layers read of encoded tokens: (N, inputs)."""
        made = [part.enter(batch) for part in self._parts[: 1 if self._plain else None]]
        return made[0] if len(made) == 1 else np.concatenate(made, axis=1)

    def _shares(self, x: Array) -> list[Array]:
        """What each member reads of tokens."""
        if self._plain:
            return [x] * len(self._parts)
        return [np.ascontiguousarray(part) for part in np.split(x, self._ends[:-1], axis=1)]

    def bare(self) -> Callable[[Array], None]:
        """The function that takes one token (1, inputs) of the only stream."""
        takes = [part.bare() for part in self._parts]

        def take(x: Array) -> None:
            for share, each in zip(self._shares(x), takes, strict=True):
                each(share)

        return take

    def advance(self, x: Array, rows: Array) -> None:
        """Take one token for each of n streams."""
        for share, part in zip(self._shares(x), self._parts, strict=True):
            part.advance(share, rows)

    def extend(self, x: Array, row: int) -> None:
        """Take n tokens of one stream, one after the other."""
        for share, part in zip(self._shares(x), self._parts, strict=True):
            part.extend(share, row)

    def outputs(self, rows: Array, counts: Array, static: Array | None = None) -> Array:
        """(n, outputs) answers of n streams that have taken `counts` tokens."""
        return self._joined([part.outputs(rows, counts, static) for part in self._parts])

    def reset(self, rows: Array) -> None:
        """Let streams begin anew."""
        for part in self._parts:
            part.reset(rows)

    def grow(self, rows: int) -> None:
        """Make room for `rows` streams."""
        for part in self._parts:
            part.grow(rows)

    def read(self, row: int) -> dict[str, Array]:
        """A copy of what one stream remembers, by member and name."""
        return {
            f"{place}.{name}": array
            for place, part in enumerate(self._parts)
            for name, array in part.read(row).items()
        }

    def write(self, row: int, held: Mapping[str, Array]) -> None:
        """Let one stream go on from what `read` gave."""
        for place, part in enumerate(self._parts):
            mine = f"{place}."
            part.write(row, {k.removeprefix(mine): v for k, v in held.items() if k.startswith(mine)})

    def shapes(self) -> dict[str, tuple[int | range, ...]]:
        """The shapes of what `read` gives."""
        return {
            f"{place}.{name}": shape
            for place, part in enumerate(self._parts)
            for name, shape in part.shapes().items()
        }
