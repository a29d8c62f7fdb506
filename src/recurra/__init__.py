"""Recurra: recurrent networks made practical.

Train one on your own sequences in minutes on a plain CPU, learn honestly whether it beats the simple alternatives,
and run it anywhere. Every public name is here; each is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "BPE": "recurra.data.text",
    "Bytes": "recurra.data.bytes",
    "Characters": "recurra.data.text",
    "Classifier": "recurra.tasks.classifier",
    "Comparison": "recurra.evaluation.compare",
    "Dataset": "recurra.data.dataset",
    "Ensemble": "recurra.runtime.ensemble",
    "Events": "recurra.data.events",
    "FrameModel": "recurra.tasks.frame_model",
    "LanguageModel": "recurra.tasks.language_model",
    "Network": "recurra.spec",
    "Ragged": "recurra.ragged",
    "RecurraError": "recurra.errors",
    "Regressor": "recurra.tasks.regressor",
    "Signal": "recurra.data.signal",
    "Tagger": "recurra.tasks.tagger",
    "Tags": "recurra.tasks.tags",
    "Tokens": "recurra.data.tokens",
    "Training": "recurra.spec",
    "Words": "recurra.data.text",
    "compare": "recurra.evaluation.compare",
    "demo_reviews": "recurra.data.demo",
    "errors": "recurra.errors",
    "explain": "recurra.insight.explain",
    "from_torch": "recurra.nn",
    "inspect": "recurra.evaluation.advice",
    "load": "recurra.runtime.store",
    "nn": "recurra.nn",
    "read": "recurra.data.reading",
}
_RENAMED = {"load": "load_predictor"}
_MODULES = ("errors", "nn")

__all__ = [*sorted(_HOMES), "__version__"]

if TYPE_CHECKING:
    from recurra import errors, nn
    from recurra.data.bytes import Bytes
    from recurra.data.dataset import Dataset
    from recurra.data.demo import demo_reviews
    from recurra.data.events import Events
    from recurra.data.reading import read
    from recurra.data.signal import Signal
    from recurra.data.text import BPE, Characters, Words
    from recurra.data.tokens import Tokens
    from recurra.errors import RecurraError
    from recurra.evaluation.advice import inspect
    from recurra.evaluation.compare import Comparison, compare
    from recurra.insight.explain import explain
    from recurra.nn import from_torch
    from recurra.ragged import Ragged
    from recurra.runtime.ensemble import Ensemble
    from recurra.runtime.store import load_predictor as load
    from recurra.spec import Network, Training
    from recurra.tasks.classifier import Classifier
    from recurra.tasks.frame_model import FrameModel
    from recurra.tasks.language_model import LanguageModel
    from recurra.tasks.regressor import Regressor
    from recurra.tasks.tagger import Tagger
    from recurra.tasks.tags import Tags


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'recurra' has no attribute {name!r}")
    module = import_module(_HOMES[name])
    value = module if name in _MODULES else getattr(module, _RENAMED.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
