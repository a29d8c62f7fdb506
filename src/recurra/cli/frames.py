"""Frame models at the command line: sequences whose steps are many yes/no's, such as the keys of a piano."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recurra.cli.building import divide, read_data
from recurra.cli.diagnosing import explaining_divergence
from recurra.cli.foretelling import kept, tell_scores
from recurra.cli.options import Choices
from recurra.cli.output import print_json, say
from recurra.cli.reading import read_like_training
from recurra.data.dataset import Dataset
from recurra.data.midi import write_midi
from recurra.data.piano import KEYS
from recurra.errors import DataError, InputError, SpecError
from recurra.ragged import Array
from recurra.spec import Network, Training

OPTIONS = ("length", "temperature", "seed")
"""Options of `generate` that frames know."""

LENGTH = 64
"""Frames that are drawn if not told otherwise."""


def frame_model(choices: Choices) -> Any:
    """The estimator that was described. Raises SpecError for options that it does not have."""
    from recurra.tasks.frame_model import FrameModel

    for section in ("task", "input"):
        for name in getattr(choices, section):
            raise SpecError(f"[{section}] {name} has no effect on a frame model; leave it out")
    return FrameModel(Network.from_dict(choices.network), Training.from_dict(choices.training))


def frames_of(dataset: Dataset) -> Dataset:
    """Data as sequences of frames, without labels. Raises DataError where they cannot be."""
    if dataset.kind != "signal":
        raise DataError(
            f"{dataset.source} holds {dataset.kind}; a frame model reads steps of 0 and 1: MIDI files, .npz, "
            "tables of one row per step (--sequence-id)"
        )
    if dataset.static is not None:
        raise DataError("--static has no effect on a frame model; leave it out")
    return replace(dataset, targets=None)


def fit_frame_model(
    data: Sequence[str],
    chosen: Choices,
    output: Path,
    *,
    test: str | None,
    resume: bool,
    progress: str | None,
    checkpoints: Path,
) -> dict[str, Any]:
    """Train, score the test sequences once, save a bundle; returns the record that `--json` prints."""
    from recurra.cli.fit import opening

    model = frame_model(chosen)
    dataset = frames_of(read_data(data, chosen.data, model.task))
    held = None if test is None else frames_of(read_data([test], chosen.data, model.task))
    divided = divide(dataset, chosen.data, held, foretold=True)
    for note in opening(dataset, divided):
        say(note)
    train, validation = (divided.parts[name] for name in ("train", "validation"))
    begin = time.perf_counter()
    with explaining_divergence(model):
        model.fit(train, validation_data=validation, folder=checkpoints, resume=resume, progress=progress)
    seconds = time.perf_counter() - begin
    scores = {name: model.scores(divided.parts[name]) for name in ("test", "validation")}
    return kept(model, output, scores, chosen.data, checkpoints=checkpoints, seconds=seconds)


def frames_like_training(
    predictor: Any, data: Sequence[str], changes: Mapping[str, Any], part: str | None = None
) -> Dataset:
    """Sequences of frames, read as in training with the given changes."""
    dataset = frames_of(read_like_training(predictor, data, changes))
    return dataset if part is None else dataset.part(part)


def evaluate_frame_model(
    predictor: Any,
    name: str,
    data: Sequence[str],
    changes: Mapping[str, Any],
    *,
    part: str | None,
    as_json: bool,
) -> None:
    """Score sequences of frames, each read from its beginning."""
    dataset = frames_like_training(predictor, data, changes, part)
    scores = predictor.scores(list(dataset.inputs))
    if as_json:
        print_json({"model": name, "task": predictor.task, "rows": len(dataset), "scores": scores})
        return
    print(f"{scores['frames']:,} frames in {scores['sequences']:,} sequences")
    tell_scores(scores)


def generate_frames(
    predictor: Any,
    name: str,
    prompts: Sequence[str],
    asked: Mapping[str, Any],
    *,
    output: Path | None,
    steps_per_quarter: int | None,
    as_json: bool,
) -> None:
    """Draw frames behind those of a file, or from nothing; print the sequence, or write it as music."""
    for option, value in asked.items():
        if value not in (None, ()) and option not in OPTIONS:
            flag = {"banned": "ban", "required": "require"}.get(option, option.replace("_", "-"))
            raise InputError(f"--{flag} has no effect on a frame model; leave it out")
    _check_output(predictor, output, steps_per_quarter)
    options = {option: asked[option] for option in ("temperature", "seed") if asked[option] is not None}
    prompt = _prompt(predictor, prompts)
    frames = LENGTH if asked["length"] is None else asked["length"]
    made = predictor.generate(prompt, frames=frames, **options)
    whole = made if prompt is None else np.concatenate([prompt, made])
    if output is not None:
        steps = steps_per_quarter or predictor.config["data"].get("reading", {}).get("steps_per_quarter") or 2
        write_midi(output, whole, steps_per_quarter=steps)
    if as_json:
        record = {"model": name, "prompt": 0 if prompt is None else len(prompt), "frames": _plain(made)}
        print_json(record if output is None else {**record, "output": str(output)})
    elif output is None:
        print(json.dumps(_plain(whole)))
    else:
        say(f"{len(whole):,} frames written: {output}")


def _plain(frames: Array) -> list[list[int]]:
    found: list[list[int]] = np.asarray(frames).astype(int).tolist()
    return found


def _check_output(predictor: Any, output: Path | None, steps_per_quarter: int | None) -> None:
    """Refuse what is no music, before anything is drawn."""
    if output is None:
        if steps_per_quarter is not None:
            raise InputError(
                "--steps-per-quarter has no effect without --output; give for example -o song.mid"
            )
        return
    if output.suffix.lower() not in (".mid", ".midi"):
        raise InputError(f"--output must be a file that ends in .mid, got {output.name!r}")
    if predictor.head.outputs != KEYS:
        raise InputError(
            f"--output needs a model of the {KEYS} keys of a piano, this one has {predictor.head.outputs} columns; "
            "leave it out, or use recurra.data.midi.write_midi with their lowest key"
        )


def _prompt(predictor: Any, prompts: Sequence[str]) -> Array | None:
    """The frames of the one sequence of a file."""
    if not prompts:
        return None
    if len(prompts) > 1:
        raise InputError(f"--prompt must be one file for a frame model, got {len(prompts)}")
    dataset = frames_like_training(predictor, prompts, {})
    if len(dataset) != 1:
        raise InputError(f"--prompt must hold one sequence, got the {len(dataset):,} of {prompts[0]}")
    return np.asarray(dataset.inputs[0])
