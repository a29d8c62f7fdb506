"""A character language model of tinyshakespeare: nats per character on the last tenth of the text.

    python benchmarks/tinyshakespeare.py ../shared/data/tinyshakespeare/input.txt.gz [--epochs 14] [--out DIR]

Split: the first 90% of the characters train (the last 5% of these choose the epoch), the last 10% test, read whole
from its beginning. There is no canonical split of this text; nanoGPT's transformer is known for 1.47 on its own last
tenth. A run that is stopped goes on where it was. Told beside the plain figure: that with a neural cache, whose
options are the best ones of `CACHES` on the validation text.
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

VALIDATION = 0.05
NETWORK = rc.Network(
    hidden_size=384, num_layers=2, embedding_size=64, input_dropout=0.1, dropout=0.3, output_dropout=0.3
)

CACHES = tuple(
    NeuralCache(window=window, weight=weight, flatness=flatness)
    for window, weight, flatness in ((2000, 0.2, 0.5), (5000, 0.2, 0.5), (5000, 0.3, 0.5), (5000, 0.3, 1.0))
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
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
    model = rc.LanguageModel(NETWORK, training, rc.Characters(), validation=VALIDATION)
    folder = chosen.out.with_name(chosen.out.name + ".training")
    begin = time.perf_counter()
    model.fit(train, folder=folder, resume=True, progress="lines")
    scores = model.scores(test)
    model.save(chosen.out, scores={"test": scores})
    seconds = time.perf_counter() - begin
    held = divided(train, VALIDATION)[1]
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
