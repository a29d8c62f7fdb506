"""Where the time of one epoch of `fit` on reviews goes.

    python benchmarks/fit_imdb.py ../shared/data/imdb_10k/aclImdb_id_lt_2500.tar.gz

`fit` runs for one epoch, twice, then once more on the watch: from the first batch to the last step for the seconds of
the epoch; reading, tokenising and scoring stand in the table. `recurra bench MODEL DATA --for training` sets training
steps beside the usual loops in torch.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stopwatch import Stopwatch

import recurra as rc
from recurra import kernels
from recurra.runtime.bench.peak import Peaks
from recurra.tasks import problem as tasks_problem
from recurra.training import fitting
from recurra.training import loop as training_loop
from recurra.training.callbacks import Callback


class Marks(Callback):
    """Steps, and the time from the beginning to the last of them."""

    def __init__(self) -> None:
        self.begin, self.last, self.steps = 0.0, 0.0, 0

    def on_begin(self, event: Any) -> None:
        self.begin = time.perf_counter()

    def on_step(self, event: Any) -> bool:
        self.last = time.perf_counter()
        self.steps += 1
        return False


class Reviews(rc.Classifier):
    """A classifier that keeps the problem it learns, to count what is in it."""

    def _problem(self, *args: Any) -> Any:
        self.problem_ = super()._problem(*args)
        return self.problem_


def fitted(args: Any, data: Any) -> tuple[Reviews, Marks, float]:
    """The classifier after one epoch, its marks, and the seconds of the whole `fit`."""
    network = rc.Network(
        cell=args.cell, hidden_size=args.hidden_size, bidirectional=True, dropout=args.dropout
    )
    training = rc.Training(epochs=1, batch_size=args.batch_size, sequence_length=args.sequence_length)
    made, marks = Reviews(network, training, rc.Words(min_count=2)), Marks()
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.fit(data, callbacks=[marks])
    return made, marks, time.perf_counter() - begin


# ---- where the time goes -----------------------------------------------------------------------------------------

NATIVE = {
    "recurrence: forward": ("recur_forward",),
    "recurrence: backward": ("recur_backward",),
    "recurrence: packing of weights": ("Packed",),
    "embedding": ("gather_rows",),
    "embedding: gradient": ("scatter_rows",),
    "head": ("dense", "dense_dx", "dense_dw", "column_sums"),
    "pooling": ("pool", "pool_grad"),
    "dropout": ("dropout",),
    "joining of directions": ("concat_features", "take_columns", "binary", "scale"),
    "loss": ("cross_entropy", "cross_entropy_grad", "weighted_mean", "soft"),
    "optimizer: Adam": ("adam",),
    "norm of the gradient": ("sums_of_squares",),
}


def places() -> dict[str, list[tuple[Any, str]]]:
    """The functions to be watched: native operators first, then what stands around them."""
    native = import_module("recurra._native")
    found = {
        name: [(native, each) for each in parts if hasattr(native, each)] for name, parts in NATIVE.items()
    }
    return found | {
        "batches: order": [(training_loop, "steps_of_epoch")],
        "batches: gathering": [(tasks_problem.Examples, "select")],
        "rest of forward (Python, torch)": [(tasks_problem.SupervisedProblem, "loss")],
        "rest of backward (torch's autograd)": [(torch.Tensor, "backward")],
        "copies of weights": [(training_loop, "snapshot")],
        "scoring of the validation split": [(tasks_problem.SupervisedProblem, "evaluate")],
        "rest of the loop": [(fitting.Loop, "run")],
        "tokenising": [(rc.Words, "fit"), (Reviews, "encode_materials")],
        "rest of fit": [(Reviews, "fit")],
    }


SCORED = "scoring of the validation split"


def breakdown(args: Any, data: Any) -> tuple[list[tuple[str, float, int]], float]:
    """(name, seconds, calls) of one more `fit`, and its seconds."""
    watch, spots = Stopwatch(closed={SCORED}), places()
    begin = time.perf_counter()
    with watch.watching(spots):
        fitted(args, data)
    seconds = time.perf_counter() - begin
    rows = [(name, watch.seconds[name], watch.calls[name]) for name in spots if watch.calls[name]]
    return sorted(rows, key=lambda row: -row[1]), seconds


# ---- the whole ---------------------------------------------------------------------------------------------------


def options() -> Any:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="IMDB reviews as rc.read reads them")
    parser.add_argument("--cell", default="lstm", choices=["lstm"])
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--sequence-length", type=int, default=400)
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--sequences", type=int, help="only so many of the training split")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def training_split(args: Any) -> Any:
    """The training split, or an even part of it."""
    data = rc.read(str(args.data))
    data = data.part("train") if data.split is not None else data
    if args.sequences is None or args.sequences >= len(data):
        return data
    return data.select(np.linspace(0, len(data) - 1, args.sequences).round().astype(np.int64))


def measure(args: Any) -> dict[str, Any]:
    """Everything, as one record."""
    data, peaks = training_split(args), Peaks([kernels.get_num_threads()])
    load = os.getloadavg()[0]
    peaks.measure()
    made, first, whole = fitted(args, data)
    _, second, _ = fitted(args, data)
    peaks.measure()
    ours = sorted((first.last - first.begin, second.last - second.begin))
    rows, watched = breakdown(args, data)
    return {
        "sequences": len(made.problem_.lengths),
        "tokens": int(made.problem_.lengths.sum()),
        "steps": first.steps,
        "epoch_seconds": ours,
        "fit_seconds": whole,
        "breakdown": [{"part": name, "seconds": s, "calls": calls} for name, s, calls in rows],
        "watched_seconds": watched,
        "engine": kernels.engine(),
        "peak_gflops": peaks.highest,
        "load": [load, os.getloadavg()[0]],
    }


def show(found: dict[str, Any]) -> None:
    """The record in words."""
    low, high = found["epoch_seconds"]
    print(f"{found['sequences']} reviews, {found['tokens']} tokens, {found['steps']} steps; load average "
          f"{found['load'][0]:.1f} before, {found['load'][1]:.1f} after")  # fmt: skip
    print(f"fit, one epoch of training: {low:.2f} and {high:.2f} s; the whole of fit, with tokenising and scoring: "
          f"{found['fit_seconds']:.2f} s")  # fmt: skip
    print(f"\nwhere one fit of {found['watched_seconds']:.2f} s goes")
    for row in found["breakdown"]:
        share = row["seconds"] / found["watched_seconds"]
        print(f"  {row['part']:<38} {row['seconds']:8.3f} s {share:6.1%} {row['calls']:7d} calls")


if __name__ == "__main__":
    asked = options()
    record = measure(asked)
    print(json.dumps(record)) if asked.json else show(record)
