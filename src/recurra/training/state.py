"""Everything that a training run is at one moment: what a checkpoint holds, and what makes resuming exact."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from recurra.errors import CorruptBundleError
from recurra.ragged import Array
from recurra.training.averaging import Average
from recurra.training.gradients import Parameters
from recurra.training.history import History
from recurra.training.monitor import Monitor
from recurra.training.optimizers import Optimizer
from recurra.training.problem import Carried, FloatArray

Snapshot = dict[str, FloatArray]


def snapshot(parameters: Parameters) -> Snapshot:
    """Return copies of the parameters as NumPy arrays: later steps must not change what was kept."""
    return {name: np.array(tensor.detach().cpu().numpy(), copy=True) for name, tensor in parameters.items()}


def all_finite(values: Mapping[str, FloatArray]) -> bool:
    """Tell whether no parameter holds NaN or Inf."""
    return all(bool(np.isfinite(value).all()) for value in values.values())


@dataclass(kw_only=True)
class Tally:
    """Sums over the epoch so far."""

    loss: float = 0.0
    weight: float = 0.0
    norm: float = 0.0
    norm_max: float = 0.0
    steps: int = 0
    sequences: int = 0
    skipped: int = 0
    rate: float = 0.0

    def record(self) -> dict[str, Any]:
        """Return the means and counts of the epoch."""
        return {
            "train_loss": self.loss / self.weight if self.weight > 0 else math.nan,
            "gradient_norm": self.norm / self.steps if self.steps else math.nan,
            "gradient_norm_max": self.norm_max,
            "learning_rate": self.rate,
            "skipped": self.skipped,
            "sequences": self.sequences,
        }


@dataclass(kw_only=True)
class State:
    """The position and the memory of a run, apart from parameters and optimizer slots.

    epoch, step, window: what comes next, from 0; `carried` holds the states for that window, per batch of
        the step.
    total: steps done, skipped ones among them. base_rate: the highest learning rate. good: the last
        weights known to give finite losses; best: those of the best epoch. average: of the weights, where one
        was asked for. seconds: spent in training, all sittings together.
    """

    monitor: Monitor
    base_rate: float
    good: Snapshot
    epoch: int = 0
    step: int = 0
    window: int = 0
    carried: list[Carried] = field(default_factory=list)
    total: int = 0
    bad_steps: int = 0
    bad_in_row: int = 0
    tally: Tally = field(default_factory=Tally)
    best: Snapshot | None = None
    average: Average | None = None
    seconds: float = 0.0
    history: History = field(default_factory=History)

    def advance(self, windows: int, *, give_up: bool = False) -> None:
        """Go on to the next window, or to the next step after the last window (or where this step failed)."""
        self.window += 1
        if give_up or self.window >= windows:
            self.step, self.window, self.carried = self.step + 1, 0, []

    def next_epoch(self) -> None:
        """Go on to the next epoch."""
        self.epoch, self.step, self.window, self.carried, self.tally = self.epoch + 1, 0, 0, [], Tally()


AVERAGED = ("after", "floor", "count", "scores")
PLAIN = ("base_rate", "epoch", "step", "window", "total", "bad_steps", "bad_in_row", "seconds")


def pack(
    state: State, parameters: Parameters, optimizer: Optimizer
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the whole run as named arrays (views: to be stored at once) and one plain record."""
    arrays = {f"parameter/{name}": _view(tensor) for name, tensor in parameters.items()}
    for name, slots in optimizer.slots.items():
        arrays |= {f"slot/{key}/{name}": _view(tensor) for key, tensor in slots.items()}
    for kind, kept in (("best", state.best), ("good", state.good)):
        arrays |= {f"{kind}/{name}": value for name, value in (kept or {}).items()}
    if state.average is not None:
        arrays |= {f"average/{name}": _view(tensor) for name, tensor in state.average.means.items()}
    arrays |= {f"history/{name}": value for name, value in state.history.arrays().items()}
    record: dict[str, Any] = {name: getattr(state, name) for name in PLAIN}
    record |= {
        "updates": optimizer.steps,
        "monitor": asdict(state.monitor),
        "tally": asdict(state.tally),
        "average": state.average and {name: getattr(state.average, name) for name in AVERAGED},
        "epochs": state.history.epochs,
        "layers": list(state.history.layers),
        "probes": state.history.probes,
        "carried": _packed_tree(state.carried, arrays),
    }
    return arrays, record


