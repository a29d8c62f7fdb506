"""Loads a bundle and answers once, in a fresh process: `recurra_start.py BUNDLE INPUTS`."""

import json
import sys


def main(bundle: str, inputs: str) -> None:
    """Answer, then say so and how much memory it took."""
    from recurra.runtime import load

    model = load(bundle)
    if inputs.endswith(".json"):
        with open(inputs, encoding="utf-8") as file:
            model.predict([json.load(file)])
    else:
        import numpy as np

        from recurra.ragged import Ragged

        held = dict(np.load(inputs))
        static, offsets, values = held.pop("static", None), held.pop("offsets"), held.pop("values")
        batch = Ragged(values=values, offsets=offsets, columns=held)
        model.answers(model.outputs_of(batch, static))
    with open("/proc/self/status", encoding="ascii") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(json.dumps({"rss_kb": peak, "torch": "torch" in sys.modules}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
