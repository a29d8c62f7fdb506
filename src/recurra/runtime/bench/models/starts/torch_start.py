"""A sequence model in plain `torch.nn`, and a program that loads its weights and answers once.

`torch_start.py SHAPE WEIGHTS PRECISION FEED THREADS`. Written as a user of PyTorch would: padded batches with their
lengths; a bidirectional stack reads a packed sequence, without which its backward direction would read padding.
"""

import json
import sys
import warnings
from functools import partial
from typing import Any


def network(torch: Any, shape: dict[str, Any], reading: str = "") -> Any:
    """The module for a description; its inputs have the names that the ONNX graphs give them.

    reading: "packed" sequences, or "padded" ones, of which a backward direction reads the rows turned round; as above
    where it is left out.
    """
    nn = torch.nn
    both = 2 if shape["bidirectional"] else 1
    width, places = shape["hidden"] * both, shape["layers"] * both
    packing = reading == "packed" or (both == 2 and not reading)
    turning = both == 2 and reading == "padded"

    class Network(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tables = nn.ModuleList(nn.Embedding(*size) for size in shape["tables"].values())
            kinds = {"lstm": nn.LSTM, "gru": nn.GRU}
            extra = {"nonlinearity": "relu"} if shape["cell"] == "rnn_relu" else {}
            kind = partial(kinds.get(shape["cell"], nn.RNN), batch_first=True, **extra)
            if turning:
                sizes = [shape["inputs"]] + [width] * (shape["layers"] - 1)
                self.stack = nn.ModuleList(
                    nn.ModuleList(kind(size, shape["hidden"]) for _ in range(2)) for size in sizes
                )
            else:
                self.stack = kind(shape["inputs"], shape["hidden"], shape["layers"], bidirectional=both == 2)
            if shape["pooling"] == "attention":
                self.score, self.query = nn.Linear(width, width), nn.Linear(width, 1, bias=False)
            self.head = nn.Linear(width + shape["static"], shape["outputs"])
            self.project = None
            if shape["tied"]:
                (table,) = self.tables
                if table.embedding_dim != width:
                    self.project = nn.Linear(width, table.embedding_dim)
                self.head = nn.Linear(table.embedding_dim, shape["outputs"])
                self.head.weight = table.weight
            if shape["spelt"]:
                letters, size, units = shape["spelt"]
                self.letters = nn.Embedding(letters, size)
                self.reader = nn.LSTM(size, units, batch_first=True, bidirectional=True)
            if shape["learnt"]:
                self.h0 = nn.Parameter(torch.zeros(places, shape["hidden"]))
                if shape["cell"] == "lstm":
                    self.c0 = nn.Parameter(torch.zeros(places, shape["hidden"]))

        def entered(self, feed: dict[str, Any]) -> Any:
            parts = [feed["features"]] if shape["features"] else []
            parts += [table(feed[name]) for name, table in zip(shape["tables"], self.tables)]  # noqa: B905
            parts += [self.spelt(feed)] if shape["spelt"] else []
            return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

        def spelt(self, feed: dict[str, Any]) -> Any:
            """The two final states of an LSTM over the characters of every word; a word without any gets zeros."""
            counts, letters = feed["word_lengths"], feed["characters"]
            if "lengths" in feed:
                counts = counts * (torch.arange(counts.shape[1]) < feed["lengths"][:, None])
            flat, rows = counts.reshape(-1), letters.reshape(-1, letters.shape[-1])
            real = flat > 0
            final = self.letters.weight.new_zeros(len(flat), 2 * shape["spelt"][2])
            if real.any():
                packed = nn.utils.rnn.pack_padded_sequence(
                    self.letters(rows[real]), flat[real], batch_first=True, enforce_sorted=False
                )
                hidden = self.reader(packed)[1][0]
                final[real] = torch.cat([hidden[0], hidden[1]], dim=-1)
            return final.reshape(*counts.shape, -1)

        def begun(self, rows: int) -> Any:
            if not shape["learnt"]:
                return None
            names = ("h0", "c0") if shape["cell"] == "lstm" else ("h0",)
            states = [getattr(self, name)[:, None].expand(-1, rows, -1).contiguous() for name in names]
            return tuple(states) if len(states) == 2 else states[0]

        def forward(self, feed: dict[str, Any]) -> Any:
            lengths = feed["lengths"]
            y, final = self.read(self.entered(feed), lengths)
            if shape["pooling"] is None:
                return self.answered(y, feed)
            return self.answered(self.pooled(y, final, lengths), feed)

        def read(self, x: Any, lengths: Any) -> Any:
            """What leaves the layers at every step, and after the last one of each row."""
            if turning:
                return self.read_turned(x, lengths)
            if not packing:
                y, _ = self.stack(x, self.begun(len(x)))
                return y, y[torch.arange(len(x)), lengths - 1]
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            y, last = self.stack(packed, self.begun(len(x)))
            y = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0]
            hidden = last[0] if shape["cell"] == "lstm" else last
            return y, torch.cat([*hidden[-both:]], dim=-1)

        def read_turned(self, x: Any, lengths: Any) -> Any:
            """As `read`, each direction by itself: the backward one over rows that are turned round and back."""
            time = torch.arange(x.shape[1])[None, :]
            turned = torch.where(time < lengths[:, None], lengths[:, None] - 1 - time, time)[:, :, None]
            starts = self.begun(len(x))
            for level, (onward, backward) in enumerate(self.stack):
                begin = [self.begun_at(starts, 2 * level + place) for place in range(2)]
                ahead = onward(x, begin[0])[0]
                back = backward(x.gather(1, turned.expand(-1, -1, x.shape[2])), begin[1])[0]
                x = torch.cat([ahead, back.gather(1, turned.expand(-1, -1, back.shape[2]))], dim=-1)
            return x, torch.cat(
                [ahead[torch.arange(len(x)), lengths - 1], x[:, 0, shape["hidden"] :]], dim=-1
            )

        def begun_at(self, starts: Any, place: int) -> Any:
            """The initial state of one layer and direction."""
            if starts is None:
                return None
            cut = slice(place, place + 1)
            return tuple(part[cut] for part in starts) if isinstance(starts, tuple) else starts[cut]

        def pooled(self, y: Any, final: Any, lengths: Any) -> Any:
            real = (torch.arange(y.shape[1]) < lengths[:, None])[:, :, None]
            if shape["pooling"] == "last":
                return final
            if shape["pooling"] == "mean":
                return (y * real).sum(dim=1) / lengths[:, None]
            if shape["pooling"] == "max":
                return y.masked_fill(~real, float("-inf")).amax(dim=1)
            scores = self.query(torch.tanh(self.score(y))).masked_fill(~real, float("-inf"))
            return (torch.softmax(scores, dim=1) * y).sum(dim=1)

        def answered(self, pooled: Any, feed: dict[str, Any]) -> Any:
            joined = torch.cat([pooled, feed["static"]], dim=1) if shape["static"] else pooled
            return self.head(joined if self.project is None else self.project(joined))

        def step(self, feed: dict[str, Any], held: Any) -> Any:
            state, gathered, count = (self.begun(1), None, 0) if held is None else held
            y, state = self.stack(self.entered(feed)[:, None], state)
            y, count = y[:, 0], count + 1
            if shape["pooling"] in ("last", None):
                return self.answered(y, feed), (state, None, count)
            if shape["pooling"] == "mean":
                gathered = y if gathered is None else gathered + y
                return self.answered(gathered / count, feed), (state, gathered, count)
            if shape["pooling"] == "max":
                gathered = y if gathered is None else torch.maximum(gathered, y)
                return self.answered(gathered, feed), (state, gathered, count)
            weight = torch.exp(self.query(torch.tanh(self.score(y))))
            total, above = (0.0, 0.0) if gathered is None else gathered
            gathered = (total + weight, above + weight * y)
            return self.answered(gathered[1] / gathered[0], feed), (state, gathered, count)

    return Network()


