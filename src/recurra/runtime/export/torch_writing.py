"""Writing the programs of `torch.export`: checked in another process, then a folder that is exchanged as one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.errors import ExportError, SpecError
from recurra.ragged import Array
from recurra.runtime.export.answers import answer_of
from recurra.runtime.export.check import LOGITS_TOLERANCE, TOLERANCE, Gap, gap, step_gap
from recurra.runtime.export.graphs import CHARACTERS, OUT
from recurra.runtime.export.probes import CASES, Probe, made_probe
from recurra.runtime.export.torch_nodes import state_sizes
from recurra.runtime.export.torch_programs import (
    batch_program,
    batch_refused,
    operators_of,
    program_bytes,
    ragged_feed,
    step_program,
    step_program_refused,
    torch_library,
)
from recurra.runtime.export.torch_session import ProgramSession
from recurra.runtime.export.writing import (
    KIND,
    RECORD_FILE,
    Exported,
    beside,
    checked_with,
    facts,
    outside,
    refuse_int8,
    refuse_other,
)
from recurra.runtime.predictor import Predictor, in_float32
from recurra.storage import Payload, check_target, write_folder

BATCH_PROGRAM, STEP_PROGRAM = "batch.pt2", "step.pt2"


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """A program that answers as the model does."""

    program: Any
    content: bytes
    gap: Gap


def export_torch(predictor: Predictor, folder: str | os.PathLike[str]) -> Exported:
    """Write a model as programs of `torch.export` to a folder, if they answer as the model does.

    `step.pt2` is one step in torch's own operators and needs nothing of Recurra; `batch.pt2` runs whole sequences
    on Recurra's registered operators, which `recurra.nn.register_operators()` has to make known first. Beside
    them stand `export.json` and the encoder's files. Each is first loaded and run by a process of its own, over
    batches of several sizes and lengths, 0 and 1 among them. Raises ExportError where an answer is off by more
    than 1e-5; then, as after every error, `folder` is as it was. Raises SpecError for a model that has neither
    program, MissingExtraError without torch, StorageError where the folder cannot be written.
    """
    check_target(folder)
    predictor = predictor.answering
    refuse_other(Path(folder))
    answer_of(predictor)
    refuse_int8(predictor)
    torch_library()
    refused = {
        name: why
        for name, why in (("batch", batch_refused(predictor)), ("step", step_program_refused(predictor)))
        if why is not None
    }
    if len(refused) == 2:
        raise SpecError(f"this model cannot be exported to torch.export: {'; '.join(refused.values())}")
    made = {}
    if "batch" not in refused:
        made[BATCH_PROGRAM] = _checked(predictor, BATCH_PROGRAM, batch_program, ragged_gap, operators=True)
    if "step" not in refused:
        made[STEP_PROGRAM] = _checked(predictor, STEP_PROGRAM, step_program, step_gap, operators=False)
    difference = max(each.gap.answers for each in made.values())
    files: dict[str, bytes | Payload] = {name: each.content for name, each in made.items()}
    files |= beside(predictor, _record(predictor, made, difference, refused))
    written = write_folder(folder, files, meta={"kind": KIND})
    return Exported(
        folder=written,
        batch=None if "batch" in refused else written / BATCH_PROGRAM,
        step=None if "step" in refused else written / STEP_PROGRAM,
        record=written / RECORD_FILE,
        difference=difference,
        refused=refused,
        outside=outside(predictor),
    )


def _checked(
    predictor: Predictor,
    name: str,
    build: Callable[[Predictor], Any],
    measure: Callable[[Predictor, ProgramSession], Gap],
    *,
    operators: bool,
) -> _Checked:
    try:
        program = build(predictor)
    except (RuntimeError, TypeError, AttributeError) as error:
        first = str(error).strip().splitlines()[0]
        raise ExportError(f"PyTorch could not trace {name}: {first}; nothing was written") from error
    content = program_bytes(program)
    states = {} if operators else state_sizes(predictor.model)
    with ProgramSession(content, operators=operators, states=states) as session:
        found = measure(predictor, session)
        if session.needs_recurra and not operators:
            raise ExportError(
                f"{name} was to run without Recurra, but loading it loaded Recurra; please report it"
            )
    if not found.small:
        raise ExportError(
            f"{name} answers otherwise than the model: off by {found.answers:.3g} (at most {TOLERANCE:g} is kept) "
            f"and before the last step by {found.logits:.3g} ({LOGITS_TOLERANCE:g}); nothing was written; please "
            "report it"
        )
    return _Checked(program=program, content=content, gap=found)


def ragged_gap(predictor: Predictor, session: ProgramSession) -> Gap:
    """The largest differences of a program over whole sequences, over `CASES`."""
    worst, predictor = Gap(), in_float32(predictor)
    for seed, lengths in enumerate(CASES.values()):
        probe = made_probe(predictor, lengths, seed)
        found = session.run(_feed(predictor, probe))
        worst |= gap(predictor, found, predictor.outputs_of(probe.batch, probe.static))
    return worst


def _feed(predictor: Predictor, probe: Probe) -> dict[str, Array]:
    return ragged_feed(predictor, probe.batch, probe.static)


def _record(
    predictor: Predictor, made: dict[str, _Checked], difference: float, refused: dict[str, str]
) -> dict[str, Any]:
    described = {name.removesuffix(".pt2"): _described(name, each) for name, each in made.items()}
    return {
        "format": "torch-export",
        "torch": str(torch_library().__version__),
        **facts(predictor),
        **described,
        **{name: {"refused": why} for name, why in refused.items()},
        "difference": difference,
        "tolerance": TOLERANCE,
        "checked": checked_with(f"torch {torch_library().__version__}, in another process"),
    }


def _described(name: str, checked: _Checked) -> dict[str, Any]:
    """File, needs, inputs, outputs, operators and measured difference of one program."""
    from recurra import __version__

    call = {"package": "recurra", "version": __version__, "call": "recurra.nn.register_operators()"}
    inputs, outputs = _names(checked.program)
    made: dict[str, Any] = {
        "file": name,
        "needs": [call] if name == BATCH_PROGRAM else [],
        "inputs": inputs,
        "outputs": outputs,
        "operators": operators_of(checked.program),
        "difference": checked.gap.answers,
        "difference_before_answer": checked.gap.logits,
    }
    if name == STEP_PROGRAM:
        made["states"] = {each.removesuffix(OUT): each for each in outputs if each.endswith(OUT)}
    return made


def _free(name: str, sizes: Sequence[int]) -> list[Any]:
    """Sizes of a row of an input; those of the characters of a word may be any."""
    return ["*" if name == CHARACTERS else size for size in sizes]


def _names(program: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """Inputs with their types and shapes, and the names of the outputs: the keys of the two dicts."""
    (given,), _ = program.example_inputs
    inputs = [
        {
            "name": name,
            "dtype": str(x.dtype).removeprefix("torch."),
            "shape": ["*", *_free(name, x.shape[1:])],
        }
        for name, x in given.items()
    ]
    spec = program.call_spec.out_spec
    return inputs, list(spec.context)
