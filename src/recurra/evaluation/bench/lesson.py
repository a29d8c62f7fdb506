"""What all ways of training learn alike: an architecture without dropout, its fresh weights, and the same batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recurra.data.step_targets import StepNumbers
from recurra.data.token_file import TokenFile
from recurra.errors import DataError, SpecError
from recurra.ragged import Array, Ragged
from recurra.runtime.language_model import LanguageModelPredictor
from recurra.runtime.sample import given_sample, made_sample
from recurra.runtime.tagger import TaggerPredictor
from recurra.spec import Training
from recurra.tasks.classifier import Classifier
from recurra.tasks.language_model import LanguageModel
from recurra.tasks.language_problem import LanguageProblem
from recurra.tasks.problem import Examples, SupervisedProblem
from recurra.tasks.regressor import Regressor
from recurra.tasks.tagger import Tagger
from recurra.training.batches import steps_of_epoch
from recurra.training.problem import IndexArray

STEPS = 4
"""Steps of a round, each of one batch, or of one window of all streams."""

MADE, SENTENCES = (20, 200), (5, 40)
"""Bounds of the lengths of made sequences, and of those for a tagger."""

LEARNERS: dict[str, Any] = {each.task: each for each in (Classifier, Regressor, Tagger, LanguageModel)}


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """predictor: of the fresh weights, without dropout; problem, training: what Recurra's own loop is given."""

    predictor: Any
    problem: Any
    training: Training
    made: bool
    notes: Sequence[str]

    @cached_property
    def steps(self) -> list[list[IndexArray]]:
        """The batches of each step, in the order of the first epoch."""
        return steps_of_epoch(
            self.problem.lengths,
            batch_size=self.training.batch_size,
            batch_tokens=None,
            accumulate=1,
            bucket=self.training.bucket,
            seed=self.training.seed,
            epoch=0,
        )

    @property
    def count(self) -> int:
        """Steps of a round: of a language model its windows."""
        windows: int = self.problem.windows(self.steps[0][0])
        return windows * len(self.steps)

    @property
    def sequences(self) -> int:
        """Sequences, or streams, of a round."""
        return len(self.problem.lengths)

    @property
    def tokens(self) -> int:
        """Steps of all of them."""
        return int(self.problem.lengths.sum())

    @property
    def unit(self) -> str:
        """What is counted."""
        if isinstance(self.problem, LanguageProblem):
            return "tokens"
        return "sentences" if self.predictor.encoder.kind == "spelt" else "sequences"


def lesson_of(predictor: Any, inputs: Any = None, targets: Any = None, static: Any = None) -> Lesson:
    """The lesson of a stored model on some of its user's data, or on made ones where there are none.

    The batches have the size and the length that the model was trained with; all take steps by Adam at 0.001 with
    gradients clipped at 5. Raises SpecError for a model that is not measured, DataError for unusable data.
    """
    task = predictor.task
    if task not in LEARNERS or predictor.head.condition is not None:
        kind = f"a {task}" if task not in LEARNERS else "a model under conditions"
        raise SpecError(
            f"--for training does not measure {kind}; it knows {', '.join(LEARNERS)} without conditions"
        )
    if predictor.precision != "float32":
        raise SpecError(
            f"this model has {predictor.precision} weights, which are not trained; give the float32 one"
        )
    plain = _plain(predictor)
    stored = Training.from_dict(predictor.config["training"])
    training = Training(
        epochs=1,
        batch_size=stored.batch_size,
        sequence_length=stored.sequence_length,
        average="tokens" if task == "tagger" else "sequences",
        bucket=stored.bucket,
        device="cpu",
    )
    learner = LEARNERS[task].from_predictor(plain)
    notes: list[str] = []
    problem: LanguageProblem | SupervisedProblem
    if isinstance(plain, LanguageModelPredictor):
        problem = learner.lesson(_text(plain, training, inputs, notes), training)
    else:
        made = inputs is None
        examples = _made(plain, training) if made else _given(plain, training, inputs, targets, static, notes)
        if training.sequence_length is not None:
            examples = examples.truncated(training.sequence_length, "end")
        problem = learner.lesson(examples, training)
    return Lesson(
        predictor=dataclasses.replace(plain, parameters=problem.parameters),
        problem=problem,
        training=training,
        made=inputs is None,
        notes=notes,
    )


