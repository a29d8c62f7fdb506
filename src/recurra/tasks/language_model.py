"""Language models: what comes next, after all that came before."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np

from recurra.data.corpus import Corpus, divided
from recurra.data.dataset import Dataset
from recurra.data.encoder import Encoder, InputSpec
from recurra.data.target_encoders import NextToken
from recurra.data.text import Characters
from recurra.data.token_file import TokenFile, boundary_of, write_tokens
from recurra.data.told import Told
from recurra.errors import SpecError
from recurra.graph.adaptive import usual_cutoffs
from recurra.metrics.text import scores_of_nats
from recurra.ragged import Array, Ragged
from recurra.runtime.condition import Condition
from recurra.runtime.corpus_scores import score_corpus
from recurra.runtime.language_model import LanguageModelPredictor
from recurra.runtime.predictor import Head, Predictor, build_model
from recurra.spec import Network, Spec, Training
from recurra.tasks.language_problem import LanguageProblem, nats_side_by_side
from recurra.tasks.learner import Learner
from recurra.tasks.problem import fingerprint
from recurra.tasks.sources import TokenSource
from recurra.tasks.streams import check_streamed, planned_in_windows
from recurra.training import fit
from recurra.training.callbacks import Callback
from recurra.training.device import check_precision, resolve_device

LEAST_PIECE = 1000
"""Tokens that the pieces have at least in which validation is read side by side, epoch by epoch."""

LEAST_ADAPTIVE = 1000
"""Tokens from which on an adaptive softmax divides a vocabulary of itself."""

SPELLED = ("characters", "bytes")
"""Units with few kinds of tokens, of each of which much is seen."""

SPELLED_NETWORK = Network(hidden_size=256, num_layers=1, embedding_size=64, output_dropout=0.2)
WORD_NETWORK = Network(
    hidden_size=200, num_layers=1, embedding_size=200, input_dropout=0.4, output_dropout=0.4
)
"""What suits a text that is spelled, and one of words or of their pieces."""

USUAL_TRAINING = Training(
    epochs="auto", batch_size=16, sequence_length=100, learning_rate=0.005, schedule="one_cycle"
)

LEARNT_PIECES = 32
"""Pieces of `PIECE` characters from which BPE is learnt at most."""


class LanguageModel(Learner):
    """Learn the probability of each token after all tokens before it in its document.

    log p(t_i | t_1 ... t_{i-1}) = log softmax(W · dropout(recurrence(embed(boundary, t_1 ... t_{i-1}))) + b), trained
    by stateful truncated backpropagation through time: the corpus is encoded once into a file and read by
    `batch_size` contiguous streams in windows of about `sequence_length` tokens, whose state goes on from window to
    window and begins anew where a document does.

    network: what is computed, in one direction; None: an LSTM of 256 units over characters and bytes, of 200 units
        with one matrix for both ends over words and BPE, both with dropout (`usual_network`).
    training: how it is learnt; None: about 4,000 windows of 16 streams, by one cycle of rates (`usual_training`). Its
        `batch_size` is the number of streams, `sequence_length` the mean length of a window.
    inputs: `Characters`, `Words`, `BPE` or `Bytes`: what a token is; None: `Characters()`.
    documents: of a file: "whole" (the file is one document, whose end is not predicted), "lines" or "paragraphs". Of
        a list of texts each one is a document.
    validation: share of the corpus set aside: the last part of a file, random ones of several texts; 0: none.
    softmax: "full", or "adaptive" for large vocabularies (Grave et al. 2017): frequent tokens have a softmax of their
        own beside groups of rare ones, with smaller vectors, that are computed only where they occur. Faster from
        some ten thousand tokens on; not with tied_embedding. `label_smoothing` spreads over each softmax that is
        computed. See `graph.adaptive.AdaptiveDense`.
    cutoffs: the first ids of the groups of rare tokens; None: a twenty-fifth and a fifth of the vocabulary.

    Learnt: `history_`, `parameters_`, `encoder_`, `predictor_`.
    """

    task = "language_model"

    network: Network | None
    training: Training | None
    inputs: InputSpec | None

    def __init__(
        self,
        network: Network | None = None,
        training: Training | None = None,
        inputs: InputSpec | None = None,
        *,
        documents: str = "whole",
        validation: float = 0.1,
        softmax: str = "full",
        cutoffs: Sequence[int] | None = None,
    ) -> None:
        self.network = network
        self.training = training
        self.inputs = inputs
        self.documents = documents
        self.validation = validation
        self.softmax = softmax
        self.cutoffs = cutoffs

    @staticmethod
    def usual_network(inputs: InputSpec | None = None, softmax: str = "full") -> Network:
        """What suits a unit of text and a softmax."""
        if _is_spelled(inputs):
            return SPELLED_NETWORK
        return WORD_NETWORK.replace(tied_embedding=softmax == "full")

    @staticmethod
    def usual_training(inputs: InputSpec | None = None) -> Training:
        """What suits a unit of text."""
        return USUAL_TRAINING if _is_spelled(inputs) else USUAL_TRAINING.replace(sequence_length=50)

    @classmethod
    def default(cls, part: str) -> Spec:
        """What suits characters."""
        return cls.usual_network() if part == "network" else cls.usual_training()

    def _usual(self, part: str) -> Spec:
        if part == "network":
            return self.usual_network(self.inputs, self.softmax)
        return self.usual_training(self.inputs)

    def fit(
        self,
        corpus: Any,
        conditions: Any = None,
        *,
        validation_data: Any = None,
        encoder: Encoder | None = None,
        folder: str | Path | None = None,
        resume: bool = False,
        callbacks: Sequence[Any] = (),
        progress: str | Callback | None = None,
    ) -> Self:
        """Learn from a corpus: the path of a file or folder, which may be larger than memory, or a list of texts.

        conditions: of a list of texts a label, or a vector, for each: the initial states of every layer become a
            learnt affine map of it (of labels: of their one-hot vectors), whatever `Network(initial_state)` says, and
            the model then writes and scores under a condition alone. None: a model without, or a corpus that is
            `Told` its conditions already.
        validation_data: another corpus (with conditions: texts and conditions); else a share `validation` of this
            one is set aside.
        encoder: tokens that were learnt already, such as another model's `encoder_`, of the same `inputs`; None: they
            are learnt from this corpus.
        folder: where checkpoints, `history.jsonl` and the encoded corpus go; with `resume`, training goes on from
            there, bit for bit, in the middle of an epoch.
        callbacks, progress: as of `Classifier.fit`.

        Raises InputError for an unusable corpus, DivergedError, MemoryBudgetError, Interrupted (the work is saved).
        """
        network, training = self._spec("network"), self._spec("training")
        assert isinstance(network, Network)
        assert isinstance(training, Training)
        spec = self.inputs if self.inputs is not None else Characters()
        check_streamed(network, training)
        _check_inputs(spec)
        (train, told), (held, held_told) = self._told_corpora(
            corpus, conditions, validation_data, training.seed
        )
        condition = Condition.fit(told, len(told)) if len(told) else None
        self.network_, self.training_ = network.resolved(), training
        if condition is not None:
            self.network_ = self.network_.replace(initial_state="learnt")
        if encoder is not None and encoder.spec != spec:
            raise SpecError(f"encoder must be one of inputs={spec!r:.60}, got one of {encoder.spec!r:.60}")
        self.encoder_: Encoder = learnt_vocabulary(spec, train) if encoder is None else encoder
        self.target_ = NextToken()
        outputs = boundary_of(self.encoder_) + 1
        cutoffs = self._cutoffs(outputs - 1)
        self.head_ = Head(outputs=outputs, pooling=None, boundary=True, cutoffs=cutoffs, condition=condition)
        self.model_ = build_model(self.network_, self.encoder_, self.head_)
        self.device_ = resolve_device(training.device)
        check_precision(self.network_, training, self.device_)
        with _room(folder) as room:
            tokens = write_tokens(room / "train.ids", train, self.encoder_)
            training = self.training_ = planned_in_windows(training, tokens.tokens)
            checked = None if held is None else write_tokens(room / "validation.ids", held, self.encoder_)
            self.ends_ = tokens.ends
            begun = [_numbers(condition, given) for given in (told, held_told)]
            problem = self._problem(tokens, checked, training, *begun)
            self.notes_ = problem.notes
            self.fingerprint_ = tokens.digest
            self.lengths_ = {"tokens": tokens.tokens, "documents": tokens.documents}
            self._adopt(
                fit(
                    problem,
                    training,
                    callbacks=callbacks,
                    folder=folder,
                    resume=resume,
                    progress=progress,
                )
            )
        return self

    def _cutoffs(self, vocabulary: int) -> tuple[int, ...]:
        """Where the groups of the softmax begin; none for a full one."""
        if self.softmax not in ("full", "adaptive"):
            raise SpecError(f"softmax must be 'full' or 'adaptive', got {self.softmax!r}")
        if self.softmax == "full":
            if self.cutoffs is not None:
                raise SpecError("cutoffs has no effect with softmax='full'; use 'adaptive' or leave it out")
            return ()
        if self.cutoffs is None and vocabulary < LEAST_ADAPTIVE:
            raise SpecError(
                f"softmax='adaptive' pays for large vocabularies, and this one has {vocabulary:,} tokens; leave it "
                "out, or give cutoffs"
            )
        found = usual_cutoffs(vocabulary) if self.cutoffs is None else tuple(self.cutoffs)
        if not found or list(found) != sorted({*found}) or not 0 < found[0] <= found[-1] < vocabulary:
            raise SpecError(
                f"cutoffs must be rising ids, the first above 0 and the last below the vocabulary of {vocabulary:,}, "
                f"got {list(found)}"
            )
        return found

    def _told_corpora(
        self, corpus: Any, conditions: Any, validation_data: Any, seed: int
    ) -> tuple[tuple[Corpus, Any], tuple[Corpus | None, Any]]:
        """What is trained on and what is held out, each with its conditions (none where there are none)."""
        told = self._given(corpus, conditions)
        if not isinstance(told, Told):
            train, held = self._corpora(told, validation_data, seed)
            return (train, ()), (held, ())
        if validation_data is not None:
            texts, others = validation_data
            aside = Told.of(self._corpus(texts), others)
        elif self._share():
            told, aside = told.divided(self._share(), seed)
        else:
            return (told.corpus, told.conditions), (None, ())
        return (told.corpus, told.conditions), (aside.corpus, aside.conditions)

    def _given(self, corpus: Any, conditions: Any) -> Corpus | Told:
        """A corpus, told its conditions where there are any."""
        if isinstance(corpus, Told):
            return corpus
        found = self._corpus(corpus)
        return found if conditions is None else Told.of(found, conditions)

    def _share(self) -> float:
        if not 0 <= self.validation < 1:
            raise SpecError(
                f"validation must be a share from 0 to below 1, got {self.validation!r}; usual: 0.1"
            )
        return self.validation

    def _corpora(self, corpus: Any, validation_data: Any, seed: int) -> tuple[Corpus, Corpus | None]:
        whole = self._corpus(corpus)
        if validation_data is not None:
            return whole, self._corpus(validation_data)
        return divided(whole, self._share(), seed) if self._share() else (whole, None)

    def _corpus(self, given: Any) -> Corpus:
        if isinstance(given, Corpus):
            return given
        if isinstance(given, Dataset):
            given = given.inputs
        return Corpus.of(given, documents=self.documents)

    def _problem(
        self,
        tokens: TokenFile,
        held: TokenFile | None,
        training: Training,
        told: Array | None = None,
        held_told: Array | None = None,
    ) -> LanguageProblem:
        source = TokenSource(tokens=tokens, given=told)
        aside = None if held is None else TokenSource(tokens=held, given=held_told)
        known: list[Any] = [tokens.digest, tokens.ends, None if held is None else held.digest]
        known = known if told is None else [*known, told]
        specs = (self.network_.to_dict(), self.encoder_.to_record(), self.head_.to_record())
        return LanguageProblem.of(
            self.model_,
            training,
            source,
            aside,
            self._epoch_scores,
            parameters=self.model_.initial(training.seed),
            monitor=training.monitor or self._default_monitor,
            fingerprint=fingerprint(*known, *specs),
            label_smoothing=training.label_smoothing,
            notes=self._told(tokens),
            device=self.device_,
        )

    def lesson(self, tokens: TokenFile, training: Training) -> LanguageProblem:
        """What training this architecture on encoded text hands to the loop: fresh weights, no validation."""
        made = copy(self)
        made.model_ = build_model(self.network_, self.encoder_, self.head_)
        made.training_, made.device_ = training, resolve_device(training.device)
        return made._problem(tokens, None, training)

    def _told(self, tokens: TokenFile) -> tuple[str, ...]:
        name = self.encoder_.spec.name
        notes = [
            f"{tokens.tokens:,} {_UNITS.get(name, name)} of {self.head_.outputs - 1:,} kinds in {tokens.documents:,} "
            f"document{'s' if tokens.documents > 1 else ''}, {tokens.characters:,} characters"
        ]
        if tokens.unknown:
            share = tokens.unknown / tokens.tokens
            notes.append(
                f"{share:.2%} of the training tokens are unknown to the vocabulary (min_count, max_size)"
            )
        return (*notes, *self.encoder_.notes)

    def _epoch_scores(self, parameters: Mapping[str, Array], source: TokenSource) -> dict[str, float]:
        """Scores of a file of tokens read in some pieces side by side, which takes a fraction of the time.

        The pieces begin without what stands before them, so the scores are a little worse than `scores` finds.
        """
        tokens = source.tokens
        count = max(1, min(self.training_.batch_size, tokens.tokens // LEAST_PIECE))
        nats, found = nats_side_by_side(source, self._predictor(parameters), count)
        characters = max(1, round(tokens.characters * found / tokens.predicted))
        scores = scores_of_nats(nats, found, characters=characters)
        return {"loss": scores["nats_per_token"], **scores}

    def scores(self, corpus: Any, conditions: Any = None) -> dict[str, Any]:
        """All scores of a corpus, each document read whole: see `LanguageModelPredictor.scores`."""
        found = self._given(corpus, conditions)
        if isinstance(found, Told):
            return dict(self.predictor_.scores(list(found.corpus.whole()), found.conditions))
        if isinstance(found.source, tuple):
            return dict(self.predictor_.scores(list(found.whole())))
        return score_corpus(self.predictor_, found)

    def score(self, corpus: Any, targets: Any = None) -> float:
        """Minus the nats per token, so that higher is better; targets: the conditions, if there are any."""
        return -float(self.scores(corpus, targets)["nats_per_token"])

    def predict(self, texts: Sequence[str], conditions: Any = None) -> Array:
        """(S,) nats per token of each text."""
        return np.asarray(self.predictor_.predict(texts, conditions=conditions))

    def log_probabilities(self, texts: Sequence[str], conditions: Any = None) -> Ragged:
        """The logarithm of the probability of each token of each text."""
        found: Ragged = self.predictor_.log_probabilities(texts, conditions=conditions)
        return found

    def generate(self, prompt: str = "", **options: Any) -> str:
        """Write on from a prompt, as `LanguageModelPredictor.generate`."""
        return str(self.predictor_.generate(prompt, **options))

    @property
    def _default_monitor(self) -> str:
        return "perplexity"

    def _config(self) -> dict[str, Any]:
        return {"ends": self.ends_, "documents": self.documents}

    @classmethod
    def _predictor_class(cls) -> type[Predictor]:
        return LanguageModelPredictor

    @classmethod
    def _from_predictor(cls, predictor: Predictor) -> Self:
        cutoffs = predictor.head.cutoffs or None
        made = cls(
            predictor.network,
            inputs=predictor.encoder.spec,
            documents=predictor.config["documents"],
            softmax="adaptive" if cutoffs else "full",
            cutoffs=cutoffs,
        )
        made.ends_ = predictor.config["ends"]
        return made


def _numbers(condition: Condition | None, given: Any) -> Array | None:
    """What the model reads of some conditions; None where there are none."""
    return None if condition is None or not len(given) else condition.rows(given, len(given))


_UNITS = {"bpe": "pieces of words"}


def _is_spelled(inputs: InputSpec | None) -> bool:
    return inputs is None or inputs.name in SPELLED


def _check_inputs(spec: InputSpec) -> None:
    """Refuse inputs that are no tokens of running text."""
    if spec.name not in ("characters", "words", "bpe", "bytes"):
        raise SpecError(
            f"inputs must be Characters, Words, BPE or Bytes for a language model, got {spec!r:.60}"
        )
    if getattr(spec, "max_length", None) is not None:
        raise SpecError("max_length would cut the corpus short; leave it out in a language model")


def learnt_vocabulary(inputs: InputSpec | None, corpus: Corpus) -> Encoder:
    """The tokens of a corpus; BPE is learnt from its first `LEARNT_PIECES * PIECE` characters at most.

    inputs: as of `LanguageModel`.
    """
    spec = Characters() if inputs is None else inputs
    texts = corpus.texts()
    return spec.fit(islice(texts, LEARNT_PIECES) if spec.name == "bpe" else texts)


@contextmanager
def _room(folder: str | os.PathLike[str] | None) -> Iterator[Path]:
    """Where the encoded corpus lies while it is trained on: in the run's folder, else in a temporary one."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="recurra-") as name:
            yield Path(name)
        return
    place = Path(folder) / "tokens"
    place.mkdir(parents=True, exist_ok=True)
    yield place
