"""An ensemble as one bundle: the configs of its members under `members`, their weights and encoders side by side.

An array of member 0 is called `members.0.<name>`. A file of an encoder is called `0-tokenizer.json`; members with
the same file share it, and each says under `files` which one is its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recurra.errors import CorruptBundleError
from recurra.runtime.bundle import Bundle
from recurra.runtime.card import ensemble_card
from recurra.runtime.ensemble import LEAST, MOST, Ensemble, ensemble_of
from recurra.runtime.kept import kept_answers
from recurra.runtime.precision import stored_arrays
from recurra.runtime.predictor import Predictor
from recurra.runtime.store import MEMBERS, config_of, expected_arrays, predictor_in
from recurra.runtime.weights import ArraySpec


def save_ensemble(ensemble: Ensemble, path: str | Path) -> Path:
    """Write an ensemble as one bundle; atomic."""
    files: dict[str, bytes] = {}
    configs = [_described(member, files, place) for place, member in enumerate(ensemble.members)]
    arrays = {
        f"{MEMBERS}.{place}.{name}": array
        for place, member in enumerate(ensemble.members)
        for name, array in stored_arrays(member.parameters, member.precision).items()
    }
    config = {
        "task": ensemble.task,
        MEMBERS: configs,
        "scores": ensemble.config["scores"],
        "data": ensemble.config["data"],
    }
    bundle = Bundle(config=config, arrays=arrays, files=files, card=ensemble_card(config))
    return bundle.save(path, extras=kept_answers(ensemble))


def _described(member: Predictor, files: dict[str, bytes], place: int) -> dict[str, Any]:
    """The config of a member; its encoder's files are put among the others, or found there."""
    known = {name: member.config.get(name, {}) for name in ("training", "scores", "data")}
    used = {}
    for name, content in member.encoder.files().items():
        same = (stored for stored, held in files.items() if held == content and stored.endswith(f"-{name}"))
        used[name] = next(same, f"{place}-{name}")
        files[used[name]] = content
    return {**config_of(member, **known), "files": used, "model_id": member.identity}


def expected_of_members(config: Mapping[str, Any]) -> dict[str, ArraySpec]:
    """The arrays that an ensemble must have."""
    return {
        f"{MEMBERS}.{place}.{name}": spec
        for place, member in enumerate(_members(config))
        for name, spec in expected_arrays(member).items()
    }


def ensemble_in(bundle: Bundle, path: str) -> Ensemble:
    """The ensemble that a bundle holds."""
    members = []
    for place, config in enumerate(_members(bundle.config)):
        prefix = f"{MEMBERS}.{place}."
        arrays = {k.removeprefix(prefix): v for k, v in bundle.arrays.items() if k.startswith(prefix)}
        files = {name: bundle.files[stored] for name, stored in config["files"].items()}
        members.append(predictor_in(config, arrays, files, path=path, model_id=str(config["model_id"])))
    kept = {name: bundle.config[name] for name in ("scores", "data")}
    return ensemble_of(bundle.config["task"], members, path=path, model_id=bundle.model_id, config=kept)


def _members(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    members = config[MEMBERS]
    if not isinstance(members, list) or not LEAST <= len(members) <= MOST:
        raise CorruptBundleError(f"config.json: {MEMBERS!r} must be a list of {LEAST} to {MOST} models")
    if not all(isinstance(member, Mapping) and MEMBERS not in member for member in members):
        raise CorruptBundleError(f"config.json: {MEMBERS!r} must hold single models")
    return members
