"""The two programs of `torch.export`: whole sequences on Recurra's operators, and one step in torch's own."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from recurra import kernels
from recurra.errors import SpecError, missing_extra
from recurra.graph.onnx_nodes import WORD_LENGTHS
from recurra.graph.run import STATIC, Flow, Run
from recurra.kernels import engines
from recurra.ragged import Array, Ragged
from recurra.runtime.export.answers import answer_of
from recurra.runtime.export.graphs import CHARACTERS, OUT, input_names, step_refused
from recurra.runtime.export.probes import columns_of
from recurra.runtime.export.torch_nodes import COUNT, Step, run_step, state_sizes
from recurra.runtime.predictor import Predictor

Tensors = Mapping[str, Any]
"""Name -> tensor: what a program is given, and what it gives."""


WORD_OFFSETS = "word_offsets"
"""The input that says where the characters of each word begin."""


def torch_library() -> Any:
    """The package `torch`; raises MissingExtraError."""
    try:
        import torch
    except ImportError:
        raise missing_extra("torch", "train", "export to torch.export") from None
    return torch


def batch_refused(predictor: Predictor) -> str | None:
    """Why a model can have no program over whole sequences; None where it can."""
    if engines.native() is None:
        return "its operators are those of the native kernels, which were not built"
    return None


def step_program_refused(predictor: Predictor) -> str | None:
    """Why a model can have no program of a step in torch's own operators; None where it can."""
    refused = step_refused(predictor)
    return refused and f"{refused}; train with bidirectional=False"


def batch_program(predictor: Predictor) -> Any:
    """The `torch.export.ExportedProgram` over a ragged batch, on the operators `torch.ops.recurra`.

    Takes one dict: `ids` (tokens,) int64, or `features` (tokens, F) float32, or that and one `ids.<column>` per
    categorical column, of all sequences end to end; of spelt words `words` (tokens,), their `characters` end to
    end and `word_offsets` (tokens + 1,); `offsets` (rows + 1,) int64; `static` (rows, K) where the model has some.
    Gives a dict: `probabilities` and `logits`, or `values` (float64) and `standardised`.
    Raises SpecError for a model that has none.
    """
    reason = batch_refused(predictor)
    if reason is not None:
        raise SpecError(f"there is no torch.export program of this model over whole sequences: {reason}")
    torch = torch_library()

    model = dataclasses.replace(predictor, precision="float32").model

    def forward(parameters: Tensors, given: Tensors) -> Tensors:
        values, columns = _inputs(predictor, given)
        flow = Flow(values=values, offsets=given["offsets"], columns=columns, inner=given.get(WORD_OFFSETS))
        outputs = model.forward(parameters, flow, Run())
        return _answers(predictor, outputs, kernels.sigmoid, kernels.softmax)

    tokens, ends = torch.export.Dim("tokens", min=0), torch.export.Dim("ends", min=1)
    names = [name for name in input_names(predictor) if name != WORD_LENGTHS]
    example = {name: _example(predictor, name, 12) for name in names}
    dynamic = {name: {0: tokens} for name in names}
    if CHARACTERS in example:
        example[CHARACTERS] = _example(predictor, CHARACTERS, 24)
        dynamic[CHARACTERS] = {0: torch.export.Dim("letters", min=0)}
        example[WORD_OFFSETS], dynamic[WORD_OFFSETS] = torch.arange(0, 26, 2), {0: tokens + 1}
    example["offsets"], dynamic["offsets"] = torch.tensor([0, 3, 3, 8, 12]), {0: ends}
    if predictor.head.static is not None:
        example["static"], dynamic["static"] = _example(predictor, "static", 4), {0: ends - 1}
    return _exported(predictor, forward, example, dynamic)


