"""`recurra fit` under SIGKILL at random moments, each time resumed: the same final weights, bit for bit.

Many more moments, of `recurra.training.fit` itself in real processes, are in `tests/training/test_kill.py`.
"""

from __future__ import annotations

import csv
import hashlib
import random
import signal
import subprocess
import sys
import time

import pytest

from tasks.made import texts

KILLS = 5


@pytest.mark.slow
def test_a_fit_that_is_killed_again_and_again_ends_with_the_same_weights(tmp_path):
    table = tmp_path / "reviews.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(zip(*texts(400), strict=True))
    begin = time.monotonic()
    whole = weights_after(start(table, tmp_path / "whole"), tmp_path / "whole")
    seconds = time.monotonic() - begin
    generator = random.Random(20)
    process = start(table, tmp_path / "killed")
    kills = 0
    while kills < KILLS:
        try:
            # From before the first step to after the last: also while it is being saved.
            process.communicate(timeout=generator.uniform(0.35, 0.7) * seconds)
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)
            kills += 1
            process = start(table, tmp_path / "killed", "--resume")
    assert kills > 0, "the run ended before it was killed; let it train longer"
    assert weights_of(process, tmp_path / "killed") == whole


def start(table, folder, *flags):
    command = [
        sys.executable,
        "-m",
        "recurra",
        "fit",
        "classifier",
        str(table),
        "-o",
        str(folder),
        "-q",
        *flags,
    ]
    small = [
        "--hidden-size",
        "16",
        "--num-layers",
        "1",
        "--embedding-size",
        "16",
        "--dropout",
        "0",
        "--epochs",
        "60",
    ]
    options = ["--set", "network.input_dropout=0.3"]
    return subprocess.Popen([*command, *small, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def weights_after(process, folder):
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err.decode()
    return weights_of(process, folder)


def weights_of(process, folder):
    if process.returncode is None:
        process.communicate(timeout=200)
    assert process.returncode == 0
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
