"""Writing an export: checked first, then a folder that is exchanged as one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recurra.decoding.tag_decoder import TagDecoder
from recurra.errors import BundleError, DataError, ExportError, SpecError, StorageError
from recurra.graph.onnx_build import IR_VERSION, OPSET
from recurra.runtime.continuation import Continuation
from recurra.runtime.export.answers import answer_of, decoded_outside
from recurra.runtime.export.check import (
    LOGITS_TOLERANCE,
    TOLERANCE,
    Gap,
    Session,
    batch_gap,
    runtime_library,
    step_gap,
)
from recurra.runtime.export.graphs import OUT, OUTSIDE, batch_graph, step_graph, step_refused
from recurra.runtime.export.probes import CASES, STEPS, STREAMS
from recurra.runtime.export.readme import README, readme
from recurra.runtime.frame_model import FrameModelPredictor
from recurra.runtime.predictor import Predictor
from recurra.runtime.tagger import TaggerPredictor
from recurra.storage import (
    Payload,
    check_target,
    dump_json,
    open_folder,
    parse_json,
    plain_json,
    write_folder,
)

BATCH_FILE, STEP_FILE, RECORD_FILE = "batch.onnx", "step.onnx", "export.json"
KIND = "export"
DECODING_FILE = "decoding.json"
"""How tags are made of the scores that a graph gives, where they depend on their neighbours."""

_LARGEST_DECODING = 1 << 30

LARGEST = (2 << 30) - (16 << 20)
"""Bytes of weights that a single ONNX file can hold (protobuf ends at 2 GiB)."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export wrote.

    folder, batch, step, record: absolute paths; None where there can be none, and `refused` says why by name.
    difference: the largest difference measured between the graphs' answers and the model's. outside: what has to
    be done with the answers outside of the graphs; None where they are complete.
    """

    folder: Path
    batch: Path | None
    step: Path | None
    record: Path
    difference: float
    refused: Mapping[str, str] = field(default_factory=dict)
    outside: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """A graph that answers as the model does."""

    model: Any
    content: bytes
    gap: Gap


def export_onnx(predictor: Predictor, folder: str | os.PathLike[str]) -> Exported:
    """Write the ONNX graphs of a model to a folder, if they answer as the model does.

    `batch.onnx`, for a unidirectional model `step.onnx`, `export.json` (names, what was checked, the measured
    difference) and the encoder's files. Every graph is first run by ONNX Runtime over padded batches of several
    sizes and lengths, 0 and 1 among them. Raises ExportError where an answer is off by more than 1e-5; then,
    as after every error, `folder` is as it was. Raises MissingExtraError without `onnx` and `onnxruntime`,
    StorageError where the folder cannot be written.
    """
    check_target(folder)
    predictor = predictor.answering
    refuse_other(Path(folder))
    answer_of(predictor)
    refuse_int8(predictor)
    _refuse_large(predictor)
    refused = step_refused(predictor)
    graphs = {BATCH_FILE: _checked(predictor, BATCH_FILE, batch_graph, batch_gap)}
    if refused is None:
        graphs[STEP_FILE] = _checked(predictor, STEP_FILE, step_graph, step_gap)
    difference = max(each.gap.answers for each in graphs.values())
    files: dict[str, bytes | Payload] = {name: each.content for name, each in graphs.items()}
    files |= beside(predictor, _record(predictor, graphs, difference, refused))
    written = write_folder(folder, files, meta={"kind": KIND})
    return Exported(
        folder=written,
        batch=written / BATCH_FILE,
        step=None if refused else written / STEP_FILE,
        record=written / RECORD_FILE,
        difference=difference,
        refused={} if refused is None else {"step": refused},
        outside=outside(predictor),
    )


def _checked(
    predictor: Predictor,
    name: str,
    build: Callable[[Predictor], Any],
    measure: Callable[[Predictor, Session], Gap],
) -> _Checked:
    model = build(predictor)
    content = model.SerializeToString()
    gap = measure(predictor, Session(content))
    if not gap.small:
        raise ExportError(
            f"{name} answers otherwise than the model: off by {gap.answers:.3g} (at most {TOLERANCE:g} is kept) and "
            f"before the last step by {gap.logits:.3g} ({LOGITS_TOLERANCE:g}); nothing was written; please report it"
        )
    return _Checked(model=model, content=content, gap=gap)


def refuse_other(folder: Path) -> None:
    """An export replaces an older one, never a model."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    try:
        with open_folder(folder) as held:
            kind = held.meta.get("kind")
    except BundleError:
        return
    if kind != KIND:
        raise StorageError(f"could not write {folder}: a {kind} stands there; choose another folder")