def step_program(predictor: Predictor) -> Any:
    """The `torch.export.ExportedProgram` of one step for each row of a batch, in torch's own operators.

    Takes and gives one dict, with the names and meanings of the ONNX step graph: the inputs of a token, `count`
    and the states; the answers, and every state again with `_out` behind its name. Zeros begin a sequence.
    Raises SpecError for a model that has none.
    """
    reason = step_program_refused(predictor)
    if reason is not None:
        raise SpecError(f"there is no step program of this model: {reason}")
    torch = torch_library()
    model = dataclasses.replace(predictor, precision="float32").model
    sizes = state_sizes(model)

    def forward(parameters: Tensors, given: Tensors) -> Tensors:
        values, columns = _inputs(predictor, given)
        count = given[COUNT]
        step = Step(
            values=values,
            columns=columns,
            held={name: given[name] for name in sizes},
            first=(count == 0)[:, None],
            counts=(count + 1)[:, None],
        )
        outputs = run_step(model, parameters, step)
        softmax = torch.nn.functional.softmax
        made = _answers(predictor, outputs, torch.sigmoid, lambda x: softmax(x, dim=-1))
        return {**made, f"{COUNT}{OUT}": count + 1, **{f"{k}{OUT}": v for k, v in step.carried.items()}}

    rows = torch.export.Dim("rows", min=1)
    example = {name: _example(predictor, name, 3) for name in input_names(predictor)}
    if predictor.head.static is not None:
        example["static"] = _example(predictor, "static", 3)
    for name, size in sizes.items():
        example[name] = torch.zeros((3, *size), dtype=torch.float32 if size else torch.int64)
    dynamic = {name: {0: rows} for name in example}
    if CHARACTERS in example:
        example[CHARACTERS] = torch.zeros(3, 5, dtype=torch.int64)
        dynamic[CHARACTERS] = {0: rows, 1: torch.export.Dim("letters", min=0)}
    return _exported(predictor, forward, example, dynamic)


def program_bytes(program: Any) -> bytes:
    """The `.pt2` file of a program."""
    made = io.BytesIO()
    torch_library().export.save(program, made)
    return made.getvalue()


def operators_of(program: Any) -> list[str]:
    """The operators that a program calls, without their overloads."""
    calls = (str(node.target) for node in program.graph.nodes if node.op == "call_function")
    return sorted({".".join(call.split(".")[:2]) for call in calls if not call.startswith("<")})


def _inputs(predictor: Predictor, given: Tensors) -> tuple[Any, dict[str, Any]]:
    """What the first node reads: the values (None where there are ids alone), and the columns by name."""
    values, columns = None, {}
    for name, column in input_names(predictor).items():
        if name not in given:
            continue
        if column:
            columns[column] = given[name]
        else:
            values = given[name]
    if "static" in given:
        columns[STATIC] = given["static"]
    return values, columns


def _answers(
    predictor: Predictor, outputs: Any, sigmoid: Callable[[Any], Any], softmax: Callable[[Any], Any]
) -> dict[str, Any]:
    """From what leaves the model to the answer of the task."""
    answer = answer_of(predictor)
    made = {} if answer.name is None else {answer.name: answer.in_torch(outputs, sigmoid, softmax)}
    return {**made, answer.before: outputs.clone()}


def _example(predictor: Predictor, name: str, count: int) -> Any:
    torch = torch_library()
    if name == "static":
        assert predictor.head.static is not None
        return torch.zeros(count, len(predictor.head.static.names))
    if name == "features":
        return torch.zeros(count, predictor.encoder.width)
    return torch.zeros(count, dtype=torch.int64)


def _exported(
    predictor: Predictor, forward: Callable[[Tensors, Tensors], Tensors], example: Any, dynamic: Any
) -> Any:
    """Trace a function of the parameters and of what is given."""
    import torch
    from torch.fx.experimental import _config

    names = {name: f"p{place}" for place, name in enumerate(predictor.parameters)}

    class Program(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, value in predictor.parameters.items():
                self.register_buffer(names[name], torch.from_numpy(np.array(value, dtype=np.float32)))

        def forward(self, given: Tensors) -> Tensors:
            return forward({name: getattr(self, held) for name, held in names.items()}, given)

    # Otherwise a tracer takes 0 and 1 for sizes of their own, and a batch of one row would be refused.
    with torch.no_grad(), _config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
        return torch.export.export(Program().eval(), (example,), dynamic_shapes=(dynamic,), strict=False)


def ragged_feed(predictor: Predictor, batch: Ragged, static: Array | None = None) -> dict[str, Array]:
    """What the program over whole sequences is given for an encoded batch and its scaled static features."""
    columns = columns_of(batch)
    feed = {name: columns[c] for name, c in input_names(predictor).items()}
    if isinstance(batch.values, Ragged):
        del feed[WORD_LENGTHS]
        feed |= {CHARACTERS: np.asarray(batch.values.values), WORD_OFFSETS: np.asarray(batch.values.offsets)}
    feed["offsets"] = np.asarray(batch.offsets)
    return feed if static is None else {**feed, "static": static}
