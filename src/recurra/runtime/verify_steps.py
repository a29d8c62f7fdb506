"""What `verify` compares of a model with an answer per step: every step of every sequence."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from recurra.ragged import Array
from recurra.runtime.sample import pieces_of
from recurra.runtime.verify import EVERY_STEP, Check, Work


class StepWork(Work):
    """The comparisons of one model with an answer per step."""

    def _permuted(self) -> Array:
        order = np.random.default_rng(1).permutation(len(self.sample))
        found = self._of(self.sample.select(order))
        back = self.batch.select(order).select(np.argsort(order))
        assert np.array_equal(back.offsets, self.batch.offsets)
        places = self.batch.select(order).token_index(np.argsort(order))
        return found[places]

    def _answers(self, outputs: Array) -> Array:
        return np.ascontiguousarray(outputs)

    def _streamed_checks(self, rows: Array) -> Iterator[Check]:
        lengths = self.batch.lengths
        rows = rows[lengths[rows] <= EVERY_STEP]
        if not len(rows):
            self.notes.append(f"no stream: every sequence is longer than {EVERY_STEP} steps")
            return
        ahead = max(1, int(lengths[rows].max())) if self.predictor.bidirectional else None
        pieces = [pieces_of(self.predictor.encoder, self.sample.inputs, int(row)) for row in rows]
        index = self.batch.token_index(rows)
        yield self._same("streamed = batch", partial(self._one_by_one, rows, pieces, ahead), index)
        yield self._same("resumed from a state = batch", partial(self._resumed, rows, pieces, ahead), index)

    def _one_by_one(self, rows: Array, pieces: list[list[Any]], ahead: int | None) -> Array:
        return self._joined([self._stepped(items, len(items), ahead) for items in pieces])

    def _resumed(self, rows: Array, pieces: list[list[Any]], ahead: int | None) -> Array:
        return self._joined([self._stepped(items, len(items) // 2, ahead) for items in pieces])

    def _stepped(self, items: list[Any], half: int, ahead: int | None) -> Array:
        """The outputs of all steps, from one stream up to `half` and from another behind it."""
        streams: list[Any] = [self.predictor.stream(look_ahead=ahead) for _ in range(2)]
        first, second = streams
        made = [first.push_outputs(item)[:, 0] for item in items[:half]]
        second.restore(first.snapshot())
        made += [second.push_outputs(item)[:, 0] for item in items[half:]]
        return self._joined([*made, second.finish_outputs()])

    def _joined(self, parts: list[Array]) -> Array:
        return np.concatenate([self.outputs[:0], *parts]).astype(np.float32, copy=False)


class ForetellingWork(StepWork):
    """The comparisons of a model that foretells its own input: what it says before the first step and after each."""

    def _stepped(self, items: list[Any], half: int, ahead: int | None) -> Array:
        streams: list[Any] = [self.predictor.stream() for _ in range(2)]
        first, second = streams
        made = [first.outputs()[None], *(first.push_outputs(item) for item in items[:half])]
        second.restore(first.snapshot())
        made += [second.push_outputs(item) for item in items[half:]]
        return self._joined(made)

    def _streamed_checks(self, rows: Array) -> Iterator[Check]:
        yield from super()._streamed_checks(rows)
        rows = rows[self.batch.lengths[rows] <= EVERY_STEP]
        if len(rows):
            pieces = [pieces_of(self.predictor.encoder, self.sample.inputs, int(row)) for row in rows]
            by_key = partial(self._by_key, rows, pieces, None)
            yield self._same("interleaved by key = batch", by_key, self.batch.token_index(rows))

    def _by_key(self, rows: Array, pieces: list[list[Any]], ahead: int | None) -> Array:
        """What all streams foretell before the first step and after each, stepped together."""
        streams = self.predictor.streams()
        for row in rows.tolist():
            streams.start(row)
        made = {row: [streams.outputs([row])] for row in rows.tolist()}
        for step in range(max(map(len, pieces))):
            going = {r: items[step] for r, items in zip(made, pieces, strict=True) if step < len(items)}
            for error in streams.push_many(going).values():
                raise error
            for row in going:
                made[row].append(streams.outputs([row]))
        return self._joined([each for found in made.values() for each in found])
