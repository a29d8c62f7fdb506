"""What fewer bits cost and gain on reviews: a bidirectional LSTM and a GRU in every precision, beside peers' int8.

    python benchmarks/quantize_imdb.py ../shared/data/imdb_10k/aclImdb_id_lt_2500.tar.gz [--epochs 2] [--keep DIR]

Each network is trained (or taken from --keep, where it was before), stored in float32, bfloat16 and int8, and
answers the test split in batches of 32: Recurra; ONNX Runtime on the exported graph and by its own dynamic int8
(which has no GRU); the same model in `torch.nn` and by torch's dynamic int8. Told: accuracy, share of answers that
are float32's, megabytes on disk with the encoder, and milliseconds per review over `--timed` reviews of the test
split: medians over rounds in which all take turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import recurra as rc
from recurra.ragged import Array
from recurra.runtime.bench.engines.engine import LeftOutError
from recurra.runtime.bench.models import onnx_session, ours, torch_eager
from recurra.runtime.bench.models.contender import Contender
from recurra.runtime.export.probes import Probe
from recurra.runtime.predictor import ClassifierPredictor

BATCH, ROUNDS = 32, 3
NETWORKS = {
    "BiLSTM 2x64": {"cell": "lstm", "hidden_size": 64, "bidirectional": True},
    "GRU 1x128": {"cell": "gru", "hidden_size": 128, "num_layers": 1},
}


def trained(name: str, options: dict[str, Any], data: Any, epochs: int, keep: Path) -> ClassifierPredictor:
    """The stored model, trained where there is none yet."""
    folder = keep / name.replace(" ", "-")
    if not folder.exists():
        training = rc.Training(epochs=epochs, sequence_length=200, learning_rate=0.002)
        made = rc.Classifier(rc.Network(**options), training, rc.Words(min_count=3, max_size=20_000))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            begin = time.perf_counter()
            made.fit(data.part("train"))
        print(f"{name}: trained in {time.perf_counter() - begin:.0f} s", flush=True)
        made.save(folder)
    return rc.load(folder)


def batches(model: ClassifierPredictor, inputs: Any) -> tuple[list[Probe], Array]:
    """The encoded reviews in batches of similar length, as one answers many, and their order."""
    encoded = model.encode(inputs)
    order = np.argsort(encoded.lengths, kind="stable")
    parts = [order[begin : begin + BATCH] for begin in range(0, len(order), BATCH)]
    return [Probe(batch=encoded.select(part)) for part in parts], order


def contenders(model: ClassifierPredictor, place: Path) -> Iterator[Contender]:
    """Everybody who takes part."""
    yield from ours.contenders(model, place, place)
    for engine in (onnx_session, torch_eager):
        try:
            yield from engine.contenders(model, place, place)
        except LeftOutError as error:
            print(f"left out: {error}")


def timed(everybody: list[Contender], probes: list[Probe]) -> dict[str, float]:
    """Seconds over some batches, the median of rounds in turns."""
    ready = {each.name: [each.batch(probe) for probe in probes] for each in everybody}
    found: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(ROUNDS):
        for name, calls in ready.items():
            begin = time.perf_counter()
            for call in calls:
                call()
            found[name].append(time.perf_counter() - begin)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def decided(model: ClassifierPredictor, each: Contender, probes: list[Probe], order: Array) -> Array:
    """The class of every review, in the order of the data."""
    outputs = np.concatenate([each.batch(probe)() for probe in probes])
    found = np.empty(len(order), np.int64)
    found[order] = model.decide(model.probabilities(np.ascontiguousarray(outputs)))
    return found


def measure(name: str, model: ClassifierPredictor, test: Any, reviews: int) -> None:
    """Score, size and speed of everybody, as a table."""
    probes, order = batches(model, test.inputs)
    truth = model.target.encode(test.targets)
    few = probes[:: max(1, len(probes) * BATCH // reviews)]
    count = sum(len(probe.batch) for probe in few)
    with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
        everybody = list(contenders(model, Path(folder)))
        seconds = timed(everybody, few)
        base = decided(model, everybody[0], probes, order)
        total = sum(array.size for array in model.parameters.values())
        mean = np.mean(np.concatenate([probe.batch.lengths for probe in probes]))
        print(f"\n{name}: {total:,} parameters, {len(order):,} reviews of {mean:.0f} tokens on average")
        print(f"{'engine':<24}{'accuracy':>10}{'same':>9}{'MB':>9}{'ms/review':>11}{'against float32':>17}")
        for each in everybody:
            classes = base if each is everybody[0] else decided(model, each, probes, order)
            cost = seconds[each.name] / count * 1e3
            gain = seconds[everybody[0].name] / seconds[each.name]
            print(
                f"{each.name:<24}{np.mean(classes == truth):>10.4f}{np.mean(classes == base):>9.2%}"
                f"{each.file_bytes / 1e6:>9.2f}{cost:>11.4f}{gain:>16.2f}x",
                flush=True,
            )


def main() -> None:
    """Train and measure each network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--timed", type=int, default=512, help="reviews that are timed")
    parser.add_argument("--test", type=int, default=2000, help="reviews that are scored")
    parser.add_argument("--keep", type=Path, help="folder in which trained models stay")
    parser.add_argument("--train-only", action="store_true")
    args = parser.parse_args()
    data = rc.read(args.data)
    test = data.part("test")
    test = test.select(np.random.default_rng(0).permutation(len(test))[: args.test])
    with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
        for name, options in NETWORKS.items():
            model = trained(name, options, data, args.epochs, args.keep or Path(folder))
            if not args.train_only:
                measure(name, model, test, args.timed)


if __name__ == "__main__":
    main()
