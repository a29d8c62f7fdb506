"""`explain`: why a model answers what it answers, for one sequence or many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recurra.insight.attribution import Attribution, Share, attributions_of
from recurra.insight.forming import Forming, forming_of
from recurra.insight.passage import Passage
from recurra.insight.question import question_of
from recurra.insight.subject import subject_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """Why one sequence is answered as it is.

    answer: what `recurra predict` writes for it: {"label", "probability", "probabilities"} or {"value"}.
    attribution: what each step and channel adds to the explained number. forming: the answer after each step.
    """

    answer: Mapping[str, Any]
    attribution: Attribution
    forming: Forming

    @property
    def passage(self) -> Passage:
        """The sequence as the model read it."""
        return self.attribution.passage

    @property
    def of(self) -> str:
        """The explained class, label or number."""
        return self.attribution.of

    def top(self, count: int = 10) -> list[Share]:
        """The parts that add or take away most, largest first."""
        return self.attribution.top(count)

    def __repr__(self) -> str:
        parts = ", ".join(f"{share.text!r} {share.value:+.2f}" for share in self.top(5))
        return f"Explanation({self.of!r} {self.attribution.score:+.2f} {self.attribution.measure}: {parts})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanations:
    """Explanations of several sequences, in their order."""

    items: tuple[Explanation, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Explanation:
        return self.items[index]


def explain(
    model: Any,
    inputs: Any,
    *,
    method: str = "integrated",
    of: Any = None,
    static: Any = None,
    **options: Any,
) -> Any:
    """Explain the answers of a model, token by token or step by step.

    model: an estimator that has learnt, or a loaded model, of float32 weights.
    inputs: one text or one (T, F) array: an `Explanation`; a list of sequences, a `Ragged` or a `Dataset`:
        `Explanations`.
    method: "integrated" (integrated gradients, which add up), "gradient" (gradient x input), "occlusion" (what is
        missing without it) or "change" (what the answer does when it is read).
    of: the class, label or position of a number to explain; None: what is predicted.
    static: features per sequence, of one sequence (K,) or of several (S, K). options: of the method.

    The explanation of a sequence does not depend on the others, bit for bit. Raises SpecError for what is not known
    and DataError for what the model cannot read.
    """
    single = isinstance(inputs, str) or (isinstance(inputs, np.ndarray) and inputs.ndim <= 2)
    subject = subject_of(model)
    given = static if static is None or not single else np.reshape(np.asarray(static, dtype=object), (1, -1))
    reading = subject.read([inputs] if single else inputs, given)
    outputs = subject.outputs(reading.batch, reading.static)
    question = question_of(subject, outputs, of)
    found = attributions_of(subject, reading, question, method=method, **options)
    formed = forming_of(subject, reading, question)
    answers = subject.predictor.records_of(outputs)
    made = tuple(
        Explanation(answer=answer, attribution=attribution, forming=course)
        for answer, attribution, course in zip(answers, found, formed, strict=True)
    )
    return made[0] if single else Explanations(items=made)
