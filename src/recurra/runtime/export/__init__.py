"""Truthful export: graphs that are built from the nodes, and kept only where they answer as the model does."""

from recurra.runtime.export.check import TOLERANCE, Gap, onnx_difference
from recurra.runtime.export.formats import FORMATS, checked_format
from recurra.runtime.export.graphs import batch_graph, step_graph, step_refused
from recurra.runtime.export.torch_programs import batch_program, step_program
from recurra.runtime.export.torch_writing import export_torch
from recurra.runtime.export.writing import Exported, export_onnx, read_decoder

__all__ = [
    "FORMATS",
    "TOLERANCE",
    "Exported",
    "Gap",
    "batch_graph",
    "batch_program",
    "checked_format",
    "export_onnx",
    "export_torch",
    "onnx_difference",
    "read_decoder",
    "step_graph",
    "step_program",
    "step_refused",
]
