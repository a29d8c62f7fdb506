"""Names of 18 languages: a character model begun by the language beside one that does not know it.

    python benchmarks/conditioned_names.py ../shared/data/names/names [--epochs 40]

Random tenth of the names tests (the same for both), a tenth of the rest chooses the epoch. Prints nats per character,
ends of names included, the figure under a wrong language, and some names that the model writes.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import recurra as rc

NETWORK = rc.Network(
    hidden_size=128, num_layers=1, embedding_size=32, output_dropout=0.3, initial_state="learnt"
)
SHOWN = ("Italian", "Japanese", "Russian", "Scottish")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rows = [
        (name, path.stem)
        for path in sorted(chosen.data.glob("*.txt"))
        for name in path.read_text(encoding="utf-8").split("\n")
        if name
    ]
    random.Random(chosen.seed).shuffle(rows)
    cut = len(rows) // 10
    names, languages = zip(*rows[cut:], strict=True)
    test, spoken = zip(*rows[:cut], strict=True)
    training = rc.Training(
        epochs=chosen.epochs,
        batch_size=64,
        sequence_length=50,
        learning_rate=0.003,
        patience=6,
        seed=chosen.seed,
    )
    plain = rc.LanguageModel(NETWORK, training, rc.Characters()).fit(names)
    told = rc.LanguageModel(NETWORK, training, rc.Characters()).fit(names, languages)
    wrong = [SHOWN[(SHOWN.index(language) + 1) % 4] if language in SHOWN else SHOWN[0] for language in spoken]
    record = {
        "unconditional": round(plain.scores(test)["nats_per_token"], 4),
        "conditional": round(told.scores(test, spoken)["nats_per_token"], 4),
        "under a wrong language": round(told.scores(test, wrong)["nats_per_token"], 4),
        "test": len(test),
        "seconds": [round(model.fitted_.seconds, 1) for model in (plain, told)],
        "written": {
            language: [
                told.generate(condition=language, temperature=0.7, seed=seed, length=20) for seed in range(4)
            ]
            for language in SHOWN
        },
    }
    print(json.dumps(record, ensure_ascii=False))


if __name__ == "__main__":
    main()
