"""Piano rolls: nats per frame on JSB chorales and Nottingham, beside published LSTM and GRU figures.

    python benchmarks/polyphonic.py ../shared/data/polyphonic_music [--seeds 1] [--set JSB_Chorales ...]

Frames of 88 keys, the split of Boulanger-Lewandowski et al. 2012; the negative log-likelihood of a frame given all
frames before it, summed over the keys, mean over all test frames: those that have one before them, as Bai et al. 2018
count, whose LSTM and GRU are the published figures, and with the first of each piece. Settings were chosen by the
validation pieces alone.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

import recurra as rc

PUBLISHED = {"JSB_Chorales": 8.43, "Nottingham": 3.29}
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "JSB_Chorales": (
        {
            "hidden_size": 300,
            "num_layers": 1,
            "output_dropout": 0.6,
            "weight_dropout": 0.4,
            "locked_dropout": True,
        },
        {"epochs": 80, "batch_size": 4, "sequence_length": 60, "learning_rate": 0.003},
    ),
    "Nottingham": (
        {"hidden_size": 300, "num_layers": 1, "output_dropout": 0.3, "weight_dropout": 0.2},
        {
            "epochs": 40,
            "batch_size": 8,
            "sequence_length": 100,
            "learning_rate": 0.004,
            "precision": "bfloat16",
        },
    ),
}


def pieces(matrix: Any) -> list[Any]:
    """The rolls of one split: (T, 88) arrays of 0 and 1."""
    return [np.asarray(roll) for roll in matrix.reshape(-1)]


def nats_per_frame(model: rc.FrameModel, rolls: list[Any]) -> tuple[float, float]:
    """Mean over the frames that have one before them, and over all frames."""
    found = model.predictor_.log_probabilities(rolls)
    nats = -np.asarray(found.values, dtype=np.float64)
    later = np.ones(len(nats), dtype=bool)
    later[found.offsets[:-1]] = False
    return float(nats[later].mean()), float(nats.mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", dest="sets", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cell", default="gru")
    chosen = parser.parse_args()
    for name in chosen.sets:
        found = loadmat(chosen.data / f"{name}.mat")
        train, valid, test = (pieces(found[f"{part}data"]) for part in ("train", "valid", "test"))
        network, training = SETTINGS[name]
        for seed in range(chosen.seeds):
            made = rc.FrameModel(
                rc.Network(cell=chosen.cell, **network),
                rc.Training(seed=seed, schedule="one_cycle", **training),
            )
            begin = time.perf_counter()
            made.fit(train, validation_data=valid, progress="lines")
            later, every = nats_per_frame(made, test)
            record = {
                "set": name,
                "cell": chosen.cell,
                "seed": seed,
                "nats_per_frame": later,
                "with_first_frames": every,
                "validation": nats_per_frame(made, valid)[0],
                "published": PUBLISHED[name],
                "seconds": round(time.perf_counter() - begin, 1),
                "epochs": made.fitted_.best_epoch,
            }
            print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