def _view(tensor: torch.Tensor) -> Array:
    return tensor.detach().cpu().numpy()


def unpack(
    arrays: Mapping[str, Array], record: Mapping[str, Any], parameters: Parameters, optimizer: Optimizer
) -> State:
    """Put parameters and slots back, return the rest; raises CorruptBundleError where they do not fit."""
    try:
        return _unpacked(arrays, record, parameters, optimizer)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CorruptBundleError(f"the checkpoint does not hold a training run: {error!r}") from error


def _unpacked(
    arrays: Mapping[str, Array], record: Mapping[str, Any], parameters: Parameters, optimizer: Optimizer
) -> State:
    restore(parameters, _group(arrays, "parameter/"))
    device = next(iter(parameters.values())).device
    slots: dict[str, dict[str, torch.Tensor]] = {}
    for path, value in _group(arrays, "slot/").items():
        key, _, name = path.partition("/")
        slots.setdefault(name, {})[key] = torch.from_numpy(np.array(value)).to(device)
    optimizer.load(slots, int(record["updates"]))
    return State(
        monitor=Monitor(**record["monitor"]),
        tally=Tally(**record["tally"]),
        good=_group(arrays, "good/"),
        best=_group(arrays, "best/") or None,
        average=_average(record.get("average"), arrays, parameters),
        history=History.restored(
            record["epochs"], record["layers"], _group(arrays, "history/"), record.get("probes", ())
        ),
        carried=_unpacked_tree(record["carried"], arrays, device),
        **{name: record[name] for name in PLAIN},
    )


def _average(
    record: Mapping[str, Any] | None, arrays: Mapping[str, Array], parameters: Parameters
) -> Average | None:
    if record is None:
        return None
    average = Average(**{name: record[name] for name in AVERAGED})
    if average.count:
        average.means = {name: torch.empty_like(value).detach() for name, value in parameters.items()}
        restore(average.means, _group(arrays, "average/"))
    return average


def _group(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name[len(prefix) :]: np.array(value) for name, value in arrays.items() if name.startswith(prefix)}


@torch.no_grad()
def restore(parameters: Parameters, values: Mapping[str, Array]) -> None:
    """Write `values` into the parameters; raises CorruptBundleError where names or shapes differ."""
    for name, parameter in parameters.items():
        if name not in values or values[name].shape != tuple(parameter.shape):
            raise CorruptBundleError(
                f"the checkpoint holds no fitting parameter {name!r}; was the network changed?"
            )
        parameter.copy_(torch.from_numpy(np.array(values[name])))


def _packed_tree(tree: Carried, arrays: dict[str, Array]) -> Any:
    """Move the tensors of a carried state into `arrays`; return its shape as plain JSON."""
    if tree is None:
        return None
    if isinstance(tree, torch.Tensor):
        name = f"carried/{sum(key.startswith('carried/') for key in arrays)}"
        arrays[name] = _view(tree)
        return {"array": name}
    if isinstance(tree, Mapping):
        return {"items": {key: _packed_tree(item, arrays) for key, item in tree.items()}}
    if isinstance(tree, (list, tuple)):
        kind = "list" if isinstance(tree, list) else "tuple"
        return {kind: [_packed_tree(item, arrays) for item in tree]}
    if isinstance(tree, (bool, int, float, str)):
        return {"value": tree}
    raise TypeError(
        f"a carried state must be made of tensors, tuples, lists and dictionaries, got {type(tree)}"
    )


def _unpacked_tree(tree: Any, arrays: Mapping[str, Array], device: torch.device) -> Carried:
    if tree is None:
        return None
    ((kind, content),) = tree.items()
    if kind == "array":
        return torch.from_numpy(np.array(arrays[content])).to(device)
    if kind == "items":
        return {key: _unpacked_tree(item, arrays, device) for key, item in content.items()}
    if kind == "value":
        return content
    items = [_unpacked_tree(item, arrays, device) for item in content]
    return items if kind == "list" else tuple(items)
