"""The measurement: the greedy texts and the best of a search compared, then everybody timed in turns."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from recurra import kernels
from recurra.decoding.generation import Generation
from recurra.errors import SpecError, nearest
from recurra.kernels.weights import PRECISIONS
from recurra.ragged import Ragged
from recurra.runtime.bench import timing
from recurra.runtime.bench.generation.authors import ENGINES, Author, authors, ours
from recurra.runtime.bench.generation.loops import Script
from recurra.runtime.bench.generation.outcome import DECODINGS, Outcome, Row
from recurra.runtime.bench.models.run import TOLERANCES
from recurra.runtime.bench.run import as_it_was
from recurra.runtime.language_model import LanguageModelPredictor
from recurra.runtime.writing import Writer, Written

LENGTH = 300
"""Tokens of a text."""

SECONDS = 20.0
"""What the timing may take, about."""

AS_GOOD = 1e-4
"""How far apart, as a share, the log-probabilities of the best texts of two searches may be."""


def bench_generation(
    predictor: Any,
    *,
    length: int | None = None,
    seconds: float = SECONDS,
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Measure a language model that writes texts alone, from their beginning, in every engine that is installed.

    length: tokens of a text, 300 if left out; the ends of documents are not written, so that all texts have it. Every
    engine's next-token probabilities along Recurra's greedy text are compared first, then the greedy texts and the
    best of a search; who differs is named and not timed. only: engines, precisions or decodings to keep.

    Raises SpecError for other models, for one under conditions that has none (`LanguageModelPredictor.given`), and
    where `only` keeps nobody.
    """
    begin = time.perf_counter()
    model = _writing(predictor)
    filters, decodings = _chosen(only)
    script = Script(first=model.boundary, never=(0, model.boundary), length=length or LENGTH)
    notes: list[str] = []
    with as_it_was():
        everybody = [
            each
            for each in authors(model, script, notes)
            if all({each.engine, each.precision} & words for words in filters)
        ]
        if not everybody or not decodings:
            raise SpecError(f"--only {', '.join(only)} keeps nobody; leave it out to see all")
        judge = Judge(model, script)
        differences, unequal = {}, {}
        for each in everybody:
            differences[each.name] = judge.difference(each)
            if found := judge.complaint(each, differences[each.name], decodings):
                unequal[each.name] = found
        notes += judge.notes
        fair = [each for each in everybody if each.name not in unequal]
        say(f"{len(fair)} engines write alike: {', '.join(each.name for each in fair)}")
        rows = list(_rows(fair, decodings, script, differences, seconds, say))
    return Outcome(
        rows=rows,
        unit=model.unit,
        length=script.length,
        kinds=len(set(judge.ids)),
        threads=kernels.get_num_threads(),
        differences=differences,
        tolerances={each.name: TOLERANCES[each.precision] for each in everybody},
        notes=[*notes, *(note for name, note in unequal.items() if not name.endswith("float32"))],
        unequal=[note for name, note in unequal.items() if name.endswith("float32")],
        seconds=time.perf_counter() - begin,
    )


def _writing(predictor: Any) -> LanguageModelPredictor:
    """The model without ends of documents, so that no text is shorter than asked for."""
    if not isinstance(predictor, LanguageModelPredictor):
        raise SpecError(
            f"--for generation measures language models of tokens, and this is a {predictor.task}"
        )
    if predictor.head.condition is not None:
        described = predictor.head.condition.described
        raise SpecError(f"this model was trained under conditions; give a --condition, {described}")
    if predictor.precision != "float32":
        raise SpecError(
            f"--for generation measures fewer bits beside float32, and this model has {predictor.precision} weights; "
            "give the float32 model"
        )
    return dataclasses.replace(predictor, config={**predictor.config, "ends": False})


