"""Frame models without torch: the probability of each frame of yes/no's after the frames before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from recurra import kernels
from recurra.data.encoder import Memory
from recurra.errors import DataError, InputError
from recurra.kernels import shaping
from recurra.ragged import Array, Ragged
from recurra.runtime.walking import Walking


def frame_losses(outputs: Any, frames: Any) -> Any:
    """(N,) binary cross entropy of outputs (N, K) for frames (N, K) of 0 and 1, summed over the K."""
    losses = kernels.binary_cross_entropy(outputs, frames)
    return kernels.scale(shaping.row_mean(losses), float(outputs.shape[1]))


class FrameModelPredictor(Walking):
    """log p(frame | all frames before it), K yes/no's per frame, each by a sigmoid given the frames before.

    The model reads a frame of nothing, then the frames; after each it says what the next one is.
    """

    task = "frame_model"
    binary = True

    def beginning(self) -> Ragged:
        """A frame of nothing."""
        return Ragged(values=np.zeros((1, self.head.outputs), np.float32), offsets=np.array([0, 1]))

    def probabilities(self, outputs: Array) -> Array:
        """(n, K) of each yes."""
        made: Array = kernels.sigmoid(outputs)
        return made

    def encode(self, inputs: Any) -> Ragged:
        """What the model reads: an empty frame before each sequence, then its frames. Raises DataError for others."""
        batch = self.encoder.encode(inputs)
        values = np.insert(_checked(batch), batch.offsets[:-1], 0.0, axis=0)
        return Ragged(values=values, offsets=batch.offsets + np.arange(len(batch.offsets)))

    def step(self, item: Any, memory: Memory | None = None) -> tuple[Ragged, Memory]:
        """The next frame or frames. Raises DataError for others than of 0 and 1."""
        encoded, memory = super().step(item, memory)
        _checked(encoded)
        return encoded, memory

    @property
    def quick(self) -> None:
        """None: every number is looked at."""
        return None

    def log_probabilities(self, inputs: Any) -> Ragged:
        """The natural logarithm of the probability of each frame of each sequence, float32."""
        batch = self.encode(inputs)
        frames = np.asarray(batch.values)
        following = np.concatenate([frames[1:], frames[:1]])
        found = [np.zeros(0, np.float32), *self.losses(batch, following, frame_losses)]
        kept = np.ones(len(frames), dtype=bool)
        kept[batch.offsets[1:] - 1] = False
        return Ragged(
            values=-np.concatenate(found)[kept], offsets=batch.offsets - np.arange(len(batch.offsets))
        )

    def next_frame(self, inputs: Any) -> Array:
        """(S, K) the probability of each yes in the frame after each sequence."""
        batch = self.encode(inputs)
        every = np.concatenate(list(self.walk(batch)))
        return self.probabilities(np.ascontiguousarray(every[batch.offsets[1:] - 1]))

    def generate(
        self, prompt: Any = None, *, frames: int = 64, temperature: float = 1.0, seed: int = 0
    ) -> Array:
        """(frames, K) frames of 0 and 1 that go on from a prompt (T, K), or begin a sequence where there is none.

        Every yes is drawn by its own probability given the frames before; temperature below 1 is safer, 0 takes the
        likelier of yes and no. The same seed gives the same frames at any thread count, and more frames begin with
        the fewer. `recurra.data.midi.write_midi` makes a piano roll heard. Raises SpecError, and DataError for a
        prompt that is no frames.
        """
        from recurra.runtime.frame_writing import write_frames

        start = np.zeros((0, self.head.outputs)) if prompt is None else np.asarray(prompt)
        read = np.asarray(self.encode([start]).values)
        return write_frames(self, read, frames, temperature=temperature, seed=seed)

    def predict(self, inputs: Any, static: Any = None) -> Array:
        """(S,) nats per frame of each sequence: how surprising it is."""
        found = self.log_probabilities(inputs)
        return np.array([_mean(found[row]) for row in range(len(found))])

    def records(
        self, inputs: Any, static: Any = None, *, coverage: float | None = None
    ) -> Iterator[dict[str, Any]]:
        """Per sequence its log probability, frames and nats per frame."""
        if coverage is not None:
            raise InputError("coverage has no effect on a frame model; leave it out")
        found = self.log_probabilities(inputs)
        for row in range(len(found)):
            values = np.asarray(found[row], dtype=np.float64)
            total = float(values.sum())
            yield {"log_probability": total, "frames": len(values), "nats_per_frame": _mean(values)}

    def score(self, inputs: Any, targets: Any = None, static: Any = None) -> float:
        """Minus the nats per frame, so that higher is better."""
        return -float(self.scores(inputs)["nats_per_frame"])

    def scores(self, inputs: Any, targets: Any = None, static: Any = None) -> dict[str, Any]:
        """Nats per frame over all frames: the negative log-likelihood, summed over the yes/no's of a frame."""
        found = self.log_probabilities(inputs)
        return {"nats_per_frame": _mean(found.values), "frames": len(found.values), "sequences": len(found)}

    def answers(self, outputs: Array) -> Array:
        """(n, K) the probability of each yes in the next frame, for what leaves the model."""
        return self.probabilities(outputs)

    def records_of(self, outputs: Array) -> Iterator[dict[str, Any]]:
        """`{"next": [...]}`: the same of each step, as a stream says it."""
        for row in self.probabilities(outputs):
            yield {"next": row.tolist()}

    def calibrated(self, outputs: Any, encoded: Any, **options: Any) -> Any:
        """A frame model promises no sets."""
        raise InputError("a frame model has no conformal sets")

    def sets_of(self, outputs: Any, coverage: float | None = None) -> Any:
        """As `calibrated`."""
        return self.calibrated(outputs, None)


def _checked(batch: Ragged) -> Array:
    """The frames of a batch; raises DataError for other numbers than 0 and 1."""
    frames = np.asarray(batch.values)
    odd = frames[(frames != 0.0) & (frames != 1.0)]
    if len(odd):
        raise DataError(f"frames must hold 0 and 1 alone, got {odd[0]:g}; a Regressor learns other numbers")
    return frames


def _mean(values: Any) -> float:
    return -float(np.mean(values, dtype=np.float64)) if len(values) else 0.0
