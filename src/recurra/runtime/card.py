"""The model card: what a stored model is, how it was trained and what may be expected of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recurra.graph.model import Model


def model_card(config: Mapping[str, Any], model: Model) -> str:
    """Markdown made from the measurements in `config`; nothing in it is fixed praise."""
    network = config["network"]
    total = sum(parameter.size for parameter in model.parameters().values())
    lines = [
        *_head(config, network["cell"], f"{config['task'].capitalize()} with a {_kind(network)}"),
        f"{network['num_layers']} layer(s) of {network['hidden_size']} units, pooling `{config['head']['pooling']}`, "
        f"{total:,} parameters ({total * 4 / 2**20:.2f} MB).",
        "",
        *_USE,
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
        *_data_lines(config["data"]),
        *_LIMITS,
    ]
    return "\n".join(lines) + "\n"


def ensemble_card(config: Mapping[str, Any]) -> str:
    """As `model_card`, for several models that answer as one."""
    members = config["members"]
    answer = "probabilities" if config["task"] == "classifier" else "numbers"
    lines = [
        *_head(config, "ensemble", f"{config['task'].capitalize()} of {len(members)} models"),
        f"The mean of the {answer} of:",
        "",
        "| member | network | pooling | seed | scores of its own |",
        "|---|---|---|---|---|",
        *[_member_row(place, member) for place, member in enumerate(members, 1)],
        "",
        *_USE,
        "## Scores",
        "",
        *_scores(config["scores"]),
        "",
        "## Data and limits",
        "",
        *_data_lines(config["data"]),
        *_LIMITS,
    ]
    return "\n".join(lines) + "\n"


_USE = (
    "```python",
    "import recurra as rc",
    'model = rc.load("path/to/this/folder")   # no torch needed',
    "model.predict(sequences)",
    "```",
    "",
)
_LIMITS = (
    "- Inputs unlike the training data get answers all the same; the probabilities are only as good as there.",
)


def _head(config: Mapping[str, Any], tag: str, title: str) -> list[str]:
    tags = f"tags: [recurra, {tag}, {config['task']}]"
    return ["---", "library_name: recurra", tags, "---", f"# {title}", ""]


def _kind(network: Mapping[str, Any]) -> str:
    direction = "bidirectional " if network["bidirectional"] else ""
    return f"{direction}{network['cell'].upper()}"


def _member_row(place: int, member: Mapping[str, Any]) -> str:
    network = member["network"]
    size = f"{network['num_layers']} x {network['hidden_size']} {_kind(network)}"
    own = [
        f"{split} {name} {_number(value)}".strip()
        for split, values in member["scores"].items()
        for name, value in (values if isinstance(values, Mapping) else {"": values}).items()
    ]
    seed = member["training"].get("seed", "")
    return f"| {place} | {size} | {member['head']['pooling']} | {seed} | {', '.join(own[:3])} |"


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _data_lines(data: Mapping[str, Any]) -> list[str]:
    return [f"- {name}: {value}" for name, value in data.items() if value not in (None, [], {}, "")]


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
            lines.append(f"| {split} | {name} | {_number(value)} |")
    return lines
