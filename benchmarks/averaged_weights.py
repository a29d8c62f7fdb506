"""What averaged weights give: the same steps of a small character model, with the last weights and with their means.

    python benchmarks/averaged_weights.py ../shared/data/tinyshakespeare/input.txt.gz [--characters 200000]

The first characters of the text: 90% train, half of the rest chooses the epoch (and begins the tail), half tests. The
learning rates are constant. One JSON line per run: nats per character on the test part.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import recurra as rc
from recurra.data.corpus import Corpus

NETWORK = rc.Network(hidden_size=128, num_layers=1, embedding_size=32, output_dropout=0.2)
SCALES = {
    "adam": {"learning_rate": 0.004},
    "sgd": {"learning_rate": 4.0, "gradient_clip": 0.25},
}
MEANS = {
    "last weights": {},
    "tail": {"average_weights": "tail", "average_after": 2},
    "exponential": {"average_weights": "exponential", "average_decay": 0.99},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--characters", type=int, default=200_000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    text = "".join(Corpus.of(chosen.data).texts())[: chosen.characters]
    ends = int(0.9 * len(text)), int(0.95 * len(text))
    train, held, test = text[: ends[0]], text[ends[0] : ends[1]], text[ends[1] :]
    for optimizer, scale in SCALES.items():
        for name, mean in MEANS.items():
            training = rc.Training(
                epochs=chosen.epochs, batch_size=16, seed=chosen.seed, optimizer=optimizer, **scale, **mean
            )
            model = rc.LanguageModel(NETWORK, training, rc.Characters()).fit([train], validation_data=[held])
            record = {
                "optimizer": optimizer,
                "weights": name,
                "nats_per_character": round(model.scores([test])["nats_per_token"], 4),
                "best_epoch": model.fitted_.best_epoch,
                "validation": [
                    round(epoch["validation_nats_per_token"], 3) for epoch in model.history_.epochs
                ],
                "seed": chosen.seed,
                "seconds": round(model.fitted_.seconds, 1),
            }
            print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