def _chosen(only: Sequence[str]) -> tuple[list[set[str]], list[str]]:
    """Filters of engines and precisions, each a set of which one must be met; and the decodings that are kept."""
    filters, decodings = list[set[str]](), list(DECODINGS)
    for text in only:
        words = {word.strip() for word in text.split(",")}
        for word in sorted(words - {*ENGINES, *PRECISIONS, *DECODINGS}):
            known = (*ENGINES, *PRECISIONS, *DECODINGS)
            raise SpecError(f"--only must be one of {', '.join(known)}, got {word!r}{nearest(word, known)}")
        if not words & {*DECODINGS}:
            filters.append(words)
        elif words <= {*DECODINGS}:
            decodings = [name for name in decodings if name in words]
        else:
            raise SpecError(f"--only {text}: engines and ways of writing need an --only each")
    return filters, decodings


class Judge:
    """Recurra's greedy text in float32, what may come next along it, and what others write compared with it."""

    def __init__(self, model: LanguageModelPredictor, script: Script) -> None:
        self.model, self.script, self.notes = model, script, list[str]()
        self._writer = Writer(model, Generation(length=script.length, temperature=0))
        self.ids = self._writer.ids("")
        self._own = ours(model, "float32", script)
        self._expected = self._own.along(self.ids)

    @cached_property
    def _best(self) -> Written:
        found: Written = self._own.write["beam"]()
        return found

    def difference(self, author: Author) -> float:
        """The largest, in the probability of any token along the text."""
        return float(np.abs(author.along(self.ids) - self._expected).max())

    def complaint(self, author: Author, difference: float, decodings: Sequence[str]) -> str | None:
        """Why an engine is not timed; None where it computes and writes the same."""
        allowed = TOLERANCES[author.precision]
        if not difference <= allowed:
            return f"{author.name} differs by {difference:.1e}, and {allowed:g} is allowed: it is not timed"
        if author.precision != "float32":
            return None
        if not self._greedy_alike(author):
            return f"{author.name} writes another greedy text: it is not timed"
        if "beam" in decodings and not self._best_alike(author):
            return f"{author.name} finds another text with a beam: it is not timed"
        return None

    def _greedy_alike(self, author: Author) -> bool:
        found = author.write["greedy"]()
        if isinstance(found, Written):
            return found.text == self._writer.spelled(self.ids)
        if list(found) == self.ids:
            return True
        at = next(place for place, (a, b) in enumerate(zip(found, self.ids, strict=True)) if a != b)
        row = self._expected[at]
        if row[self.ids[at]] - row[found[at]] > TOLERANCES["float32"]:
            return False
        self.notes.append(
            f"{author.name} writes the same {at} tokens, and then takes the other of two that are as likely"
        )
        return True

    def _best_alike(self, author: Author) -> bool:
        found = author.write["beam"]()
        text = found.text if isinstance(found, Written) else self._writer.spelled(found)
        if text == self._best.text:
            return True
        if isinstance(found, Written):
            return False
        ids = np.array([self.script.first, *found])
        batch = Ragged(values=ids, offsets=np.array([0, len(ids)]))
        values = np.asarray(self.model.log_probabilities_of(batch).values)
        total = float(values.sum(dtype=np.float64))
        if abs(total - self._best.log_probability) > AS_GOOD * abs(total):
            return False
        self.notes.append(f"{author.name} finds another text with a beam, which is as likely")
        return True


def _rows(
    fair: Sequence[Author],
    decodings: Sequence[str],
    script: Script,
    differences: dict[str, float],
    seconds: float,
    say: Callable[[str], None],
) -> Iterator[Row]:
    for decoding in decodings:
        runs = {each.name: each.write[decoding] for each in fair}
        times = timing.interleaved(runs, seconds / len(decodings))
        say(f"{decoding} measured")
        for each in fair:
            median = times[each.name].median / script.length
            yield Row(
                engine=each.engine,
                precision=each.precision,
                decoding=decoding,
                per_second=1.0 / median,
                ms_per_token=1e3 * median,
                difference=differences[each.name],
            )
