"""The two classic tests of long memory: the adding problem and copy memory, beside published figures.

    python benchmarks/long_memory.py [adding copy] [--steps 600] [--cell gru] [--hidden-size 64] [--epochs 4]

Adding (Hochreiter & Schmidhuber 1997; sizes as Bai et al. 2018): two numbers per step, a uniform one and a mark that
is 1 at two of the steps; the answer is the sum of the two marked numbers. Always answering 1 has a mean squared error
of 0.1767. Copy memory (T blanks): ten symbols of eight kinds, T - 1 blanks, a mark, and the symbols are to be said
again in the last ten steps; a model without memory has a cross entropy of 10 ln 8 / (T + 20) per step. Data are made
from a seed; told are the scores of data that training never saw. The published figures are those of Bai et al. 2018.

Units start with memories of all lengths up to T (`Network(chrono_steps=T)`, Tallec & Ollivier 2018). Without
(`--chrono-steps 0`) the adding problem is learnt too, but only in the third of its four epochs instead of the first.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from typing import Any

import numpy as np

import recurra as rc

SETTINGS: dict[str, dict[str, int]] = {
    "adding": {"steps": 600, "rows": 30_000, "epochs": 4},
    "copy": {"steps": 1000, "rows": 2_000, "epochs": 8},
}


def adding(count: int, steps: int, seed: int) -> tuple[list[Any], Any]:
    """(T, 2) sequences and the sums of their two marked numbers, one in each half."""
    generator = np.random.default_rng(seed)
    numbers = generator.random((count, steps))
    marks = np.zeros((count, steps))
    first = generator.integers(0, steps // 2, count)
    second = generator.integers(steps // 2, steps, count)
    rows = np.arange(count)
    marks[rows, first] = marks[rows, second] = 1.0
    return list(np.stack([numbers, marks], axis=2)), numbers[rows, first] + numbers[rows, second]


def copying(count: int, blanks: int, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """Sequences of blanks + 20 symbols, and what is to be said at every step."""
    generator = np.random.default_rng(seed)
    inputs, targets = [], []
    for _ in range(count):
        symbols = [str(s) for s in generator.integers(1, 9, 10)]
        inputs.append([*symbols, *["0"] * (blanks - 1), *["9"] * 11])
        targets.append([*["0"] * (blanks + 10), *symbols])
    return inputs, targets


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("problems", nargs="*", default=["adding", "copy"])
    parser.add_argument("--steps", type=int, help="T; 600 for adding, 1000 for copy memory")
    parser.add_argument("--cell", default="gru")
    parser.add_argument("--hidden-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, help="4 for adding, 8 for copy memory")
    parser.add_argument("--rows", type=int, help="30,000 for adding, 2,000 for copy memory")
    parser.add_argument("--learning-rate", type=float, default=0.005)
    parser.add_argument("--chrono-steps", type=int, help="as of Network; T if left out, 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    for problem in chosen.problems:
        asked = {name: getattr(chosen, name) or value for name, value in SETTINGS[problem].items()}
        steps, rows = asked["steps"], asked["rows"]
        training = rc.Training(
            epochs=asked["epochs"],
            batch_size=32,
            sequence_length=None,
            learning_rate=chosen.learning_rate,
            gradient_clip=0.5,
            seed=chosen.seed,
        )
        chrono = steps if chosen.chrono_steps is None else chosen.chrono_steps or None
        options: dict[str, Any] = {
            "cell": chosen.cell,
            "hidden_size": chosen.hidden_size,
            "num_layers": 1,
            "chrono_steps": chrono,
        }
        begin = time.perf_counter()
        if problem == "adding":
            inputs, targets = adding(rows, steps, chosen.seed + 1)
            model = rc.Regressor(
                rc.Network(**options), training, rc.Signal(scaling="none"), pooling="last", validation=0.1
            )
            model.fit(inputs, targets, progress="lines")
            scores = {"mse": model.scores(*adding(1000, steps, chosen.seed + 2))["mse"], "no_memory": 0.1767}
            published = {"gru": 5.3e-5, "lstm": 0.164}
        else:
            inputs, targets = copying(rows, steps, chosen.seed + 1)
            model = rc.Tagger(rc.Network(**options), training, tags=rc.Tags(head="softmax"), validation=0.1)
            model.fit(inputs, targets, progress="lines")
            loss = min(row["validation_loss"] for row in model.history_.epochs)
            scores = {"cross_entropy": loss, "no_memory": 10 * math.log(8) / (steps + 20)}
            published = {"gru": 0.0197, "lstm": 0.0204}
        record = {
            "problem": problem,
            **asked,
            **options,
            **scores,
            "published": published.get(chosen.cell),
            "seed": chosen.seed,
            "seconds": round(time.perf_counter() - begin, 1),
        }
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