def refuse_int8(predictor: Predictor) -> None:
    """No other engine has these kernels."""
    if predictor.precision == "int8":
        raise SpecError(
            "the model answers with int8 kernels, which no exported graph reproduces; export the float32 model, "
            "and have the other engine's own tools shrink the graph if need be"
        )


def _refuse_large(predictor: Predictor) -> None:
    size = sum(array.nbytes for array in predictor.parameters.values())
    if size > LARGEST:
        raise SpecError(
            f"the model holds {size / 2**30:.1f} GiB of weights, a single ONNX file holds less than 2; "
            "export a smaller one, or serve the bundle itself"
        )


def _record(
    predictor: Predictor, graphs: dict[str, _Checked], difference: float, refused: str | None
) -> dict[str, Any]:
    described = {name.removesuffix(".onnx"): _described(name, each) for name, each in graphs.items()}
    if refused is not None:
        described["step"] = {"refused": refused}
    return {
        "format": "onnx",
        "opset": OPSET,
        "ir_version": IR_VERSION,
        **facts(predictor),
        **described,
        "difference": difference,
        "tolerance": TOLERANCE,
        "checked": checked_with(f"onnxruntime {runtime_library().__version__}"),
    }


def facts(predictor: Predictor) -> dict[str, Any]:
    """What a record says of the model, whatever it was exported to."""
    from recurra import __version__

    return {
        "recurra": __version__,
        "model_id": predictor.model_id,
        "task": predictor.task,
        **answer_of(predictor).meaning(),
        **({"decoding": _decoding(predictor)} if decoded_outside(predictor) else {}),
        "input": predictor.encoder.to_record(),
        "reads_first": _read_first(predictor),
        "static": None if predictor.head.static is None else predictor.head.static.to_record(),
    }


def outside(predictor: Predictor) -> str | None:
    """What has to be done with the answers of an exported model, in a sentence; None where they are complete."""
    return f"the decoding of its tags stands {OUTSIDE}" if decoded_outside(predictor) else None


def _decoding(predictor: Predictor) -> dict[str, str]:
    return {"where": OUTSIDE, "file": DECODING_FILE, "scores": answer_of(predictor).before}


def _read_first(predictor: Predictor) -> str | None:
    """What the graph has to be handed before every sequence."""
    if isinstance(predictor, Continuation):
        return f"the id {predictor.boundary}"
    return "a frame of zeros" if isinstance(predictor, FrameModelPredictor) else None


def beside(predictor: Predictor, record: Mapping[str, Any]) -> dict[str, bytes | Payload]:
    """The files of an export besides its graphs."""
    files: dict[str, bytes | Payload] = {
        RECORD_FILE: dump_json(plain_json(record, RECORD_FILE)),
        README: readme(record),
        **predictor.encoder.files(),
    }
    if isinstance(predictor, TaggerPredictor) and decoded_outside(predictor):
        files[DECODING_FILE] = dump_json(plain_json(predictor.decoder.to_record(), DECODING_FILE))
    return files


def read_decoder(folder: str | os.PathLike[str]) -> TagDecoder:
    """What decodes the tags of an exported tagger; no torch, and no graph, is loaded.

    Raises BundleError for a folder that is none of an export, DataError where its graph decodes by itself.
    """
    with open_folder(folder) as held:
        if DECODING_FILE not in held.names:
            raise DataError(f"{folder} holds no {DECODING_FILE}: its graph gives answers that are complete")
        file = str(held.path / DECODING_FILE)
        return TagDecoder.from_record(parse_json(held.read(DECODING_FILE, limit=_LARGEST_DECODING), file))


def checked_with(engine: str) -> dict[str, Any]:
    """By what and on what an export was checked."""
    lengths = {name: list(lengths) for name, lengths in CASES.items()}
    return {"with": engine, "lengths": lengths, "steps": STEPS, "streams": STREAMS}


def _described(name: str, checked: _Checked) -> dict[str, Any]:
    """File, inputs, outputs, operators and measured difference of one graph."""
    graph = checked.model.graph
    made: dict[str, Any] = {
        "file": name,
        "inputs": [_value(each) for each in graph.input],
        "outputs": [_value(each) for each in graph.output],
        "operators": sorted({node.op_type for node in graph.node}),
        "difference": checked.gap.answers,
        "difference_before_answer": checked.gap.logits,
    }
    states = [each.name for each in graph.output if each.name.endswith(OUT)]
    if name == STEP_FILE:
        made["states"] = {state.removesuffix(OUT): state for state in states}
    return made


def _value(info: Any) -> dict[str, Any]:
    from recurra.graph.onnx_build import onnx_library

    kind = info.type.tensor_type
    dtype = onnx_library().helper.tensor_dtype_to_np_dtype(kind.elem_type)
    return {
        "name": info.name,
        "dtype": dtype.name,
        "shape": [dim.dim_param or dim.dim_value for dim in kind.shape.dim],
    }
