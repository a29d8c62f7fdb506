"""The page of `recurra explain`: what a model answers on some data, why, and what it gets wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import InputError, SpecError
from recurra.insight.attribution import METHODS, attributions_of
from recurra.insight.errors import ClassErrors, ResidualErrors, error_analysis
from recurra.insight.forming import forming_of
from recurra.insight.pages.errors import error_sections, error_sentences
from recurra.insight.pages.example import Example, example_items
from recurra.insight.pages.inside import inside_sections
from recurra.insight.question import question_of
from recurra.insight.states import states_of
from recurra.insight.subject import Reading, Subject, subject_of
from recurra.report.items import Item, KeyValues, Report, Section, Table, Text
from recurra.report.wording import shorten, show_number, title_of
from recurra.runtime.predictor import ClassifierPredictor

EXAMPLES = 12
MOST_ROWS = 1000
"""Predictions that the page lists one by one."""
LONGEST_FORMING = 1000
"""Steps up to which a bidirectional model's answer is followed: it costs a whole reading per step."""
_OPEN = 3
_WITH_STATES = 4
_EXCERPT = 160


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a page is to hold.

    examples: how many sequences are explained one by one. method: of attribution; None: integrated gradients,
    or occlusion for a model in fewer bits. of: class, label or number explained; None: the predicted one.
    inside: whether hidden states of many sequences, tests of behaviour and of the attribution are made.
    seed: of what is drawn.
    Raises SpecError for what is out of range.
    """

    examples: int = EXAMPLES
    method: str | None = None
    of: Any = None
    inside: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.examples < 0:
            raise SpecError(f"examples must be at least 0, got {self.examples}; usual: 12")
        if self.method is not None and self.method not in METHODS:
            raise SpecError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")


def explain_report(
    model: Any, data: Any = None, texts: Sequence[str] = (), asked: Asked | None = None, *, title: str = ""
) -> Report:
    """Make the page.

    model: an estimator that has learnt, or a loaded model. data: a `Dataset`, with targets or without, or None.
    texts: texts to explain besides. asked: see `Asked`. title: by default the task.
    Raises InputError where there is neither data nor text, SpecError and DataError for what the model cannot read.
    """
    asked = asked or Asked()
    subject = subject_of(model)
    if data is None and not texts:
        raise InputError("nothing to explain: give data, or a text with --text")
    if texts and not subject.is_text:
        raise InputError("this model reads numbers, not texts: give data instead of a text")
    if data is not None and not len(data):
        raise InputError(f"{data.source}: no sequence to explain")
    return _Page(subject, data, list(texts), asked, title).report()


class _Page:
    def __init__(self, subject: Subject, data: Any, texts: list[str], asked: Asked, title: str) -> None:
        self.subject, self.data, self.texts, self.asked, self.title = subject, data, texts, asked, title
        self.reading = None if data is None else subject.read(data)
        self.outputs = (
            None if self.reading is None else subject.outputs(self.reading.batch, self.reading.static)
        )
        self.errors: ClassErrors | ResidualErrors | None = None
        if data is not None and data.targets is not None:
            self.errors = error_analysis(subject, data)

    @property
    def method(self) -> str:
        """The method of attribution."""
        if self.asked.method is not None:
            return self.asked.method
        return "integrated" if self.exact else "occlusion"

    @property
    def exact(self) -> bool:
        """Whether the weights are float32: only then are there gradients and states to look at."""
        return self.subject.predictor.precision == "float32"

    def report(self) -> Report:
        examples = self._examples()
        inside, sentences = (
            inside_sections(self.subject, self.data, self.reading, self.asked.seed)
            if self.asked.inside and self.reading is not None
            else ([], [])
        )
        if self.errors is not None:
            sentences = [*error_sentences(self.errors), *sentences]
        sections = [
            self._overview(sentences),
            *self._example_sections(examples),
            *(error_sections(self.errors) if self.errors is not None else []),
            *inside,
            self._predictions(),
            Section(title="The model", items=self._anatomy(), collapsed=True),
        ]
        return Report(
            title=self.title or f"Explained: {self.subject.predictor.task}",
            subtitle=self._subtitle(),
            sections=[section for section in sections if section.items],
        )

    def _subtitle(self) -> str:
        network = self.subject.predictor.network
        direction = "bidirectional " if network.bidirectional else ""
        parts = [f"{direction}{network.cell}, {network.num_layers} layers of {network.hidden_size} units"]
        if self.reading is not None:
            parts.append(f"{len(self.reading):,} sequences")
        if self.texts:
            parts.append(f"{len(self.texts)} given texts")
        return " · ".join(parts)

    def _overview(self, sentences: Sequence[str]) -> Section:
        items: list[Item] = []
        tiles: dict[str, Any] = {}
        if self.errors is not None:
            tiles = {
                "Sequences": len(self.errors),
                title_of(self.errors.measure): self.errors.score,
            }
            if isinstance(self.errors, ClassErrors):
                tiles["Wrong"] = int(np.sum(~self.errors.right))
                tiles["Mean confidence"] = float(np.mean(self.errors.confidence))
        elif self.reading is not None:
            tiles = {"Sequences": len(self.reading)}
        if tiles:
            items.append(KeyValues(items=tiles, tiles=True))
        if self._learnt_from_these():
            items.append(Text(body=_FLATTERED, tone="verdict"))
        items += [Text(body=sentence) for sentence in sentences]
        if self.data is not None and self.data.targets is None:
            items.append(Text(body="The data name no target: nothing is said about errors.", tone="missing"))
        return Section(title="Overview", items=items)

    def _learnt_from_these(self) -> bool:
        stored = self.subject.predictor.config.get("data", {})
        return self.data is not None and stored.get("fingerprint") == self.data.fingerprint

    def _examples(self) -> list[Example]:
        made = []
        if self.texts:
            made += self._explained(self.subject.read(self.texts), [None] * len(self.texts))
        if self.reading is not None and self.asked.examples:
            rows = chosen_rows(self.errors, len(self.reading), self.asked.examples, self.asked.seed)
            made += self._explained(self.reading.select(rows), rows)
        return made

    def _explained(self, reading: Reading, rows: Sequence[int | None]) -> list[Example]:
        subject = self.subject
        outputs = subject.outputs(reading.batch, reading.static)
        question = question_of(subject, outputs, self.asked.of)
        found = attributions_of(subject, reading, question, method=self.method)
        answers = [_answer(record) for record in subject.predictor.records_of(outputs)]
        made = []
        for place, row in enumerate(rows):
            one = reading.select([place])
            long = subject.predictor.bidirectional and len(one.passages[0]) > LONGEST_FORMING
            made.append(
                Example(
                    row=row,
                    label=self._label(row),
                    answer=answers[place],
                    attribution=found[place],
                    forming=None if long else forming_of(subject, one, question.select([place]))[0],
                    states=states_of(subject, one) if self.exact else None,
                )
            )
        return made

    def _label(self, row: int | None) -> str | None:
        if row is None or self.data is None or self.data.targets is None:
            return None
        return _told(self.data.targets[row])

    def _example_sections(self, examples: Sequence[Example]) -> list[Section]:
        return [
            Section(
                title=f"Example {number}: {example.title}",
                items=example_items(example, states=number <= _WITH_STATES),
                collapsed=number > max(_OPEN, len(self.texts)),
            )
            for number, example in enumerate(examples, 1)
        ]

    def _predictions(self) -> Section:
        if self.reading is None or self.outputs is None:
            return Section(title="All predictions")
        count = min(len(self.reading), MOST_ROWS)
        records = self.subject.predictor.records_of(self.outputs[:count])
        rows = [self._prediction(row, record) for row, record in enumerate(records)]
        columns = ["Input", "Predicted", "Confidence"] if self._has_classes else ["Input", "Predicted"]
        if self.data.targets is not None:
            columns.append("Label")
        more = f", the first {count:,} of {len(self.reading):,}" if count < len(self.reading) else ""
        table = Table(columns=[*columns, "Steps", "Row"], rows=rows, caption=f"Every prediction{more}")
        return Section(title="All predictions", items=[table], collapsed=True)

    @property
    def _has_classes(self) -> bool:
        return isinstance(self.subject.predictor, ClassifierPredictor)

    def _prediction(self, row: int, record: Mapping[str, Any]) -> list[Any]:
        assert self.reading is not None
        passage = self.reading.passages[row]
        cells: list[Any] = [f"sequence {row}" if passage.text is None else shorten(passage.text, _EXCERPT)]
        if self._has_classes:
            cells += [_told(record["label"]), _confidence(record)]
        else:
            cells.append(_value(record["value"]))
        if self.data.targets is not None:
            label = self.data.targets[row]
            cells.append(_told(label) if self._has_classes else _value(label))
        return [*cells, len(passage), row]

    def _anatomy(self) -> list[Item]:
        predictor = self.subject.predictor
        settings = {
            title_of(name): str(value)
            for name, value in predictor.network.to_dict().items()
            if value is not None
        }
        sizes = sum(int(np.size(array)) for array in predictor.parameters.values())
        facts = {"Parameters": show_number(sizes), "Precision": predictor.precision, "Method": self.method}
        return [KeyValues(items=facts), KeyValues(items=settings)]


_FLATTERED = (
    "These are the data that the model has learnt from: scores, confidence and label errors flatter it. "
    "Explain it on data that it has not seen, for example with --part test."
)


def chosen_rows(errors: ClassErrors | ResidualErrors | None, rows: int, count: int, seed: int) -> list[int]:
    """Which sequences are explained one by one: a third the worst mistakes, some that it is unsure of, the rest drawn
    from those that are right, so that a page shows both sides."""
    count = min(count, rows)
    chosen: list[int] = []
    if isinstance(errors, ClassErrors):
        chosen = [mistake.row for mistake in errors.mistakes[: -(-count // 3)]]
        unsure = np.argsort(errors.confidence, kind="stable").tolist()
        chosen += [row for row in unsure if row not in chosen][: count // 6]
    elif errors is not None:
        chosen = [residual.row for residual in errors.largest[: -(-count // 3)]]
    drawn = np.random.default_rng(seed).permutation(rows).tolist()
    right = None if not isinstance(errors, ClassErrors) else errors.right
    drawn.sort(key=lambda row: right is not None and not right[row])
    chosen += [row for row in drawn if row not in chosen][: count - len(chosen)]
    return chosen[:count]


def _answer(record: Mapping[str, Any]) -> str:
    if "value" in record:
        return _value_text(record["value"])
    if isinstance(record["label"], list):
        several = [f"{name} ({record['probability'][name]:.3f})" for name in record["label"]]
        return ", ".join(several) or "none of the labels"
    return f"{record['label']} (probability {record['probability']:.3f})"


def _told(label: Any) -> str:
    if isinstance(label, (tuple, list, set, frozenset)):
        return ", ".join(str(one) for one in label) or "(none)"
    return _value_text(label.tolist()) if isinstance(label, (np.ndarray, np.floating)) else str(label)


def _value_text(value: Any) -> str:
    return ", ".join(f"{one:.4g}" for one in value) if isinstance(value, list) else f"{value:.4g}"


def _value(value: Any) -> Any:
    plain = np.asarray(value).tolist()
    return _value_text(plain) if isinstance(plain, list) else plain


def _confidence(record: Mapping[str, Any]) -> float | None:
    if isinstance(record["label"], list):
        return min((max(p, 1 - p) for p in record["probabilities"].values()), default=None)
    return float(record["probability"])
