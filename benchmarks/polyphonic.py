"""Piano rolls: nats per frame on JSB chorales and Nottingham, beside published LSTM and GRU figures.

    python benchmarks/polyphonic.py ../shared/data/polyphonic_music [--seeds 1] [--set JSB_Chorales ...]

Frames of 88 keys, the split of Boulanger-Lewandowski et al. 2012; the negative log-likelihood of a frame given all
frames before it, summed over the keys, mean over all test frames, the first of each piece included. The published
figures are those of Bai et al. 2018, who leave the first frame out.
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
        {"hidden_size": 200, "num_layers": 1, "output_dropout": 0.5, "weight_dropout": 0.3},
        {"epochs": 60, "batch_size": 4, "sequence_length": 60, "learning_rate": 0.003},
    ),
    "Nottingham": (
        {"hidden_size": 200, "num_layers": 1, "output_dropout": 0.3},
        {"epochs": 40, "batch_size": 8, "sequence_length": 100, "learning_rate": 0.003},
    ),
}


def pieces(matrix: Any) -> list[Any]:
    """The rolls of one split: (T, 88) arrays of 0 and 1."""
    return [np.asarray(roll) for roll in matrix.reshape(-1)]


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
            record = {
                "set": name,
                "cell": chosen.cell,
                "seed": seed,
                "nats_per_frame": made.scores(test)["nats_per_frame"],
                "validation": made.scores(valid)["nats_per_frame"],
                "published": PUBLISHED[name],
                "seconds": round(time.perf_counter() - begin, 1),
                "epochs": made.fitted_.best_epoch,
            }
            print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
