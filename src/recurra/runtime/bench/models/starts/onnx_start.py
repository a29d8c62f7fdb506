"""Loads a graph into ONNX Runtime and answers once, in a fresh process: `onnx_start.py GRAPH FEED THREADS`."""

import json
import sys


def main(graph: str, feed: str, threads: str) -> None:
    """Answer, then say so and how much memory it took."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = int(threads), 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    session.run(None, dict(np.load(feed)))
    with open("/proc/self/status", encoding="ascii") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(json.dumps({"rss_kb": peak}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
