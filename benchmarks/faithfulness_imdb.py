"""Which attribution to trust on long reviews: deletion and insertion curves beside random order.

    python benchmarks/faithfulness_imdb.py ../shared/data/imdb_10k/aclImdb_id_lt_2500.tar.gz [--epochs 2] [--keep DIR]

An LSTM that reads in one direction and one that reads in both are trained on the training part (or taken from --keep,
where they were before). Told for `--reviews` reviews of the test part, drawn with a fixed seed: the area under the
deletion and insertion curves of every method, the difference to random order with its interval over the reviews, how
many integrated gradients are complete, and what each method took per review.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import recurra as rc
from recurra.insight.attribution import METHODS, attribute
from recurra.insight.faithfulness import Faithfulness, faithfulness

NETWORKS = {
    "LSTM 1x64": {"cell": "lstm", "hidden_size": 64, "num_layers": 1},
    "BiLSTM 1x64": {"cell": "lstm", "hidden_size": 64, "num_layers": 1, "bidirectional": True},
}


def trained(name: str, options: dict[str, Any], data: Any, epochs: int, keep: Path) -> Any:
    """The stored model, trained where there is none yet."""
    folder = keep / name.replace(" ", "-")
    if not folder.exists():
        training = rc.Training(epochs=epochs, sequence_length=200, learning_rate=0.003)
        made = rc.Classifier(rc.Network(**options), training, rc.Words(min_count=3, max_size=20_000))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made.fit(data.part("train"))
        made.save(folder)
    return rc.load(folder)


def show(found: Faithfulness) -> None:
    """The areas as a table."""
    print(f"{'method':<12}{'deletion':>10}{'insertion':>11}   better than random at deletion / insertion")
    for curve in found.curves:
        print(f"{curve.method:<12}{curve.deletion_area:>10.3f}{curve.insertion_area:>11.3f}", end="")
        if curve.method in found.deletion:
            gains = (found.deletion[curve.method], found.insertion[curve.method])
            spans = [f"{g.effect:+.3f} [{g.interval[0]:+.3f}, {g.interval[1]:+.3f}]" for g in gains]
            print("   " + "   ".join(spans), end="")
        print()
    print(found.sentence, flush=True)


def main() -> None:
    """Train and measure each network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--reviews", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="folder in which trained models stay")
    parser.add_argument("--only", choices=list(NETWORKS), help="one of the two networks")
    args = parser.parse_args()
    data = rc.read(args.data)
    test = data.part("test")
    score = test.select(np.random.default_rng(0).permutation(len(test))[:2000])
    few = score.select(np.arange(args.reviews))
    with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
        for name, options in NETWORKS.items():
            if args.only not in (None, name):
                continue
            model = trained(name, options, data, args.epochs, args.keep or Path(folder))
            print(
                f"\n{name}: accuracy {model.score(score.inputs, score.targets):.4f} on {len(score)} reviews"
            )
            for method in METHODS:
                begin = time.perf_counter()
                made = attribute(model, few.inputs, method=method)
                seconds = (time.perf_counter() - begin) / len(few)
                complete = sum(each.complete is True for each in made)
                evaluations = np.mean([each.evaluations for each in made])
                text = f", complete {complete} of {len(made)}" if made[0].complete is not None else ""
                print(f"{method}: {seconds * 1e3:.0f} ms and {evaluations:.0f} sequences per review{text}")
            show(faithfulness(model, few.inputs))


if __name__ == "__main__":
    main()
