"""The README of an exported folder: what the files read and give, and what is left to be done outside of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

README = "README.md"


def readme(record: Mapping[str, Any]) -> bytes:
    """The page for a record (`export.json`)."""
    return ("\n".join(_lines(record)) + "\n").encode()


def _lines(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"# A {record['task'].replace('_', ' ')}, exported by Recurra {record['recurra']} to {record['format']}"
    yield ""
    yield "`export.json` holds names, types, shapes, the meaning of the answers and what was checked."
    for name, what in (("batch", "whole sequences"), ("step", "one step, states in and out")):
        part = record[name]
        yield ""
        if "refused" in part:
            yield f"There is no {name} graph: {part['refused']}."
            continue
        yield f"`{part['file']}` ({what}) reads {_names(part['inputs'])} and gives {_names(part['outputs'])}."
    yield ""
    yield (
        "It answered as the model does: off by "
        f"{record['difference']:.1e} at most ({record['tolerance']:g} is allowed)."
    )
    yield from _outside(record)


def _names(parts: Any) -> str:
    return ", ".join(f"`{part if isinstance(part, str) else part['name']}`" for part in parts)


def _outside(record: Mapping[str, Any]) -> Iterator[str]:
    yield "\n## Outside of the graph\n"
    yield "- The encoder: the graph reads ids, or scaled features. Its settings are in `export.json`."
    if record["reads_first"] is not None:
        yield f"- What stands before every sequence and is read first: {record['reads_first']}."
    if "decoding" not in record:
        return
    decoding = record["decoding"]
    yield (
        f"- **The decoding of tags.** The graph gives `{decoding['scores']}`, a score for each tag of each step. "
        "Tags depend on their neighbours: the answer is the best path (Viterbi) by the scores in "
        f"`{decoding['file']}`: for each column of tags `start`, `transitions` (from a tag to the next) and `end`; "
        "null marks what may never be. Where `learnt` is false, take the log-softmax of the scores first."
    )
    yield "\n```python\nfrom recurra.runtime.export import read_decoder\n"
    yield "tags = read_decoder(folder).tags(scores, offsets)  # scores of all real steps, where sequences begin\n```"
