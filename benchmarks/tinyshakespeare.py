"""A character language model of tinyshakespeare: nats per character on the last tenth of the text.

    python benchmarks/tinyshakespeare.py ../shared/data/tinyshakespeare/input.txt.gz [--held 0.05] [--out DIR]

Split: the first 90% of the characters train, for a number of epochs that is set before, the last 10% test, read whole
from its beginning. There is no canonical split of this text; nanoGPT's transformer is known for 1.47 on its own last
tenth. Nothing is set aside for validation: the test goes on with the play that the training text ends with. With
`--held` the last share of the training text is, and chooses the epoch. A run that is stopped goes on where it was.
Told beside the plain figure: that with a neural cache, whose options are the best ones of `CACHES` on the text set
aside, or those that this chose in a run of its own (`CHOSEN`).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import recurra as rc
from recurra.data.corpus import Corpus, divided
from recurra.runtime.neural_cache import NeuralCache

NETWORK = rc.Network(
    hidden_size=384, num_layers=2, embedding_size=64, input_dropout=0.1, dropout=0.3, output_dropout=0.3
)

CACHES = tuple(
    NeuralCache(window=window, weight=weight, flatness=flatness)
    for window, weight, flatness in ((2000, 0.2, 0.5), (5000, 0.2, 0.5), (5000, 0.3, 0.5), (5000, 0.3, 1.0))
)
CHOSEN = CACHES[2]
"""What a run with `--held 0.05` chose."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held", type=float, default=0.0, help="share of the training text to validate by")
    parser.add_argument("--out", type=Path, default=Path("tinyshakespeare"))
    chosen = parser.parse_args()
    train, test = divided(Corpus.of(chosen.data), 0.1)
    training = rc.Training(
        epochs=chosen.epochs,
        batch_size=32,
        sequence_length=100,
        learning_rate=0.003,
        schedule="one_cycle",
        seed=chosen.seed,
    )
    model = rc.LanguageModel(NETWORK, training, rc.Characters(), validation=chosen.held)
    folder = chosen.out.with_name(chosen.out.name + ".training")
    begin = time.perf_counter()
    model.fit(train, folder=folder, resume=True, progress="lines")
    scores = model.scores(test)
    model.save(chosen.out, scores={"test": scores})
    seconds = time.perf_counter() - begin
    cache = CHOSEN
    if chosen.held:
        held = divided(train, chosen.held)[1]
        cache = min(CACHES, key=lambda each: nats(model, held, each))
    record = {
        "nats_per_character": scores["nats_per_token"],
        "bits_per_character": scores["bits_per_character"],
        "perplexity": scores["perplexity"],
        "nats_with_cache": nats(model, test, cache),
        "cache": str(cache),
        "seed": chosen.seed,
        "best_epoch": model.fitted_.best_epoch,
        "training_seconds": round(model.fitted_.seconds, 1),
        "seconds": round(seconds, 1),
    }
    print(json.dumps(record))


def nats(model: rc.LanguageModel, corpus: Corpus, cache: NeuralCache) -> float:
    """Nats per character of a corpus that is read whole, with a cache beside the model."""
    found = model.predictor_.log_probabilities(list(corpus.whole()), cache=cache)
    return -float(np.mean(np.asarray(found.values, dtype=np.float64)))


if __name__ == "__main__":
    main()
