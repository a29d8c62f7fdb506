"""A process that has torch loaded and forks a child for every training it is asked for.

Reads one JSON object per line: {"folder", "threads", "slow"}; writes the child's process number, and after its
end the exit code (negative: the signal). A child leaves its weights in `<folder>/weights.npz`. A fork saves two
seconds of loading torch per training.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from recurra import kernels
from recurra.errors import Interrupted
from recurra.spec import Training
from recurra.training import fit
from training.toy import Toy

SEQUENCES = 18
TRAINING = Training(epochs=3, batch_size=4, learning_rate=0.02, schedule="cosine", patience=50)


class Slow(Toy):
    """A step of it takes a minute."""

    def loss(self, *args: Any, **more: Any) -> Any:
        Path(os.environ["STARTED"]).touch()
        time.sleep(60)
        return super().loss(*args, **more)


def train(order: dict[str, Any]) -> int:
    """Train as ordered; return the exit code."""
    kernels.set_num_threads(order.get("threads", 1))
    folder = Path(order["folder"])
    os.environ["STARTED"] = str(folder / "started")
    problem = Slow() if order.get("slow") else Toy(count=SEQUENCES)
    try:
        fitted = fit(problem, TRAINING, folder=folder, resume=True, checkpoint_steps=1)
    except Interrupted as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 99
    np.savez(
        folder / "weights.npz",
        **fitted.last_parameters,
        **{f"best {k}": v for k, v in fitted.parameters.items()},
    )
    return 0


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(train(order))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
