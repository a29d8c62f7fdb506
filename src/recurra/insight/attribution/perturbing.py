"""Attribution without gradients: what is missing without a part, and what the answer does when a step is read.

They need nothing but answers, so they work for weights in fewer bits too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recurra.errors import SpecError
from recurra.insight.attribution.record import Attribution, attribution_for
from recurra.insight.erasing import outputs_without
from recurra.insight.forming import forming_of
from recurra.insight.question import Question
from recurra.insight.subject import Reading, Subject
from recurra.ragged import Array

WINDOWS = 32
"""About how many windows a long signal is cut into where no window is given."""

STEP = "step"
"""The only channel of an attribution that cannot tell the channels of a step apart."""

_ROUNDING = 1e-6


def occlusion(
    subject: Subject, reading: Reading, question: Question, *, window: int | None = None
) -> list[Attribution]:
    """Share = F(x) - F(x without the part) (Zeiler & Fergus 2014); see `recurra.insight.erasing` for "without".

    window: neighbouring steps that are left out together, per channel, and share the difference evenly; None: 1 for
    texts, a 32nd of the sequence for signals and events. Two parts that stand for each other both get little, and
    parts that need each other both get much: the shares need not add up. Raises SpecError for a window below 1.
    """
    if window is not None and window < 1:
        raise SpecError(f"window must be at least 1, got {window!r}; usual: 1 for texts, 1-10 for signals")
    return [
        _occluded(subject, reading.select([row]), question.select([row]), window)
        for row in range(len(reading))
    ]


def _occluded(subject: Subject, reading: Reading, question: Question, window: int | None) -> Attribution:
    passage = reading.passages[0]
    steps, channels = len(passage), len(passage.channels)
    size = window or (1 if subject.is_text else max(1, -(-steps // WINDOWS)))
    group = np.arange(steps) // size
    groups = int(group[-1]) + 1 if steps else 0
    keep = np.ones((groups, channels, steps, channels), bool)
    for channel in range(channels):
        keep[:, channel, :, channel] = group[None, :] != np.arange(groups)[:, None]
    outputs = outputs_without(subject, reading, keep.reshape(groups * channels, steps, channels))
    score = float(_scores(question, subject.outputs(reading.batch, reading.static))[0])
    lost = (score - _scores(question, outputs)).reshape(groups, channels)
    static, asked = _static_shares(subject, reading, question, score)
    return attribution_for(
        subject,
        question,
        passage,
        method="occlusion",
        values=lost[group] / np.bincount(group, minlength=groups)[group][:, None],
        static=static,
        score=score,
        evaluations=1 + len(outputs) + asked,
    )


def _static_shares(
    subject: Subject, reading: Reading, question: Question, score: float
) -> tuple[Array | None, int]:
    """What is missing with each feature of the whole sequence at its mean, and how many variants that took."""
    if reading.static is None:
        return None, 0
    count = reading.static.shape[1]
    blanked = np.where(np.eye(count, dtype=bool), np.float32(0), reading.static)
    outputs = subject.outputs(reading.batch.select(np.zeros(count, np.int64)), blanked)
    return score - _scores(question, outputs), count


def _scores(question: Question, outputs: Array) -> Array:
    return question.score(outputs, np.zeros(len(outputs), np.int64))


def stepwise_change(subject: Subject, reading: Reading, question: Question) -> list[Attribution]:
    """Share of a step = F of the sequence up to it - F of the sequence before it.

    The shares add up to the whole minus the empty sequence. It says where, in reading, the answer turned; a word that
    only later words make matter gets nothing, they get it all.
    """
    made = []
    for row, course in enumerate(forming_of(subject, reading, question)):
        passage = course.passage
        if len(passage.channels) > 1:
            passage = replace(passage, channels=(STEP,), numbers=None, categories=None)
        asked = question.select([row])
        made.append(
            attribution_for(
                subject,
                asked,
                passage,
                method="change",
                values=course.change[:, None],
                score=float(course.score[-1]),
                baseline=float(course.score[0]),
                evaluations=len(course.score),
                tolerance=_ROUNDING * float(asked.units()[0]),
            )
        )
    return made
