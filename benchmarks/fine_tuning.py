"""What a classifier of film reviews gains from a language model of the same reviews' text.

    python benchmarks/fine_tuning.py ../shared/data/imdb_10k/aclImdb_id_lt_2500.tar.gz [--rows 2500] [--keep DIR]

A language model over words learns from the text of the training reviews alone. Then the same network classifies
the reviews: from the language model's embedding and recurrent layers, and from those of a language model that
has learnt nothing. Both have the same vocabulary, split, dropouts, epochs and seeds; with `--gradual` the tuned
one unfreezes from the top, with rates that fall by layer. Told: test accuracy of every run, and a paired
bootstrap over the test reviews of the difference, averaged over the seeds. With `--unlabelled` the language
model reads the test reviews as well, without their labels.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import recurra as rc
from recurra.metrics.significance import paired_bootstrap

NETWORK = rc.Network(
    hidden_size=256,
    num_layers=1,
    embedding_size=128,
    input_dropout=0.3,
    output_dropout=0.4,
    embedding_dropout=0.1,
    locked_dropout=True,
    weight_dropout=0.3,
)
CLASSIFIER = NETWORK.replace(input_dropout=0.6, output_dropout=0.5, embedding_dropout=0.2, weight_dropout=0.0)
INPUTS = rc.Words(min_count=3, max_size=8000, clean_html=True)


def language_model(texts: list[str], epochs: int, folder: Path) -> rc.LanguageModel:
    """Trained on the texts, or taken from `folder`, where it was before."""
    if not (folder / "config.json").exists():
        # As Merity et al. 2018: without the penalties the states saturate, and hardly learn anything else afterwards.
        training = rc.Training(
            epochs=epochs,
            batch_size=32,
            sequence_length=60,
            learning_rate=0.004,
            schedule="one_cycle",
            activation_penalty=2.0,
            slowness_penalty=1.0,
            weight_decay=1.2e-6,
        )
        made = rc.LanguageModel(NETWORK, training, INPUTS, validation=0.05)
        made.fit(texts, folder=folder.with_name(folder.name + ".training"), resume=True, progress="lines")
        made.save(folder)
    return rc.LanguageModel.load(folder)


def untrained(donor: rc.LanguageModel, seed: int) -> Any:
    """The language model as it was before it learnt anything, with the same vocabulary."""
    predictor = donor.predictor_
    return replace(predictor, parameters=predictor.model.initial(seed))


def right_answers(data: Any, test: Any, seed: int, asked: argparse.Namespace, donor: Any, tuned: bool) -> Any:
    """(S,) whether each test review was classified rightly; tuned: from the language model, not a random start."""
    training = rc.Training(
        epochs=asked.epochs,
        batch_size=32,
        sequence_length=200,
        learning_rate=0.003,
        schedule="one_cycle",
        seed=seed,
    )
    if tuned and asked.gradual:
        training = training.replace(unfreeze="gradual", layer_decay=0.4)
    begun = donor if tuned else untrained(donor, seed)
    made = rc.Classifier(CLASSIFIER, training, pooling="mean", pretrained=begun)
    begin = time.perf_counter()
    made.fit(data.inputs, data.targets)
    right = np.asarray(made.predict(test.inputs)) == np.asarray(test.targets)
    start = "language model" if tuned else "random"
    print(f"seed {seed}, {start}: {right.mean():.4f} in {time.perf_counter() - begin:.0f} s", flush=True)
    return right


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--rows", type=int, default=5000, help="labelled training reviews")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--gradual", action="store_true", help="as ULMFiT: from the top, slower below")
    parser.add_argument("--language-epochs", type=int, default=6)
    parser.add_argument("--unlabelled", action="store_true", help="learn the language from all reviews")
    parser.add_argument("--keep", type=Path, default=Path("fine-tuning"))
    chosen = parser.parse_args()
    begin = time.perf_counter()
    data = rc.read(chosen.data)
    train, test = data.part("train"), data.part("test")
    texts = [*train.inputs, *(test.inputs if chosen.unlabelled else ())]
    donor = language_model(texts, chosen.language_epochs, chosen.keep / "language-model")
    rows = np.random.default_rng(0).permutation(len(train))[: chosen.rows]
    labelled = train.select(np.sort(rows))
    pairs = [
        [right_answers(labelled, test, seed, chosen, donor, tuned) for tuned in (True, False)]
        for seed in range(chosen.seeds)
    ]
    gained, random = (np.mean([pair[place] for pair in pairs], axis=0) for place in (0, 1))
    found = paired_bootstrap(gained, random)
    record = {
        "rows": chosen.rows,
        "language_model": float(gained.mean()),
        "random": float(random.mean()),
        "least_gain": found.interval[0],
        "test": str(found),
        "seed": f"0 to {chosen.seeds - 1}",
        "seconds": round(time.perf_counter() - begin, 1),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
