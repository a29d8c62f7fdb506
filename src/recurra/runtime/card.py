"""The model card: what a stored model is, how it was trained and what may be expected of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recurra.graph.model import Model


def model_card(config: Mapping[str, Any], model: Model) -> str:
    """Markdown made from the measurements in `config`; nothing in it is fixed praise."""
    network, data = config["network"], config["data"]
    direction = "bidirectional " if network["bidirectional"] else ""
    total = sum(parameter.size for parameter in model.parameters().values())
    lines = [
        "---",
        "library_name: recurra",
        f"tags: [recurra, {network['cell']}, {config['task']}]",
        "---",
        f"# {config['task'].capitalize()} with a {direction}{network['cell'].upper()}",
        "",
        f"{network['num_layers']} layer(s) of {network['hidden_size']} units, pooling `{config['head']['pooling']}`, "
        f"{total:,} parameters ({total * 4 / 2**20:.2f} MB).",
        "",
        "```python",
        "import recurra as rc",
        'model = rc.load("path/to/this/folder")   # no torch needed',
        "model.predict(sequences)",
        "```",
        "",
        "## Scores",
        "",
        *_scores(config["scores"]),
        "",
        "## Training",
        "",
        *[f"- {name}: {value}" for name, value in config["training"].items() if value is not None],
        "",
        "## Data and limits",
        "",
        *[f"- {name}: {value}" for name, value in data.items() if value not in (None, [], {}, "")],
        "- Inputs unlike the training data get answers all the same; the probabilities are only as good as there.",
    ]
    return "\n".join(lines) + "\n"


def with_section(card: str, title: str, lines: Sequence[str]) -> str:
    """The card with a section `## title`: in the place of the one that it has, else at its end."""
    kept, skipping, placed = [], False, False
    section = [f"## {title}", "", *lines, ""]
    for line in card.splitlines():
        if line.startswith(("# ", "## ")):
            skipping = line.strip() == f"## {title}"
            if skipping and not placed:
                kept += section
                placed = True
        if not skipping:
            kept.append(line)
    if not placed:
        kept += ["", *section]
    return "\n".join(kept).rstrip("\n") + "\n"


def _scores(scores: Mapping[str, Any]) -> list[str]:
    if not scores:
        return ["None were measured."]
    lines = ["| split | score | value |", "|---|---|---|"]
    for split, values in scores.items():
        named = values if isinstance(values, Mapping) else {"": values}
        for name, value in named.items():
            shown = f"{value:.4f}" if isinstance(value, float) else str(value)
            lines.append(f"| {split} | {name} | {shown} |")
    return lines