def best_paths(torch: Any, scores: Any, lengths: Any, chain: Any) -> Any:
    """(B, T) the best tags by Viterbi, step by step over a padded batch (B, T, L) and its mask, as it is usual."""
    transitions, start, end = chain
    rows, steps = torch.arange(len(scores)), scores.shape[1]
    best, back = start + scores[:, 0], []
    for t in range(1, steps):
        through = best[:, :, None] + transitions
        highest, before = through.max(dim=1)
        best = torch.where((t < lengths)[:, None], highest + scores[:, t], best)
        back.append(before)
    tags = torch.zeros(scores.shape[:2], dtype=torch.int64)
    tag = (best + end).argmax(dim=1)
    for t in range(steps - 1, -1, -1):
        tags[:, t] = torch.where(t < lengths, tag, 0)
        if t:
            tag = torch.where(t < lengths, back[t - 1][rows, tag], tag)
    return tags


def in_int8(torch: Any, made: Any) -> Any:
    """The module with its recurrences and linear layers in torch's dynamic int8."""
    tool: Any = __import__("torch.ao.quantization", fromlist=["quantize_dynamic"])
    kinds = {torch.nn.LSTM, torch.nn.GRU, torch.nn.Linear}
    return tool.quantize_dynamic(made, kinds, dtype=torch.qint8)


def main(facts: str, weights: str, precision: str, feed: str, threads: str) -> None:
    """Answer, then say so and how much memory it took."""
    import numpy as np
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(int(threads))
    with open(facts, encoding="utf-8") as file:
        made = network(torch, json.load(file)).eval()
    if precision == "int8":
        made = in_int8(torch, made)
    # Written a moment ago by the parent; quantised weights are no plain tensors.
    made.load_state_dict(torch.load(weights, weights_only=precision != "int8"))
    with torch.inference_mode():
        made({name: torch.from_numpy(x) for name, x in np.load(feed).items()})
    with open("/proc/self/status", encoding="ascii") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(json.dumps({"rss_kb": peak}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
