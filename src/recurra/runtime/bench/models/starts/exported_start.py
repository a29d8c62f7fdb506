"""Loads an exported program and answers once, in a fresh process: `exported_start.py FILE INPUTS OPERATORS THREADS`.

OPERATORS: the module whose `register_operators()` is called first.
"""

import importlib
import json
import sys


def main(file: str, inputs: str, operators: str, threads: str) -> None:
    """Answer, then say so and how much memory it took."""
    import numpy as np
    import torch

    torch.set_num_threads(int(threads))
    importlib.import_module(operators).register_operators()
    program = torch.export.load(file).module()  # written a moment ago by the parent
    with torch.inference_mode():
        program({name: torch.from_numpy(x) for name, x in np.load(inputs).items()})
    with open("/proc/self/status", encoding="ascii") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(json.dumps({"rss_kb": peak}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
