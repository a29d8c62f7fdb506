"""Show that promised coverage is kept: what `recurra fit --conformal 0.9` does, on real sets, measured on test rows.

`python benchmarks/conformal.py [NAME ...] [--coverage 0.9] [--data FOLDER]`. Per set: test rows, accuracy, measured
coverage with its 95% interval, mean size of the sets, what the probabilities alone would have covered (classes added
up to the same mass), and how many rows are answered at which error under `max_error=0.1`. Exit code 1 where the
coverage of a set is off the promise by more than two points. IMDB's test reviews are of other films than those in
training, so that rows set aside from training are not like them: there the promise may break, which is shown, and
holds again with calibration rows of the same kind (`imdb_10k+`).
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import recurra as rc
from recurra.cli.building import divide
from recurra.cli.promising import set_aside
from recurra.metrics import MetricWarning

HERE = Path(__file__).resolve().parents[1]
MAX_ERROR = 0.1
WORDS = {"embedding_size": 100, "input_dropout": 0.3}


@dataclass(frozen=True, kw_only=True)
class Set:
    """One data set: where it is, how it is read, and what is trained.

    shifted: whether its test rows are of another kind than those in training. from_test: whether to calibrate on half
    of the test rows instead of rows set aside from validation.
    """

    name: str
    place: str
    inputs: Any
    epochs: int
    reading: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    sequence_length: int = 100
    shifted: bool = False
    from_test: bool = False

    def classifier(self) -> rc.Classifier:
        """The model before training."""
        network = rc.Network(
            hidden_size=64, num_layers=1, bidirectional=True, output_dropout=0.3, **self.network
        )
        training = rc.Training(
            epochs=self.epochs, learning_rate=0.003, patience=3, sequence_length=self.sequence_length
        )
        return rc.Classifier(network, training, self.inputs)


SETS = (
    Set(name="banking77", place="banking77", inputs=rc.Words(), epochs=20, network=WORDS),
    Set(
        name="names",
        place="names/names",
        inputs=rc.Characters(),
        epochs=8,
        network={"embedding_size": 32},
    ),
    Set(
        name="mr_polarity",
        place="mr_polarity",
        inputs=rc.Words(),
        epochs=5,
        network=WORDS,
        reading={"encoding": "latin-1"},
    ),
    Set(
        name="imdb_10k",
        place="imdb_10k",
        inputs=rc.Words(clean_html=True),
        epochs=4,
        network=WORDS,
        sequence_length=200,
        shifted=True,
    ),
    Set(
        name="imdb_10k+",
        place="imdb_10k",
        inputs=rc.Words(clean_html=True),
        epochs=4,
        network=WORDS,
        sequence_length=200,
        from_test=True,
    ),
)


def main() -> int:
    """Fit and measure the chosen sets; 1 where a promise is off by more than two points."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="sets; all if none is named")
    parser.add_argument("--coverage", type=float, default=0.9)
    parser.add_argument("--data", type=Path, default=HERE.parent / "shared" / "data")
    options = parser.parse_args()
    chosen = [one for one in SETS if not options.names or one.name in options.names]
    print(
        f"{'set':<13}{'rows':>6}{'accuracy':>10}{'coverage':>10}{'95% interval':>16}{'mean size':>11}"
        f"{'unpromised':>12}{'answered':>10}{'error':>8}",
        flush=True,
    )
    kept = [show(one, options.data, options.coverage) for one in chosen]
    return 0 if all(kept) else 1


def show(one: Set, data: Path, coverage: float) -> bool:
    """Fit one set, print its line, and say whether the promise was kept."""
    place = data / one.place
    if not place.exists():
        print(f"{one.name:<13} left out: {place} is not there", flush=True)
        return True
    parts, calibration = set_aside(divide(rc.read(place, **one.reading), {}, None).parts, {})
    test = parts["test"]
    if one.from_test:
        order = np.random.default_rng(0).permutation(len(test))
        calibration, test = test.select(order[::2]), test.select(order[1::2])
    model = one.classifier().fit(parts["train"], validation_data=(parts["validation"], None))
    with warnings.catch_warnings():
        # Where no confidence keeps the error rate, nothing is answered, and the line says so.
        warnings.simplefilter("ignore", MetricWarning)
        model.conformal(calibration, coverage=coverage, max_error=MAX_ERROR)
    kept = line(one.name, len(test), model.scores(test), unpromised(model, test, coverage), coverage)
    return kept or one.shifted


def unpromised(model: rc.Classifier, test: rc.Dataset, coverage: float) -> float:
    """Coverage of the most probable classes that add up to the mass, without any calibration."""
    table, truth = model.predict_proba(test), model.target_.encode(test.targets)
    order = np.argsort(-table, axis=1)
    sums = np.cumsum(np.take_along_axis(table, order, axis=1), axis=1)
    needed = (sums < coverage).sum(axis=1) + 1
    return float(((order == truth[:, None]).argmax(axis=1) < needed).mean())


def line(name: str, rows: int, scores: Mapping[str, float], alone: float, coverage: float) -> bool:
    """Print the line of a set; True where the measured coverage is within two points."""
    measured = scores["set_coverage"]
    spread = 1.96 * math.sqrt(measured * (1 - measured) / rows)
    error = 1 - scores["answered_accuracy"] if "answered_accuracy" in scores else math.nan
    print(
        f"{name:<13}{rows:>6}{scores['accuracy']:>10.3f}{measured:>10.3f}"
        f"{f'{measured - spread:.3f}-{measured + spread:.3f}':>16}{scores['set_size']:>11.2f}"
        f"{alone:>12.3f}{scores['answered']:>10.3f}{error:>8.3f}",
        flush=True,
    )
    return abs(measured - coverage) <= 0.02


if __name__ == "__main__":
    sys.exit(main())
