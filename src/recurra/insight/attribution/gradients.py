"""Gradient x input: the slope of the explained number at the sequence itself, times the sequence."""

from __future__ import annotations

import numpy as np

from recurra.insight.attribution.record import Attribution, attribution_for
from recurra.insight.question import Question
from recurra.insight.subject import Reading, Subject


def gradient_times_input(subject: Subject, reading: Reading, question: Question) -> list[Attribution]:
    """One backward pass: share = sum over the vector of a channel of x * dF/dx (Shrikumar et al. 2016).

    Exact for a linear model. It sees the slope at one point only: where a gate or the answer is saturated the slope,
    and with it the share, is small although the step matters.
    """
    given = subject.vectors(reading)
    found = subject.gradients(given, question.slope)
    made = []
    for row in range(len(reading)):
        asked = question.select([row])
        scale = asked.units()[0]
        begin, end = int(given.offsets[row]), int(given.offsets[row + 1])
        product = given.values[begin:end].astype(np.float64) * found.values[begin:end].astype(np.float64)
        static = None
        if given.static is not None and found.static is not None:
            static = scale * given.static[row].astype(np.float64) * found.static[row].astype(np.float64)
        made.append(
            attribution_for(
                subject,
                asked,
                reading.passages[row],
                method="gradient",
                values=scale * subject.by_channel(product),
                static=static,
                score=float(asked.score(found.outputs[row : row + 1])[0]),
            )
        )
    return made
