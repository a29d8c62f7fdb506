"""From a bundle to a predictor and back: what stands in `config.json` of a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recurra.data.encoder import encoder_from_record
from recurra.data.target_encoders import target_from_record
from recurra.errors import CorruptBundleError, InputError, nearest
from recurra.graph.model import InputShape, sequence_model
from recurra.kernels.weights import PRECISIONS
from recurra.runtime.bundle import WEIGHTS, Bundle
from recurra.runtime.frame_model import FrameModelPredictor
from recurra.runtime.language_model import LanguageModelPredictor
from recurra.runtime.precision import read_parameters, stored_arrays, stored_specs
from recurra.runtime.predictor import ClassifierPredictor, Head, Predictor, RegressorPredictor, input_shape
from recurra.runtime.tagger import TaggerPredictor
from recurra.runtime.weights import ArraySpec
from recurra.spec import Network

PREDICTORS: Mapping[str, type[Predictor]] = {
    predictor.task: predictor
    for predictor in (
        ClassifierPredictor,
        RegressorPredictor,
        TaggerPredictor,
        LanguageModelPredictor,
        FrameModelPredictor,
    )
}


def save_predictor(
    predictor: Predictor,
    path: str | Path,
    *,
    training: Mapping[str, Any],
    scores: Mapping[str, Any],
    data: Mapping[str, Any],
    extras: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a predictor as a bundle; atomic. `extras` (history, report, ...) stand beside the model's files."""
    # Only saving needs these, and a stored model should begin to answer soon.
    from recurra.runtime.card import model_card
    from recurra.runtime.kept import kept_answers

    config = config_of(predictor, training=training, scores=scores, data=data)
    bundle = Bundle(
        config=config,
        arrays=stored_arrays(predictor.parameters, predictor.precision),
        files=predictor.encoder.files(),
        card=model_card(config, predictor.model),
    )
    return bundle.save(path, extras={**kept_answers(predictor), **(extras or {})})


def config_of(
    predictor: Predictor, *, training: Mapping[str, Any], scores: Mapping[str, Any], data: Mapping[str, Any]
) -> dict[str, Any]:
    """What `config.json` says of a single model."""
    shape = input_shape(predictor.encoder, predictor.head)
    config = {
        "task": predictor.task,
        "network": predictor.network.to_dict(),
        "training": dict(training),
        "input": predictor.encoder.to_record(),
        "shape": {
            "kind": shape.kind,
            "width": shape.width,
            "vocabularies": dict(shape.vocabularies),
            "static": shape.static,
            **({} if shape.spelling is None else {"spelling": dict(shape.spelling)}),
        },
        "head": predictor.stored_head.to_record(),
        "target": predictor.target.to_record(),
        "options": {k: v for k, v in predictor.config.items() if k not in _OWN},
        "scores": dict(scores),
        "data": dict(data),
    }
    if predictor.precision != "float32":
        config["precision"] = predictor.precision
    return config


MEMBERS = "members"
"""The key under which an ensemble keeps what its members are."""

_OWN = ("training", "scores", "data")


def load_predictor(path: str | Path) -> Predictor:
    """Read a bundle and return its predictor; torch is not loaded.

    Raises CorruptBundleError (which file is wrong), NewerBundleError, StorageError (no such folder).
    """
    config: Mapping[str, Any] = {}
    try:
        bundle = Bundle.load(path, expect=expected_arrays)
        config = bundle.config
        if MEMBERS in config:
            from recurra.runtime.ensemble_store import ensemble_in

            return ensemble_in(bundle, str(path))
        return predictor_in(config, bundle.arrays, bundle.files, path=str(path), model_id=bundle.model_id)
    except InputError as error:
        raise CorruptBundleError(f"{path}: config.json or the encoder is not usable: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise CorruptBundleError(
            f"{path}: config.json lacks or mistypes {error}; task {config.get('task')!r}"
        ) from error


def _precision(config: Mapping[str, Any]) -> str:
    """The precision of a stored model; float32 where none is named."""
    precision = config.get("precision", "float32")
    if precision not in PRECISIONS:
        hint = nearest(str(precision), PRECISIONS)
        raise CorruptBundleError(f"config.json names an unknown precision {precision!r}{hint}")
    return str(precision)


def expected_arrays(config: Mapping[str, Any]) -> dict[str, ArraySpec]:
    """The arrays that the model of a config must have."""
    if MEMBERS in config:
        from recurra.runtime.ensemble_store import expected_of_members

        return expected_of_members(config)
    if config["task"] not in PREDICTORS:
        raise CorruptBundleError(
            f"config.json names an unknown task {config['task']!r}{nearest(config['task'], PREDICTORS)}"
        )
    head = config["head"]
    shape = InputShape(**config["shape"])
    network = Network.from_dict(config["network"])
    model = sequence_model(
        network,
        shape,
        outputs=head["outputs"],
        pooling=head["pooling"],
        chain=head.get("chain", ()),
        cutoffs=head.get("cutoffs", ()),
        conditions=(head.get("condition") or {}).get("width", 0),
    )
    return stored_specs(model, _precision(config))


def predictor_in(
    config: Mapping[str, Any],
    arrays: Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    path: str,
    model_id: str | None,
) -> Predictor:
    """The single model that a config, its arrays and its encoder's files make."""
    encoder = encoder_from_record(config["input"], files)
    head = Head.from_record(config["head"])
    if input_shape(encoder, head) != InputShape(**config["shape"]):
        raise CorruptBundleError(f"{path}: config.json and the encoder's file disagree about the input")
    return PREDICTORS[config["task"]](
        network=Network.from_dict(config["network"]),
        encoder=encoder,
        head=head,
        target=target_from_record(config["target"]),
        parameters=read_parameters(arrays, _precision(config), f"{path}/{WEIGHTS}"),
        config={**config["options"], **{name: config[name] for name in _OWN}},
        path=path,
        model_id=model_id,
        precision=_precision(config),
    )
