"""Sentences per second of a tagger with a CRF: Recurra beside a BiLSTM-CRF in PyTorch, written the usual way.

    python benchmarks/tagging.py [sentences]

Words and an LSTM over their characters, a bidirectional LSTM of 128 units, a linear chain of 17 tags; made sentences
whose lengths are like those of a treebank (mean 16 words), in batches of 32 of like length, the same for both.
PyTorch pads words and sentences, packs them for its LSTMs, and walks the chain step by step over a mask. Losses and
tags of the same weights must be equal before anything is timed; turns are interleaved, and the median of 5 counts.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurra import Network, Ragged, Tokens, kernels
from recurra.data.step_targets import StepLabels
from recurra.graph.chain import Chain
from recurra.graph.run import Flow, Run, tensors
from recurra.runtime.predictor import Head, build_model
from recurra.runtime.tagger import TaggerPredictor
from recurra.tasks.step_problem import chain_loss

TAGS, BATCH, TURNS, SIZES = 17, 32, 5, {"words": 100, "characters": 32, "units": 48, "hidden": 128}


def sentences(count: int) -> tuple[list[list[str]], list[list[int]]]:
    """Made sentences, sorted by length, and tags."""
    generator = np.random.default_rng(0)
    lengths = np.sort(np.clip(generator.lognormal(2.5, 0.75, count).astype(int), 1, 80))
    words = ["".join(generator.choice(list("abcdefghij"), generator.integers(1, 10))) for _ in range(5000)]
    texts = [generator.choice(words, length).tolist() for length in lengths]
    return texts, [generator.integers(0, TAGS, length).tolist() for length in lengths]


def model_of(texts: list[list[str]]) -> TaggerPredictor:
    """An untrained tagger of the default shape, without dropout and the table of beginnings and endings."""
    encoder = Tokens(min_count=1, affixes=0, word_dropout=0.0).fit(texts)
    network = Network(hidden_size=SIZES["hidden"], num_layers=1, bidirectional=True)
    head = Head(outputs=TAGS, pooling=None, chain=(TAGS,))
    return TaggerPredictor(
        network=network,
        encoder=encoder,
        head=head,
        target=StepLabels(classes=(tuple(f"{tag:02}" for tag in range(TAGS)),)),
        parameters=build_model(network, encoder, head).initial(0),
        config={"schemes": [None]},
    )


class UsualTagger(torch.nn.Module):
    """A BiLSTM-CRF as tutorials and repositories write it: padded, packed, masked."""

    def __init__(self, words: int, characters: int) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(words, SIZES["words"])
        self.characters = torch.nn.Embedding(characters, SIZES["characters"])
        self.reader = torch.nn.LSTM(SIZES["characters"], SIZES["units"], bidirectional=True, batch_first=True)
        inputs = SIZES["words"] + 2 * SIZES["units"]
        self.recur = torch.nn.LSTM(inputs, SIZES["hidden"], bidirectional=True, batch_first=True)
        self.head = torch.nn.Linear(2 * SIZES["hidden"], TAGS)
        self.transitions = torch.nn.Parameter(torch.zeros(TAGS, TAGS))
        self.start = torch.nn.Parameter(torch.zeros(TAGS))
        self.end = torch.nn.Parameter(torch.zeros(TAGS))

    def emissions(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """(S, T, TAGS)."""
        spelt = pack_padded_sequence(
            self.characters(batch["letters"]), batch["sizes"], batch_first=True, enforce_sorted=False
        )
        _, (final, _) = self.reader(spelt)
        ends = torch.cat([final[0], final[1]], dim=1)
        read = ends.new_zeros(*batch["words"].shape, ends.shape[1])
        read[batch["mask"]] = ends
        joined = torch.cat([self.words(batch["words"]), read], dim=2)
        packed = pack_padded_sequence(joined, batch["lengths"], batch_first=True, enforce_sorted=False)
        outputs, _ = pad_packed_sequence(self.recur(packed)[0], batch_first=True)
        scores: torch.Tensor = self.head(outputs)
        return scores

    def loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """(S,) minus the log-probability of the tags."""
        emissions, tags, mask = self.emissions(batch), batch["tags"], batch["mask"]
        rows = torch.arange(len(tags))
        score = self.start[tags[:, 0]] + emissions[rows, 0, tags[:, 0]]
        total = self.start + emissions[:, 0]
        for t in range(1, tags.shape[1]):
            step = self.transitions[tags[:, t - 1], tags[:, t]] + emissions[rows, t, tags[:, t]]
            score = score + step * mask[:, t]
            more = torch.logsumexp(total[:, :, None] + self.transitions, dim=1) + emissions[:, t]
            total = torch.where(mask[:, t, None], more, total)
        last = tags[rows, batch["lengths"] - 1]
        return torch.logsumexp(total + self.end, dim=1) - score - self.end[last]

    @torch.no_grad()
    def decode(self, batch: dict[str, torch.Tensor]) -> list[list[int]]:
        """The best path of every sentence."""
        emissions, mask, lengths = self.emissions(batch), batch["mask"], batch["lengths"].tolist()
        best, pointers = self.start + emissions[:, 0], []
        for t in range(1, emissions.shape[1]):
            value, pointer = (best[:, :, None] + self.transitions).max(dim=1)
            best = torch.where(mask[:, t, None], value + emissions[:, t], best)
            pointers.append(pointer)
        paths = []
        for row, length in enumerate(lengths):
            path = [int((best[row] + self.end).argmax())]
            for pointer in reversed(pointers[: length - 1]):
                path.append(int(pointer[row, path[-1]]))
            paths.append(path[::-1])
        return paths


def usual(model: TaggerPredictor) -> UsualTagger:
    """The same weights in PyTorch."""
    known, ours = model.encoder.vocabularies, model.parameters
    made = UsualTagger(known["words"], known["characters"])
    names = {"words.weight": "spell.words.table", "characters.weight": "spell.characters.table"}
    for name, place in (("transitions", "transitions.0"), ("start", "start.0"), ("end", "end.0")):
        names[name] = f"chain.{place}"
    for name in made.state_dict():
        prefix, _, part = name.partition(".")
        names.setdefault(name, f"spell.reader.{part}" if prefix == "reader" else name)
    made.load_state_dict({name: torch.from_numpy(ours[place].copy()) for name, place in names.items()})
    return made


def padded(batch: Ragged, tags: list[list[int]]) -> dict[str, torch.Tensor]:
    """A batch as the usual way wants it."""
    inner = batch.values
    assert isinstance(inner, Ragged)
    words, lengths = Ragged(values=batch.columns["words"], offsets=batch.offsets).to_padded()
    letters, sizes = inner.to_padded()
    mask = np.arange(words.shape[1])[None, :] < lengths[:, None]
    truth = Ragged.from_lists(tags, np.int64).to_padded()[0]
    parts = {
        "words": words,
        "lengths": lengths,
        "letters": letters,
        "sizes": sizes,
        "mask": mask,
        "tags": truth,
    }
    return {name: torch.from_numpy(part) for name, part in parts.items()}


def our_loss(
    model: TaggerPredictor, parameters: dict[str, torch.Tensor], batch: Ragged, tags: Ragged
) -> torch.Tensor:
    """(S,) mean loss per word, as training has it."""
    flow = Flow.of(batch)
    columns = {name: torch.from_numpy(column) for name, column in flow.columns.items()}
    flow = Flow(values=torch.from_numpy(flow.values), offsets=flow.offsets, columns=columns, inner=flow.inner)
    outputs = model.model.forward(parameters, flow, Run(training=True))
    losses: torch.Tensor = chain_loss(model.model.node(Chain))(parameters, outputs, tags)
    return losses


def main(count: int) -> None:
    """Check, then time."""
    texts, tags = sentences(count)
    model = model_of(texts)
    rival, parameters = usual(model), tensors(model.parameters)
    begins = range(0, count, BATCH)
    batches = [model.encode(texts[i : i + BATCH]) for i in begins]
    truths = [Ragged.from_lists([np.array(row)[:, None] for row in tags[i : i + BATCH]]) for i in begins]
    theirs = [padded(batch, tags[i : i + BATCH]) for batch, i in zip(batches, begins, strict=True)]

    for batch, truth, other in zip(batches, truths, theirs, strict=True):
        expected = rival.loss(other) / other["lengths"]
        torch.testing.assert_close(our_loss(model, parameters, batch, truth), expected, atol=1e-4, rtol=1e-4)
        found = model.codes(model.outputs_of(batch), batch.offsets)[:, 0].tolist()
        assert found == [tag for path in rival.decode(other) for tag in path]
    print(f"{count} sentences, {sum(map(len, texts))} words: losses and tags are equal")

    def train_ours() -> None:
        for batch, truth in zip(batches, truths, strict=True):
            our_loss(model, parameters, batch, truth).mean().backward()

    def train_theirs() -> None:
        for other in theirs:
            (rival.loss(other) / other["lengths"]).mean().backward()

    def tag_ours() -> None:
        for batch in batches:
            model.codes(model.outputs_of(batch), batch.offsets)

    def tag_theirs() -> None:
        for other in theirs:
            rival.decode(other)

    torch.set_num_threads(kernels.get_num_threads())
    for name, one, two in (("training", train_ours, train_theirs), ("tagging", tag_ours, tag_theirs)):
        mine, other = timed(one, two)
        print(
            f"{name:<9} recurra {count / mine:8.0f} sentences/s   torch {count / other:8.0f}   "
            f"{other / mine:.1f} times as many"
        )


def timed(*runs: Callable[[], None]) -> list[float]:
    """Median seconds of each, in turns."""
    taken: list[list[float]] = [[] for _ in runs]
    for turn in range(TURNS + 1):
        for run, times in zip(runs, taken, strict=True):
            begin = time.perf_counter()
            run()
            if turn:  # the first turn warms up
                times.append(time.perf_counter() - begin)
    return [statistics.median(times) for times in taken]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 256)
