"""A tagger of words as Flair's `SequenceTagger`, and a program that loads its weights and answers once.

`flair_start.py SHAPE WEIGHTS FEED THREADS`. Flair reads words by classes of its users beside its own: here by one
that looks up and spells a whole batch of words at once. Its packing, head, chain and decoding are Flair's.
"""

import json
import logging
import sys
import warnings
from functools import cache
from importlib import import_module
from typing import Any

TAG = "tag"


@cache
def imported() -> Any:
    """Flair, which speaks on standard output and warns of its own parts while it loads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flair = import_module("flair")
        for part in ("data", "embeddings", "models", "training_utils"):
            import_module(f"flair.{part}")
    logging.getLogger("flair").setLevel(logging.WARNING)
    return flair


def tagger(network: Any, *, chain: bool) -> Any:
    """Flair's tagger around a network of the torch program that reads packed sequences, whose parts it takes over.

    chain: with a CRF, whose transitions are all zero and forbidden where Flair forbids them.
    """
    flair, torch = imported(), import_module("torch")
    stack, head = network.stack, network.head
    del network.stack, network.head
    tags = flair.data.Dictionary(add_unk=False)
    for code in range(head.out_features):
        tags.add_item(str(code))
    made = flair.models.SequenceTagger(
        embeddings=_vectors(network, stack.input_size),
        tag_dictionary=tags,
        tag_type=TAG,
        rnn=stack,
        use_crf=chain,
        reproject_embeddings=False,
        dropout=0.0,
        word_dropout=0.0,
        locked_dropout=0.0,
    )
    with torch.no_grad():
        made.linear.weight.zero_()[: head.out_features] = head.weight
        made.linear.bias.zero_()[: head.out_features] = head.bias
        if chain:
            made.crf.transitions[made.crf.transitions > -10000] = 0.0
    return made


def _vectors(network: Any, width: int) -> Any:
    base: Any = imported().embeddings.TokenEmbeddings
    torch = import_module("torch")

    class Vectors(base):  # type: ignore[misc]
        """What the network reads of each word."""

        def __init__(self) -> None:
            super().__init__()
            self.name, self.static_embeddings, self.network = "vectors", False, network

        @property
        def embedding_length(self) -> int:
            return width

        def _add_embeddings_internal(self, sentences: Any) -> None:
            names = sentences[0].columns
            joined = {name: torch.cat([each.columns[name] for each in sentences]) for name in names}
            tokens = (token for each in sentences for token in each)
            for token, vector in zip(tokens, network.entered(joined)):  # noqa: B905
                token.set_embedding(self.name, vector)

    return Vectors()


def set_chain(made: Any, chain: Any) -> None:
    """Give Flair's CRF, which goes from one tag more to one tag more, our transitions, start and end."""
    transitions, start, end = chain
    count, crf, dictionary = len(start), made.crf.transitions, made.label_dictionary
    begin, stop = (dictionary.get_idx_for_item(name) for name in ("<START>", "<STOP>"))
    with import_module("torch").no_grad():
        crf[:count, :count] = transitions.T
        crf[:count, begin], crf[stop, :count] = start, end


def sentences(feed: dict[str, Any], tags: Any = None) -> list[Any]:
    """A padded batch as Flair's sentences, each with the numbers of its words; tags (S, T): their labels."""
    made, data = [], imported().data
    for row, length in enumerate(feed["lengths"].tolist()):
        sentence = data.Sentence(["word"] * length)
        sentence.columns = {name: x[row, :length] for name, x in feed.items() if name != "lengths"}
        if tags is not None:
            for token, code in zip(sentence, tags[row].tolist()):  # noqa: B905
                token.add_label(TAG, str(code))
        made.append(sentence)
    return made


def scored(made: Any, batch: list[Any]) -> tuple[list[int], Any]:
    """The places of the sentences, the longest first, and what the tagger makes of them in this order.

    With a chain that is scores for Flair's decoder, else (N, tags). As `SequenceTagger.predict` does it.
    """
    order = sorted(range(len(batch)), key=lambda place: -len(batch[place]))
    ordered = [batch[place] for place in order]
    with import_module("torch").no_grad():
        found = made.forward(*made._prepare_tensors(ordered))
    forget(ordered)
    return order, found


def forget(batch: list[Any]) -> None:
    """Take the vectors off the words, as Flair's loops do after each batch: they stand in the way of new ones."""
    imported().training_utils.store_embeddings(batch, "none")


def main(facts: str, weights: str, feed: str, threads: str) -> None:
    """Answer, then say so and how much memory it took."""
    import numpy as np
    import torch

    program = import_module("torch_start")
    torch.set_num_threads(int(threads))
    with open(facts, encoding="utf-8") as file:
        shape = json.load(file)
    made = tagger(program.network(torch, shape, "packed"), chain=shape["chain"]).eval()
    made.load_state_dict(torch.load(weights, weights_only=True))
    given = {name: torch.from_numpy(x) for name, x in np.load(feed).items()}
    batch = sentences(given)
    order, found = scored(made, batch)
    if shape["chain"]:
        made.viterbi_decoder.decode(found, False, [batch[place] for place in order])
    with open("/proc/self/status", encoding="ascii") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(json.dumps({"rss_kb": peak}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
