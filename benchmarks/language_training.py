"""Tokens per second in training language models of large vocabularies, with a full softmax and an adaptive one.

    python benchmarks/language_training.py [--vocabulary 50000] [--hidden-size 256] [--streams 16] [--window 50]

Untrained LSTM models over a made vocabulary, ids by Zipf's law, measured by what `recurra bench MODEL --for training`
does: with the full softmax beside the same model over `nn.LSTM`, whose first losses must be equal; then with an
adaptive softmax at the usual cutoffs.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from recurra import Network, Training, Words
from recurra.data.target_encoders import NextToken
from recurra.evaluation.bench import bench_training, to_json
from recurra.graph.adaptive import usual_cutoffs
from recurra.runtime.language_model import LanguageModelPredictor
from recurra.runtime.predictor import Head, build_model


def model_of(chosen: Any, cutoffs: tuple[int, ...]) -> LanguageModelPredictor:
    """As a bundle of an untrained model would be."""
    encoder: Any = Words(min_count=1).fit([" ".join(f"w{number}" for number in range(chosen.vocabulary))])
    network = Network(
        hidden_size=chosen.hidden_size, num_layers=chosen.layers, embedding_size=chosen.embedding_size
    )
    head = Head(outputs=len(encoder.vocabulary) + 1, pooling=None, boundary=True, cutoffs=cutoffs)
    training = Training(batch_size=chosen.streams, sequence_length=chosen.window)
    return LanguageModelPredictor(
        network=network.resolved(),
        encoder=encoder,
        head=head,
        target=NextToken(),
        parameters=build_model(network, encoder, head).initial(0),
        config={"ends": False, "documents": "whole", "training": training.to_dict()},
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in (("vocabulary", 50_000), ("hidden-size", 256), ("layers", 1), ("embedding-size", 128),
                        ("streams", 16), ("window", 50), ("seconds", 30)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    chosen = parser.parse_args()
    for name, cutoffs in (("full", ()), ("adaptive", usual_cutoffs(chosen.vocabulary))):
        outcome = bench_training(model_of(chosen, cutoffs), seconds=chosen.seconds)
        print(json.dumps({"softmax": name, **to_json(outcome)}))


if __name__ == "__main__":
    main()
