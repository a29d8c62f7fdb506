"""Fine-tuning: an estimator that starts from the embedding and the recurrent layers of a language model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from recurra.data.encoder import Encoder, InputSpec
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
    theirs = donor.network
    if network is None:
        return theirs.replace(tied_embedding=False)
    for name in SHARED:
        ours = getattr(network, name)
        if name == "embedding_size" and ours is None:
            network = network.replace(embedding_size=theirs.embedding_size)
        elif ours != getattr(theirs, name):
            raise SpecError(
                f"{name} must be that of the pretrained model, {getattr(theirs, name)!r}, got {ours!r}; "
                "leave network out to take it over"
            )
    return network


def taken_over(initial: Mapping[str, Array], donor: LanguageModelPredictor) -> dict[str, Array]:
    """The starting values, with the language model's embedding (without the boundary) and recurrent layers."""
    made = dict(initial)
    for name, value in initial.items():
        if name.startswith(PARTS):
            made[name] = donor.parameters[name][: len(value)].copy()
    return made
