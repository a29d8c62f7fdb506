"""`explain`: why a model answers what it answers, for one sequence or many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.insight.attribution import Attribution, Share, attributions_of
from recurra.insight.forming import Forming, forming_of
from recurra.insight.passage import Passage
from recurra.insight.question import VALUE, question_of
from recurra.insight.subject import subject_of

if TYPE_CHECKING:
    from recurra.report.figure import Figure
    from recurra.report.items import Report


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

    def plot(self) -> Figure:
        """The largest shares as bars, for and against; `.save("shares.svg")` writes it, a notebook shows it."""
        from recurra.insight.pages.example import shares_figure

        return shares_figure(self.attribution)

    def report(self) -> Report:
        """The page about this sequence: the text in its colours or a heatmap, the shares, the forming answer."""
        return Explanations(items=(self,)).report()

    def to_html(self, path: str | Path | None = None) -> str:
        """The page as one self-contained HTML file; with `path` it is written there too, atomically."""
        return _html(self.report(), path)

    def _repr_html_(self) -> str:
        from recurra.report.html import notebook_frame

        return notebook_frame(self.report())

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

    def report(self) -> Report:
        """The page about these sequences, one section each."""
        from recurra.insight.pages.example import Example, example_items
        from recurra.report.items import Report, Section

        shown = [
            Example(
                row=row,
                label=None,
                answer=_in_words(each),
                attribution=each.attribution,
                forming=each.forming,
                states=None,
            )
            for row, each in enumerate(self.items)
        ]
        sections = [Section(title=example.title, items=example_items(example)) for example in shown]
        return Report(title="Explained", sections=sections)

    def to_html(self, path: str | Path | None = None) -> str:
        """The page as one self-contained HTML file; with `path` it is written there too, atomically."""
        return _html(self.report(), path)

    def _repr_html_(self) -> str:
        from recurra.report.html import notebook_frame

        return notebook_frame(self.report())


def _in_words(explained: Explanation) -> str:
    """The answer with its probability, as a page says it."""
    course = explained.forming
    answer, shown = course.decided[-1] or "no label", course.answers[-1]
    if course.measure == VALUE:
        return answer
    return f"{answer} ({explained.of}: probability {shown[course.names.index(explained.of)]:.3f})"


def _html(report: Report, path: str | Path | None) -> str:
    from recurra.report.html import render, write_report

    if path is not None:
        write_report(path, report)
    return render(report)


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