def _plain(predictor: Any) -> Any:
    """The model without what each engine draws differently."""
    network = predictor.network.replace(
        dropout=0.0,
        input_dropout=0.0,
        recurrent_dropout=0.0,
        output_dropout=0.0,
        weight_dropout=0.0,
        embedding_dropout=0.0,
        locked_dropout=False,
    )
    encoder = predictor.encoder
    if encoder.kind == "spelt":
        encoder = dataclasses.replace(encoder, spec=encoder.spec.replace(word_dropout=0.0))
    return dataclasses.replace(predictor, network=network, encoder=encoder, path=None, model_id=None)


def _text(predictor: LanguageModelPredictor, training: Training, texts: Any, notes: list[str]) -> TokenFile:
    """As many tokens as a round of windows has, as one document: of the texts, or made by Zipf's law."""
    count = training.batch_size * (training.sequence_length or MADE[1]) * STEPS
    boundary = predictor.boundary
    if texts is None:
        share = 1.0 / np.arange(1, boundary + 1)
        ids = np.random.default_rng(0).choice(boundary, count, p=share / share.sum())
    else:
        ids = np.asarray(predictor.encoder.encode(texts).values)
        if len(ids) < 2:
            raise DataError("the texts must hold at least two tokens to learn from")
        told = f"the first {count:,}" if count < len(ids) else "all, again and again,"
        notes.append(f"{told} of {len(ids):,} tokens")
        ids = np.resize(ids, count)
    whole = np.concatenate([[boundary], ids])
    return TokenFile(
        ids=whole, boundary=boundary, ends=False, documents=1, characters=0, unknown=0, digest=""
    )


def _given(
    predictor: Any, training: Training, inputs: Any, targets: Any, static: Any, notes: list[str]
) -> Examples:
    """A round of the user's sequences that have a step."""
    if targets is None:
        raise DataError("training needs a target for each sequence; name its column with --target")
    given, wanted = given_sample(inputs, static), training.batch_size * STEPS
    # Twice as many as are wanted, since some may be empty.
    drawn = np.random.default_rng(0).permutation(len(given))[: 2 * wanted]
    sample = given.select(drawn)
    batch = predictor.encode(sample.inputs)
    rows = np.flatnonzero(batch.lengths > 0)[:wanted]
    if not len(rows):
        raise DataError("inputs must hold a sequence of at least one step to learn from, got none")
    if len(rows) < len(given):
        notes.append(f"{len(rows)} of {len(given)} sequences, drawn at random")
    batch, truth = batch.select(rows), [targets[int(drawn[row])] for row in rows]
    if isinstance(predictor, TaggerPredictor):
        encoded = predictor.truth_of(truth, batch.lengths)
    else:
        encoded = predictor.target.encode(truth)
    scaled = predictor.scaled_static(sample.static, len(sample))
    return Examples(batch=batch, targets=encoded, static=None if scaled is None else scaled[rows])


def _made(predictor: Any, training: Training) -> Examples:
    """Sequences and targets that are made up, one round of them."""
    generator = np.random.default_rng(0)
    low, high = SENTENCES if predictor.task == "tagger" else MADE
    count = training.batch_size * STEPS
    lengths = np.exp(generator.uniform(np.log(low), np.log(high), count)).astype(int).tolist()
    sample = made_sample(predictor, 0, lengths)
    batch = predictor.encode(sample.inputs)
    return Examples(
        batch=batch,
        targets=_made_targets(predictor, batch, generator),
        static=predictor.scaled_static(sample.static, count),
    )


def _made_targets(predictor: Any, batch: Ragged, generator: np.random.Generator) -> Any:
    rows, steps, target = len(batch), int(batch.offsets[-1]), predictor.target
    if isinstance(predictor, TaggerPredictor):
        values: Array
        if isinstance(target, StepNumbers):
            values = generator.standard_normal((steps, predictor.head.outputs)).astype(np.float32)
        else:
            values = np.stack([generator.integers(0, size, steps) for size in target.sizes], axis=1)
        return Ragged(values=values, offsets=batch.offsets)
    if predictor.task == "regressor":
        return generator.standard_normal((rows, predictor.head.outputs)).astype(np.float32)
    if predictor.multilabel:
        return (generator.random((rows, predictor.head.outputs)) < 0.5).astype(np.float32)
    return generator.integers(0, predictor.head.outputs, rows)
