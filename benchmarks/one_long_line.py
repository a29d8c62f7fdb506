"""A corpus of one line of 100 MB through the command line: how much memory `fit language-model` takes at its peak.

    python benchmarks/one_long_line.py [--megabytes 100] [--unit characters] [--seconds 30]

The line is made of words drawn by Zipf's law. Training ends after --seconds, so that what is measured is reading,
encoding, windows, validation and the test of such a corpus. Prints the peak of `fit`, and that of the same command on
a corpus of 1 MB, for comparison.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SYLLABLES = ("ba", "ke", "li", "mo", "nu", "ra", "si", "to", "ve", "wa")


def write_line(path: Path, megabytes: float) -> None:
    """One line of so many MB: words of three syllables, the r-th with a chance of about 1 / r."""
    random = np.random.default_rng(0)
    words = [a + b + c for a in SYLLABLES for b in SYLLABLES for c in SYLLABLES]
    share = 1.0 / np.arange(1, len(words) + 1)
    with path.open("w", encoding="utf-8") as file:
        left = int(megabytes * 1e6)
        while left > 0:
            text = " ".join(random.choice(words, 100_000, p=share / share.sum())) + " "
            left -= file.write(text[:left])


def fitted(corpus: Path, folder: Path, unit: str, seconds: float) -> dict[str, float]:
    """Fit in a process of its own; its peak of memory in MB and its seconds."""
    sets = {"training.max_seconds": seconds, "training.epochs": 1, "training.sequence_length": 100}
    command = [sys.executable, "-m", "recurra", "fit", "language-model", str(corpus), "-o", str(folder)]
    command += ["--unit", unit, "--hidden-size", "16", "--num-layers", "1", "--json", "--quiet"]
    command += [part for name, value in sets.items() for part in ("--set", f"{name}={value}")]
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    scores = json.loads(done.stdout)["scores"]
    return {
        "peak_mb": round(peak),
        "seconds": round(time.perf_counter() - begin, 1),
        "test_nats_per_token": round(scores["nats_per_token"], 3),
        "test_tokens": scores["tokens"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=100.0)
    parser.add_argument("--unit", default="characters")
    parser.add_argument("--seconds", type=float, default=30.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recurra-") as place:
        for megabytes in (1.0, chosen.megabytes):  # the small one first: the peak of children never falls
            corpus = Path(place) / "corpus.txt"
            write_line(corpus, megabytes)
            found = fitted(corpus, Path(place) / "m", chosen.unit, chosen.seconds if megabytes > 1 else 3.0)
            print(json.dumps({"megabytes": megabytes, "unit": chosen.unit, **found}), flush=True)


if __name__ == "__main__":
    main()
