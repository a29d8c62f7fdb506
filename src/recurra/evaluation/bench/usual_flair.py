"""The same lesson in Flair: its tagger and loss over its sentences, in the steps of its trainer."""

from __future__ import annotations

import numpy as np

from recurra.evaluation.bench.lesson import Lesson
from recurra.evaluation.bench.usual import Round, Steps, collated
from recurra.evaluation.bench.usual_losses import every_step_has_a_target
from recurra.runtime.bench.models import flair_tagger


def flair_round(lesson: Lesson) -> Round:
    """A round of the steps of Flair's trainer, without its scoring and logging; raises LeftOutError.

    The sum that Flair takes the gradient of is divided by the words, as Recurra's is.
    """
    every_step_has_a_target(lesson)
    made = flair_tagger.tagger(lesson.predictor)
    begin, steps = flair_tagger.program(), Steps(lesson, made.train())
    batches = []
    for step in lesson.steps:
        for index in step:
            feed, tags = collated(lesson, index)
            batches.append(begin.sentences(feed, np.asarray(tags)[..., 0]))

    def once() -> list[float]:
        losses = []
        for batch in batches:
            loss, words = made.forward_loss(batch)
            losses.append(steps.take(loss / words))
            begin.forget(batch)
        return losses

    return once
