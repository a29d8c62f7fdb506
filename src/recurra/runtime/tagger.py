"""An answer per step: tags of the words of a sentence, or labels and numbers of the steps of a signal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra import kernels
from recurra.data.encoder import truncated
from recurra.data.sentences import Sentence
from recurra.data.step_targets import StepNumbers, check_steps
from recurra.data.tokens import WORDS, TokenEncoder
from recurra.decoding.tag_decoder import TagDecoder
from recurra.errors import DataError, SpecError
from recurra.graph.chain import Chain
from recurra.graph.run import Run
from recurra.kernels import UNKNOWN_TAG
from recurra.ragged import Array, Offsets, Ragged
from recurra.runtime import promised_steps
from recurra.runtime.predictor import CHUNK_TOKENS, Predictor

if TYPE_CHECKING:
    from recurra.decoding.tags import TagRules
    from recurra.metrics.calibrated import Conformal
    from recurra.metrics.spans import SpanScores
    from recurra.runtime.keyed import Streams
    from recurra.runtime.step_stream import StepStream
    from recurra.runtime.step_streams import StepStreams

UNSEEN_SPAN = "B-(a tag that training had not)"


class TaggerPredictor(Predictor):
    """Labels or numbers for every step; `target` is a `StepLabels` or `StepNumbers`.

    `outputs` are the (N, outputs) numbers of all N steps of all sequences, in order. Tags are decoded by the best
    path of the linear chain where the model has one, and of the tag schemes' rules where it has none, so that no
    illegal sequence of tags is ever given; without either each step has its most probable tag.
    config: "schemes", the rules of each column of tags (`decoding.schemes`).
    """

    task = "tagger"

    @property
    def numeric(self) -> bool:
        """Whether the answers are numbers."""
        return isinstance(self.target, StepNumbers)

    @property
    def classes(self) -> list[str]:
        """The tags of the first column, in the order of the columns of `predict_proba`."""
        if self.numeric:
            raise SpecError("this tagger answers with numbers, which have no classes")
        return list(self.target.classes[0])

    def predict(self, inputs: Any, static: Any = None) -> Any:
        """One list of tags (tuples of them for several columns), or one array of numbers, per sequence."""
        batch = self._read(inputs, static)
        return self.answers_of(self.outputs_of(batch), batch.offsets)

    def answers_of(self, outputs: Array, offsets: Offsets) -> list[Any]:
        """What `predict` gives, for what leaves the model."""
        if self.numeric:
            return _parted(self.target.decode(outputs), offsets)
        return _parted(self.target.decode(self.codes(outputs, offsets)), offsets)

    def answers(self, outputs: Array) -> Any:
        """As `answers_of`, for steps that stand alone, (N, outputs)."""
        return [answer[0] for answer in self.answers_of(outputs, np.arange(len(outputs) + 1))]

    def predict_proba(self, inputs: Any, static: Any = None) -> list[Array]:
        """Per sequence the (T, C) probabilities of the tags of the first column at every step."""
        batch = self._read(inputs, static)
        return _parted(self.marginals(self.outputs_of(batch), batch.offsets)[0], batch.offsets)

    def probabilities_of(self, outputs: Array, offsets: Offsets) -> Array:
        """(N, sum of the columns' tags) probabilities of every tag at every step."""
        return np.concatenate(self.marginals(outputs, offsets), axis=1)

    def shares_by_step(self, outputs: Array) -> Array:
        """(N, sum of the columns' tags) the softmax of every step by itself, whatever its neighbours are.

        Engines are compared by it: the probabilities of a long chain are sums of so many rounded numbers that they
        tell more of the rounding than of the scores.
        """
        ends = np.cumsum(self.target.sizes)[:-1]
        parts = [kernels.softmax(np.ascontiguousarray(part)) for part in np.split(outputs, ends, axis=1)]
        return np.concatenate(parts, axis=1)

    def codes(self, outputs: Array, offsets: Offsets) -> Array:
        """(N, K) codes of the tags of every step: the best path of each column."""
        return self.decoder.codes(outputs, offsets)

    def marginals(self, outputs: Array, offsets: Offsets) -> list[Array]:
        """Per column the (N, tags) probability of each tag at each step, over all legal sequences."""
        return self.decoder.marginals(outputs, offsets)

    def alternatives(self, inputs: Any, static: Any = None, *, count: int = 3) -> list[list[dict[str, Any]]]:
        """Per sequence its most probable legal sequences of tags, the best first, which is that of `predict`.

        Each is {"labels": one per step, "probability": of all of them together}, of the first column of tags. count:
        how many at most, at least 1; usual: 2-10.
        """
        batch = self._read(inputs, static)
        return self._alternatives(self.outputs_of(batch), batch.offsets, count)

    def _alternatives(self, outputs: Array, offsets: Offsets, count: int) -> list[list[dict[str, Any]]]:
        names = self.classes
        return [
            [
                {"labels": [names[code] for code in path], "probability": chance}
                for path, chance in zip(paths.tolist(), chances.tolist(), strict=True)
            ]
            for paths, chances in self.decoder.best(outputs, offsets, count)
        ]

    @property
    def schemes(self) -> Sequence[str | None]:
        """The rules of each column of tags; None: any tag may follow any."""
        return tuple(self.config["schemes"])

    @cached_property
    def decoder(self) -> TagDecoder:
        """What makes tags of the scores that leave the model; raises SpecError where the answers are numbers."""
        if self.numeric:
            raise SpecError("this tagger answers with numbers, which are not decoded")
        chain = self.model.node(Chain) if self.head.chain else None
        return TagDecoder(
            classes=self.target.classes,
            schemes=tuple(self.schemes),
            chains=tuple(
                None if chain is None else chain.scores(self.parameters, place)
                for place in range(self.target.width)
            ),
        )

    def stream(  # type: ignore[override]
        self,
        *,
        static: Any = None,
        look_ahead: int | None = None,
        watch: bool = False,
        coverage: float | None = None,
    ) -> StepStream:
        """Begin a sequence that arrives step by step; see `recurra.runtime.step_stream.StepStream`.

        coverage: records have the "set" or "interval" of `records`; refused where an answer of the stream is not that
            of the whole sequence, which is what was calibrated: with `look_ahead`, or tags that depend on neighbours.
        """
        from recurra.runtime.step_stream import StepStream

        self.scaled_static(static, 1)
        if coverage is not None:
            self.calibration().at(coverage)
            if look_ahead is not None or self.tags_depend_on_neighbours:
                raise SpecError(
                    "coverage is promised of answers that have seen the whole sequence; leave it out, or use a model "
                    "of one direction with head='softmax' and scheme='none'"
                )
        return StepStream(self, look_ahead=look_ahead, watch=watch, coverage=coverage)

    @property
    def tags_depend_on_neighbours(self) -> bool:
        """Whether there is a chain, or rules of spans."""
        return not self.numeric and self.decoder.together

    def streams(self, **options: Any) -> Streams | StepStreams:  # type: ignore[override]
        """Sequences by key. Where tags depend on their neighbours, or with `look_ahead`, as `StepStreams`: a push
        gives the answers that stand; else as `Streams`, which step together and answer for their newest step."""
        from recurra.runtime.step_streams import StepStreams

        if self.tags_depend_on_neighbours or options.get("look_ahead") is not None:
            return StepStreams(self, **options)
        return super().streams(**options)

    # ---- reading and running ---------------------------------------------------------------------------------

    def _read(self, inputs: Any, static: Any) -> Ragged:
        batch = self.encode(inputs)
        self.scaled_static(static, len(batch))
        return batch

    def _in_stretches(self, batch: Ragged, row: int, static: Array | None) -> Array:
        begin, end = int(batch.offsets[row]), int(batch.offsets[row + 1])
        states: dict[str, Any] = {}
        made = []
        for place in range(begin, end, CHUNK_TOKENS):
            run = Run(cache=self._cache, states=states, keep_states=True)
            made.append(self._run(batch.span(place, min(place + CHUNK_TOKENS, end)), None, run))
            states = run.carried
        return np.concatenate(made)

    # ---- records and scores ----------------------------------------------------------------------------------

    def records_of(self, outputs: Array) -> Iterator[dict[str, Any]]:
        """`{"label", "probability"}`, or `{"value"}`, for each of some steps that stand alone."""
        return self._step_records(outputs, np.arange(len(outputs) + 1))

    def _step_records(self, outputs: Array, offsets: Offsets) -> Iterator[dict[str, Any]]:
        if self.numeric:
            for value in self.target.decode(outputs):
                yield {"value": value.tolist()}
            return
        yield from self.tag_records(self.codes(outputs, offsets), self.marginals(outputs, offsets))

    def tag_records(self, codes: Array, tables: Sequence[Array]) -> Iterator[dict[str, Any]]:
        """`{"label", "probability"}` per step, of (N, K) codes and the probabilities of each column's tags."""
        chances = np.stack(
            [table[np.arange(len(codes)), codes[:, place]] for place, table in enumerate(tables)], axis=1
        )
        for label, chance in zip(self.target.decode(codes), chances.tolist(), strict=True):
            if isinstance(label, tuple):
                yield {"label": list(label), "probability": chance}
            else:
                yield {"label": label, "probability": chance[0]}

    def records(
        self,
        inputs: Any,
        static: Any = None,
        *,
        coverage: float | None = None,
        alternatives: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Per sequence `{"steps": [...]}`: a label with its probability, or a value, for every step.

        Steps that are words also have "text", "begin" and "end", places of characters in the text as given (of a
        `Sentence`, which CoNLL-U is read into, in the text that it was written as, which the record then holds as
        "text"; of another list of words in the words joined by single spaces). With `coverage` each step has a "set"
        or an "interval" too, and with `alternatives` each record has the so many best sequences of tags, as of the
        method of that name.
        """
        items = inputs if isinstance(inputs, Ragged) else list(inputs)
        batch = self._read(items, static)
        outputs = self.outputs_of(batch)
        records = list(self._step_records(outputs, batch.offsets))
        if coverage is not None:
            records = promised_steps.with_sets(records, self._sets(outputs, batch.offsets, coverage))
        steps = _parted(records, batch.offsets)
        best = None if alternatives is None else self._alternatives(outputs, batch.offsets, alternatives)
        for row, (item, found) in enumerate(zip(items, steps, strict=True)):
            if hasattr(self.encoder, "tokens"):
                words = self.encoder.tokens(item)
                found = [
                    {"text": _text(item, place, word), "begin": word[1], "end": word[2], **step}
                    for place, (word, step) in enumerate(zip(words, found, strict=True))
                ]
            text = {"text": item.text} if isinstance(item, Sentence) else {}
            yield {**text, "steps": found, **({} if best is None else {"alternatives": best[row]})}

    def score(self, inputs: Any, targets: Any, static: Any = None) -> float:
        """Accuracy over all tagged steps; of numbers R²."""
        return float(self.scores(inputs, targets, static)["r2" if self.numeric else "accuracy"])

    def scores(
        self, inputs: Any, targets: Any, static: Any = None, *, by_type: bool = False
    ) -> dict[str, Any]:
        """Of labels: accuracy of steps and of whole sequences, F1 of spans, words known and unknown apart.

        Of numbers: MSE, RMSE, MAE, MAPE and R². Steps without a target do not count; a tag that training had not
        counts as an error and its share is `unseen_tags`.

        by_type: whether "spans" also holds precision, recall, F1 and support of each type of spans, where tags
            mark any.
        """
        batch = self._read(inputs, static)
        encoded = self.truth_of(targets, batch.lengths)
        outputs = self.outputs_of(batch)
        if self.numeric:
            return {**self.scores_of(outputs, encoded), **self._set_scores(outputs, encoded)}
        codes = self.codes(outputs, batch.offsets)
        found = {**self._tag_scores(codes, encoded), **self._set_scores(outputs, encoded)}
        found = {**found, **self._by_words(codes[:, 0], batch, encoded)}
        return {**found, **self._by_type(codes[:, 0], encoded)} if by_type else found

    def truth_of(self, targets: Any, lengths: Array) -> Ragged:
        """The encoded targets of the steps that are read, which `max_length` bounds; raises DataError for others."""
        spec = self.encoder.spec
        read = truncated(
            self.target.encode(targets), getattr(spec, "max_length", None), getattr(spec, "truncate", "end")
        )
        check_steps(read, lengths)
        return read

    def scores_of(self, outputs: Array, encoded: Ragged) -> dict[str, Any]:
        """The scores of what leaves the model that need no texts: what training watches."""
        if self.numeric:
            return self._number_scores(outputs, np.asarray(encoded.values))
        return self._tag_scores(self.codes(outputs, encoded.offsets), encoded)

    def _tag_scores(self, codes: Array, encoded: Ragged) -> dict[str, Any]:
        """Accuracies and spans of decided tags."""
        truth = np.asarray(encoded.values)
        tagged = (truth != UNKNOWN_TAG).all(axis=1)
        if not tagged.any():
            raise DataError("targets must hold at least one tag to score against, got none")
        right = codes == truth
        found: dict[str, Any] = {"accuracy": float(right[tagged, 0].mean())}
        for place in range(1, truth.shape[1]):
            found[f"accuracy_{place}"] = float(right[tagged, place].mean())
        wrong = np.add.reduceat(
            np.append((~right.all(axis=1) & tagged).astype(np.int64), 0), encoded.offsets[:-1]
        )
        whole = (wrong == 0)[encoded.lengths > 0]
        found["sequence_accuracy"] = float(whole.mean())
        found["unseen_tags"] = float((truth[tagged] < UNKNOWN_TAG).any(axis=1).mean())
        return {**found, **self._span_scores(codes[:, 0], encoded)}

    def _number_scores(self, outputs: Array, truth: Array) -> dict[str, Any]:
        from recurra.metrics import regression_scores

        given = np.isfinite(truth).all(axis=1)
        if not given.any():
            raise DataError("targets must hold at least one number to score against, got none")
        return regression_scores(self.target.decode(truth[given]), self.target.decode(outputs[given]))

    def _span_scores(self, codes: Array, encoded: Ragged) -> dict[str, float]:
        """F1 of spans where the tags of the first column mark any; `illegal_gold_sequences` break their rules."""
        if self.decoder.rules[0] is None:
            return {}
        found, illegal = self._spans(codes, encoded, self.decoder.rules[0])
        scores = {f"span_{name}": getattr(found.micro, name) for name in ("precision", "recall", "f1")}
        return {**scores, "span_f1_macro": found.macro.f1, "illegal_gold_sequences": illegal}

    def _by_type(self, codes: Array, encoded: Ragged) -> dict[str, Any]:
        """The scores of each type of span."""
        if self.decoder.rules[0] is None:
            return {}
        by = self._spans(codes, encoded, self.decoder.rules[0])[0].by_label
        columns = {name: getattr(by, name).tolist() for name in ("precision", "recall", "f1", "support")}
        rows = zip(*columns.values(), strict=True)
        return {
            "spans": {
                str(t): dict(zip(columns, row, strict=True)) for t, row in zip(by.labels, rows, strict=True)
            }
        }

    def _spans(self, codes: Array, encoded: Ragged, rules: TagRules) -> tuple[SpanScores, int]:
        """The scores of spans over the sequences whose tags are all given, and how many of them are illegal.

        The spans of an illegal sequence are read as `conlleval` reads them.
        """
        from recurra.metrics.spans import span_scores

        tags = self.target.classes[0]
        # A tag that training had not stands last; it opens a span of its own, which nothing can match.
        names, truth = [*tags, UNSEEN_SPAN], np.asarray(encoded.values)[:, 0]
        rows = [i for i, row in enumerate(_parted(truth, encoded.offsets)) if not (row == UNKNOWN_TAG).any()]
        truths = [np.maximum(row, -1) for row in _parted(truth, encoded.offsets)]
        guesses = _parted(codes, encoded.offsets)
        gold = [[names[code] for code in truths[i].tolist()] for i in rows]
        found = span_scores(gold, [[names[c] for c in guesses[i].tolist()] for i in rows], warn=False)
        illegal = sum(rules.broken(truths[i].tolist()) > 0 for i in rows if (truths[i] >= 0).all())
        return found, illegal

    def _by_words(self, codes: Array, batch: Ragged, encoded: Ragged) -> dict[str, float]:
        """Accuracy of words that training had often enough, and of the others."""
        if not isinstance(self.encoder, TokenEncoder):
            return {}
        truth = np.asarray(encoded.values)[:, 0]
        right = codes == truth
        known = np.asarray(batch.columns[WORDS]) > 0
        tagged = truth != UNKNOWN_TAG
        parts = {"accuracy_known_words": known & tagged, "accuracy_unknown_words": ~known & tagged}
        found = {name: float(right[part].mean()) for name, part in parts.items() if part.any()}
        return {**found, "unknown_words": float(np.mean(~known))}

    # ---- a promised coverage ---------------------------------------------------------------------------------

    @property
    def conformal_options(self) -> tuple[str, ...]:
        """`method`, for tags."""
        return () if self.numeric else ("method",)

    def calibrated(self, outputs: Array, encoded: Any, **options: Any) -> Conformal:
        """Calibrate on sequences: see `recurra.runtime.promised_steps` for what is promised."""
        if self.numeric:
            truth = self.target.decode(np.asarray(encoded.values))
            return promised_steps.calibrated_numbers(self.target.decode(outputs), truth, encoded, **options)
        return promised_steps.calibrated_tags(self.marginals(outputs, encoded.offsets), encoded, **options)

    def predict_set(self, inputs: Any, static: Any = None, *, coverage: float | None = None) -> list[Any]:
        """Per sequence a list of the sets of its steps, tuples of tags, most probable first (a tuple of them for
        several columns); of numbers an array (T, 2) or (T, K, 2) of lower and upper limits."""
        batch = self._read(inputs, static)
        return _parted(self._sets(self.outputs_of(batch), batch.offsets, coverage), batch.offsets)

    def sets_of(self, outputs: Array, coverage: float | None = None) -> Any:
        """The sets of steps that stand alone."""
        return self._sets(outputs, np.arange(len(outputs) + 1), coverage)

    def _sets(self, outputs: Array, offsets: Offsets, coverage: float | None) -> Any:
        if self.numeric:
            rule: Any = self.calibration().at(coverage)
            return np.stack(rule.interval(self.target.decode(outputs)), axis=-1)
        return self.tag_sets(self.marginals(outputs, offsets), coverage)

    def tag_sets(self, tables: Sequence[Array], coverage: float | None) -> list[Any]:
        """The sets of the steps, from the probabilities of each column's tags."""
        chosen = promised_steps.chosen_tags(tables, self.calibration(), coverage)
        return promised_steps.tag_sets(tables, chosen, self.target.classes)

    def _set_scores(self, outputs: Array, encoded: Ragged) -> dict[str, float]:
        """Measured coverage, for a calibrated model."""
        if self.conformal is None:
            return {}
        if self.numeric:
            truth = self.target.decode(np.asarray(encoded.values))
            return promised_steps.interval_scores(self._sets(outputs, encoded.offsets, None), truth, encoded)
        tables = self.marginals(outputs, encoded.offsets)
        chosen = promised_steps.chosen_tags(tables, self.conformal, None)
        return promised_steps.tag_set_scores(chosen, encoded)


def _parted(values: Any, offsets: Offsets) -> list[Any]:
    return [values[begin:end] for begin, end in pairwise(offsets)]


def _text(item: Any, place: int, word: tuple[str, int, int]) -> str:
    return item[word[1] : word[2]] if isinstance(item, str) else str(item[place])
