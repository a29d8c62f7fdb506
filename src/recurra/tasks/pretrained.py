"""Fine-tuning: an estimator that starts from the embedding and the recurrent layers of a language model.

Either it reads just what the language model did (`checked_inputs`, `network_for`, `taken_over`), or it reads more: a
tagger of words reads their characters too, and from both ends (`with_words_of`, `widened_network`, `grown`). There
the layers that read forward start from the language model's, and give what it gave: what they read besides weighs
nothing at first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recurra.data.encoder import UNKNOWN, Encoder, InputSpec
from recurra.data.text_encoders import WordEncoder
from recurra.data.tokens import TokenEncoder
from recurra.errors import SpecError
from recurra.ragged import Array
from recurra.runtime.language_model import LanguageModelPredictor
from recurra.runtime.store import load_predictor
from recurra.spec import Network
from recurra.tasks.learner import Learner

SHARED = (
    *("cell", "hidden_size", "num_layers", "bidirectional", "embedding_size"),
    *("layer_norm", "cell_clip", "initial_state"),
)
"""What of the network decides about the arrays that are taken over, and what they compute."""

PARTS = ("embed.", "recur.")

WORD_TABLE = "spell.words.table"
"""The vectors of words that are read by their characters too."""


def donor_of(given: Any) -> LanguageModelPredictor:
    """The language model that is meant: a path of a stored one, an estimator that has learnt, or a loaded one.

    Raises SpecError for anything else, and what loading and an unfitted estimator raise.
    """
    if isinstance(given, (str, os.PathLike)):
        given = load_predictor(os.fspath(given))
    found = given.predictor_ if isinstance(given, Learner) else given
    if not isinstance(found, LanguageModelPredictor):
        raise SpecError(
            f"pretrained must be a language model or the path of a stored one, got {type(given).__name__}"
        )
    if found.precision != "float32":
        raise SpecError(f"pretrained must hold float32 weights to be trained on, got {found.precision}")
    return found


def checked_inputs(spec: InputSpec | None, donor: LanguageModelPredictor) -> Encoder:
    """The encoder of the language model; raises SpecError where other inputs were asked for."""
    if spec is not None and spec != donor.encoder.spec:
        raise SpecError(
            f"inputs must be left out, or be those of the pretrained model, {donor.encoder.spec}, got {spec}"
        )
    return donor.encoder


def network_for(network: Network | None, donor: LanguageModelPredictor) -> Network:
    """The network to train: that of the language model, or one that agrees with it in what is taken over."""
    if network is None:
        return donor.network.replace(tied_embedding=False)
    return _agreeing(network, donor.network, SHARED)


def widened_network(network: Network | None, usual: Network, donor: LanguageModelPredictor) -> Network:
    """As `network_for`, where the direction is free; None: the usual network of the task, as large as theirs."""
    shared = [name for name in SHARED if name != "bidirectional"]
    if network is not None:
        return _agreeing(network, donor.network, shared)
    theirs = {name: getattr(donor.network, name) for name in (*shared, "dropout", "forget_bias")}
    return usual.replace(**theirs)


def _agreeing(network: Network, theirs: Network, shared: Sequence[str]) -> Network:
    for name in shared:
        ours = getattr(network, name)
        if name == "embedding_size" and ours is None:
            network = network.replace(embedding_size=theirs.embedding_size)
        elif ours != getattr(theirs, name):
            raise SpecError(
                f"{name} must be that of the pretrained model, {getattr(theirs, name)!r}, got {ours!r}; "
                "leave network out to take it over"
            )
    return network


def with_words_of(encoder: TokenEncoder, donor: LanguageModelPredictor) -> TokenEncoder:
    """The encoder, which looks up the words of the language model as well."""
    if not isinstance(donor.encoder, WordEncoder):
        raise SpecError(
            "pretrained must be a language model of words to start a tagger of words, got one of "
            f"{donor.encoder.spec.name}; give inputs={donor.encoder.spec!r} to tag these"
        )
    known = set(encoder.words)
    most = encoder.spec.max_size
    more = [word for word in donor.encoder.vocabulary if word not in known] if most is None else []
    return replace(encoder, words=(*encoder.words, *more))


def grown(
    initial: Mapping[str, Array], encoder: TokenEncoder, donor: LanguageModelPredictor
) -> dict[str, Array]:
    """The starting values, with the vectors of the words that the language model knows, and its recurrent layers.

    A layer's weights of what the language model did not read are zeros, so that what reads forward gives its states.
    """
    made = dict(initial)
    table = donor.parameters["embed.table"]
    ids = np.asarray(donor.encoder.encode([list(encoder.words)]).values)
    known = (ids != UNKNOWN) | (np.arange(len(ids)) == UNKNOWN)
    made[WORD_TABLE] = np.where(known[:, None], table[ids], initial[WORD_TABLE])
    for name, theirs in donor.parameters.items():
        if name.startswith("recur."):
            wide = np.zeros_like(initial[name])
            wide[..., : theirs.shape[-1]] = theirs
            made[name] = wide
    return made


def taken_over(initial: Mapping[str, Array], donor: LanguageModelPredictor) -> dict[str, Array]:
    """The starting values, with the language model's embedding (without the boundary) and recurrent layers."""
    made = dict(initial)
    for name, value in initial.items():
        if name.startswith(PARTS):
            made[name] = donor.parameters[name][: len(value)].copy()
    return made
