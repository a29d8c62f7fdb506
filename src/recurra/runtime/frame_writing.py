"""Frames that go on from a prompt: every yes and no drawn by its probability given the frames before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recurra import kernels
from recurra.decoding.choosing import Uniforms, tempered
from recurra.errors import SpecError
from recurra.ragged import Array
from recurra.runtime.next_token import Reader

if TYPE_CHECKING:
    from recurra.runtime.frame_model import FrameModelPredictor


def write_frames(
    predictor: FrameModelPredictor, read: Array, frames: int, *, temperature: float, seed: int
) -> Array:
    """(frames, K) 0 and 1 that follow the encoded frames `read`, by the seed alone; temperature 0: the likelier one.

    Frame t takes the K uniform numbers t * K to t * K + K - 1 of the seed. Raises SpecError.
    """
    if isinstance(frames, bool) or not isinstance(frames, int) or frames < 1:
        raise SpecError(f"frames must be a whole number of at least 1, got {frames!r}")
    if not 0 <= temperature <= 100:
        raise SpecError(f"temperature must be a number from 0 to 100, got {temperature!r}")
    reader, uniforms = Reader(predictor), Uniforms(seed, 0)
    made = np.zeros((frames, predictor.head.outputs), np.float32)
    y = reader.read(read)[-1:]
    for step in range(frames):
        outputs = reader.logits(np.ascontiguousarray(y))[0]
        if temperature == 0:
            made[step] = outputs > 0
        else:
            chances = kernels.sigmoid(tempered(outputs, float(temperature)))
            made[step] = np.array([uniforms.next() for _ in chances]) < chances
        if step + 1 < frames:
            y = reader.read(made[step : step + 1])
    return made
