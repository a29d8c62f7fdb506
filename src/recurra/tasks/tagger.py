"""A label or a number for every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from recurra import kernels
from recurra.data.encoder import Encoder, InputSpec, truncated
from recurra.data.step_targets import StepLabels, StepNumbers, are_numbers, check_steps
from recurra.data.tokens import TokenEncoder, Tokens
from recurra.data.vectors import Vectors, read_vectors
from recurra.errors import SpecError, nearest
from recurra.graph.chain import Chain
from recurra.ragged import Array, Ragged
from recurra.runtime.language_model import LanguageModelPredictor
from recurra.runtime.predictor import Head, Predictor
from recurra.runtime.tagger import TaggerPredictor
from recurra.spec import Network, Spec, Training
from recurra.tasks.estimator import SequenceEstimator
from recurra.tasks.illegal_tags import lawful
from recurra.tasks.materials import Materials
from recurra.tasks.pretrained import WORD_TABLE, grown, widened_network, with_words_of
from recurra.tasks.problem import Examples, SupervisedProblem
from recurra.tasks.regressor import LOSSES
from recurra.tasks.step_problem import (
    StepLoss,
    StepProblem,
    balanced_tags,
    chain_loss,
    classes_loss,
    numbers_loss,
    step_weights,
)
from recurra.tasks.tags import Tags

DEFAULTS: Mapping[str, Spec] = {
    "network": Network(
        bidirectional=True, num_layers=1, hidden_size=128, input_dropout=0.33, output_dropout=0.33
    ),
    "training": Training(epochs="auto", learning_rate=0.004, schedule="one_cycle", sequence_length=None),
    "tags": Tags(),
}


class Tagger(SequenceEstimator):
    """Learn a label, several labels, or a number for every step of a sequence.

    scores_t = W · dropout(recurrence(x))_t + b for every step t. Labels: the tags of a sequence have the
    probability that a softmax per step, or a linear chain (CRF), gives them; numbers: the scores themselves, learnt
    on standardised targets.

    network, training: None gives what suits tagging, `Tagger.default` (a bidirectional LSTM; as many epochs as
        make about 2,000 steps).
    inputs: input spec; None gives `Tokens` (words beside their characters) for texts and lists of words, else by
        the data. A text is cut into words and needs as many tags.
    tags: how labels are read, learnt and chosen: `Tags(head="crf", scheme=..., illegal=..., unlabelled=...)`; None:
        `Tags()`, by the tags themselves.
    vectors: file of pretrained word vectors (`recurra.data.vectors`: .txt, .vec, .bin) that the words of the
        vocabulary start from; they are trained further. None: drawn at random. It decides about embedding_size.
    loss: of numbers: "squared", "absolute" or "huber"; None gives "squared". Refused for labels.
    validation: share of the sequences set aside where no validation data are given.
    pretrained: a `LanguageModel` of words that has learnt, or the path of a stored one: the words that it knows start
        from its vectors, and the layers that read forward from its own, with the same size and depth; characters, and
        layers that read backward, are learnt anew. A tagger of other tokens (`inputs`) takes over what a `Classifier`
        does. See `Training.unfreeze` and `Training.layer_decay`.

    Learnt: `history_`, `parameters_`, `encoder_`, `predictor_`.
    """

    task = "tagger"
    text_unit = "tokens"
    parts = (*SequenceEstimator.parts, "tags")
    pooling = None
    _vectors: Vectors | None = None
    _estimator_type: ClassVar[str] = "tagger"
    _problem_class: ClassVar[type[SupervisedProblem]] = StepProblem

    def __init__(
        self,
        network: Network | None = None,
        training: Training | None = None,
        inputs: InputSpec | None = None,
        *,
        tags: Tags | None = None,
        vectors: str | None = None,
        loss: str | None = None,
        validation: float = 0.1,
        pretrained: Any = None,
    ) -> None:
        self.network = network
        self.training = training
        self.inputs = inputs
        self.tags = tags
        self.vectors = vectors
        self.loss = loss
        self.validation = validation
        self.pretrained = pretrained

    @classmethod
    def default(cls, part: str) -> Spec:
        """What suits tagging."""
        return DEFAULTS[part]

    def _default_inputs(self, train: Materials) -> InputSpec:
        return Tokens() if train.kind == "text" else super()._default_inputs(train)

    def _network_of(self, donor: LanguageModelPredictor, network: Network | None) -> Network:
        if not self._reads_more():
            return super()._network_of(donor, network)
        usual = self.default("network")
        assert isinstance(usual, Network)
        return widened_network(network, usual, donor)

    def _reads_more(self) -> bool:
        """Whether words are read by their characters too, which a language model does not."""
        return self.inputs is None or isinstance(self.inputs, Tokens)

    def _learn_encoders(self, network: Network, train: Materials) -> None:
        if self._donor is not None and self.vectors is not None:
            raise SpecError("vectors has no effect with pretrained, which has its own; leave one out")
        super()._learn_encoders(network, train)
        self._vectors = self._read_vectors()

    def _fitted_encoder(self, train: Materials) -> Encoder:
        if self._donor is None or not self._reads_more():
            return super()._fitted_encoder(train)
        if train.kind != "text":
            raise SpecError(f"pretrained has no effect on {train.kind}; leave it out")
        theirs = self._donor.encoder.spec
        spec = self.inputs or Tokens(
            lowercase=getattr(theirs, "lowercase", True), normalize=getattr(theirs, "normalize", "NFC")
        )
        made = spec.fit(train.inputs, train.features or None)
        assert isinstance(made, TokenEncoder)
        return with_words_of(made, self._donor)

    def _read_vectors(self) -> Vectors | None:
        """The pretrained vectors of the vocabulary; the network's embedding takes their size."""
        if self.vectors is None:
            return None
        words = getattr(self.encoder_, "words", None) or getattr(self.encoder_, "vocabulary", None)
        if words is None:
            raise SpecError("vectors has no effect on inputs that are no words; leave it out")
        found = read_vectors(self.vectors, words)
        size, asked = found.values.shape[1], self.network_.embedding_size
        if asked not in (None, size):
            raise SpecError(
                f"embedding_size={asked} must be that of the vectors, {size}; leave it out, or use other vectors"
            )
        self.network_ = self.network_.replace(embedding_size=size)
        return found

    def _initial(self, training: Training) -> dict[str, Array]:
        if self._donor is not None and isinstance(self.encoder_, TokenEncoder):
            return grown(self.model_.initial(training.seed), self.encoder_, self._donor)
        drawn = super()._initial(training)
        if self._vectors is None:
            return drawn
        name = WORD_TABLE if WORD_TABLE in drawn else "embed.table"
        given = self._vectors.found[:, None]
        return {**drawn, name: np.where(given, self._vectors.values, drawn[name])}

    # ---- what is learnt --------------------------------------------------------------------------------------

    def _fit_target(self, targets: Any) -> StepLabels | StepNumbers:
        self._check()
        self.numeric_ = are_numbers(targets)
        if self.numeric_:
            self._check_numbers()
            self.schemes_: tuple[str | None, ...] = ()
            self.chained_ = False
            return StepNumbers.fit(targets)
        if self.loss is not None:
            raise SpecError(f"loss={self.loss!r} has no effect on labels; leave it out")
        tags = self._tags
        made = StepLabels.fit(targets, tags.unlabelled)
        self.schemes_ = tuple(tags.scheme_for(names) for names in made.classes)
        self.chained_ = tags.chained(self.schemes_)
        if tags.illegal == "keep":
            return made
        if all(scheme is None for scheme in self.schemes_):
            raise SpecError(f"illegal={tags.illegal!r} has no effect on tags without a scheme; leave it out")
        # Repaired tags may be others: a B where training had an I alone.
        return StepLabels.fit(self._lawful(targets), tags.unlabelled)

    @property
    def _tags(self) -> Tags:
        tags = self._spec("tags")
        assert isinstance(tags, Tags)
        return tags

    def _check(self) -> None:
        if self.loss is not None and self.loss not in LOSSES:
            raise SpecError(
                f"loss must be one of {', '.join(LOSSES)}, got {self.loss!r}{nearest(self.loss, LOSSES)}"
            )

    def _check_numbers(self) -> None:
        for name in Tags.names():
            given = getattr(self._tags, name)
            if given != getattr(Tags(), name):
                raise SpecError(f"{name}={given!r} has no effect on numbers; leave it out")

    def _outputs(self) -> int:
        return int(self.target_.width) if self.numeric_ else sum(self.target_.sizes)

    def _head(self, scaler: Any) -> Head:
        chain = self.target_.sizes if self.chained_ else ()
        return Head(outputs=self._outputs(), pooling=None, static=scaler, chain=chain)

    def _lawful(self, targets: Any) -> Any:
        return lawful(targets, self.schemes_, self._tags.illegal, self._tags.unlabelled)

    def _encode(self, held: Materials) -> Examples:
        made = super()._encode(replace(held, targets=self._lawful(held.targets)))
        limit = getattr(self.encoder_.spec, "max_length", None)
        if limit is not None:
            made = made.truncated(limit, getattr(self.encoder_.spec, "truncate", "end"))
        check_steps(made.targets, made.batch.lengths)
        return made

    def _truth(self, given: Materials) -> Ragged:
        encoded: Ragged = self.predictor_.truth_of(given.targets, self.encode_materials(given).lengths)
        return encoded

    def _weighted(self, train: Examples, training: Training) -> Examples:
        if training.class_weight is None:
            return train
        if self.numeric_:
            raise SpecError("class_weight has no effect on numbers; leave it out")
        if self.chained_:
            raise SpecError(
                "class_weight has no effect with head='crf', which judges whole sequences of tags; leave it out, "
                "or use 'softmax'"
            )
        self._tag_weights = balanced_tags(np.asarray(train.targets.values), self.target_.sizes)
        return train

    def _loss(self, training: Training) -> Any:
        if self.numeric_:
            if training.label_smoothing:
                raise SpecError("label_smoothing has no effect on numbers; leave it out")
            return numbers_loss(LOSSES[self.loss or "squared"])
        if self.chained_:
            if training.label_smoothing:
                raise SpecError(
                    "label_smoothing has no effect with head='crf'; leave it out, or use 'softmax'"
                )
            return chain_loss(self.model_.node(Chain))
        weights = None if training.class_weight is None else self._tag_weights
        return classes_loss(self.target_.sizes, training.label_smoothing, weights)

    def _evaluate(self, parameters: Mapping[str, Array], examples: Examples) -> dict[str, float]:
        predictor = self._predictor(parameters)
        outputs = predictor.outputs_of(examples.batch)
        losses = self._plain_loss()(parameters, outputs, examples.targets)
        loss = float(kernels.weighted_mean(losses, step_weights(examples, self.training_.average)))
        return {"loss": loss, **self._epoch_scores(predictor, outputs, examples)}

    def _plain_loss(self) -> StepLoss:
        made: StepLoss = self._loss(self.training_.replace(label_smoothing=0.0, class_weight=None))
        return made

    def _numpy_loss(self, outputs: Array, examples: Examples) -> float:
        losses = self._plain_loss()(self.parameters_, outputs, examples.targets)
        return float(kernels.weighted_mean(losses, step_weights(examples, self.training_.average)))

    def _epoch_scores(self, predictor: Any, outputs: Array, examples: Examples) -> dict[str, float]:
        found: dict[str, float] = predictor.scores_of(outputs, examples.targets)
        return found

    @property
    def _default_monitor(self) -> str:
        if self.numeric_:
            return "rmse"
        return "accuracy" if self.schemes_[0] is None else "span_f1"

    # ---- what compare asks -----------------------------------------------------------------------------------

    def answers(self, given: Materials) -> Array:
        """Of all steps, in order: (N, C) probabilities of the first column's tags, or numbers."""
        return self.answered(given)[0]

    def answered(self, given: Materials) -> tuple[Array, Array]:
        """`answers`, and what is decided: codes of the first column's best legal tags, or the numbers themselves."""
        batch: Ragged = self.encode_materials(given)
        outputs = self.predictor_.outputs_of(batch)
        if self.numeric_:
            numbers = np.asarray(self.target_.decode(outputs))
            return numbers, numbers
        shares = np.asarray(self.predictor_.marginals(outputs, batch.offsets)[0])
        return shares, self.predictor_.codes(outputs, batch.offsets)[:, 0]

    def decided(self, answers: Array) -> Array:
        """Codes of the most probable tags, or the numbers themselves."""
        return answers if self.numeric_ else np.argmax(answers, axis=1)

    def coded(self, given: Materials) -> Ragged:
        """Of all steps, by sequence: codes of the first column's tags, or numbers in their own units."""
        read = self.target_.encode(given.targets)
        values = np.asarray(read.values)
        values = (
            np.asarray(self.target_.decode(values)) if self.numeric_ else np.ascontiguousarray(values[:, 0])
        )
        made = Ragged(values=values, offsets=read.offsets)
        limit = getattr(self.encoder_.spec, "max_length", None)
        return truncated(made, limit, getattr(self.encoder_.spec, "truncate", "end"))

    # ---- the bundle ------------------------------------------------------------------------------------------

    def _config(self) -> dict[str, Any]:
        return {"schemes": list(self.schemes_), "loss": self.loss}

    @classmethod
    def _predictor_class(cls) -> type[Predictor]:
        return TaggerPredictor

    @classmethod
    def _from_predictor(cls, predictor: Predictor) -> Self:
        numeric, schemes = isinstance(predictor.target, StepNumbers), tuple(predictor.config["schemes"])
        head = "auto" if numeric else "crf" if predictor.head.chain else "softmax"
        made = cls(
            predictor.network,
            inputs=predictor.encoder.spec,
            tags=Tags(head=head, unlabelled=None if numeric else predictor.target.unlabelled),
            loss=predictor.config["loss"],
        )
        made.numeric_, made.schemes_ = numeric, schemes
        made.chained_ = bool(predictor.head.chain)
        return made
