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
        *_head(
            config,
            network["cell"],
            f"{config['task'].capitalize().replace('_', ' ')} with {_a_kind(network)}",
        ),
        f"{network['num_layers']} layer(s) of {network['hidden_size']} units, {_pooled(config['head']['pooling'])}, "
        f"{total:,} parameters ({total * 4 / 2**20:.2f} MB).",
        "",
        *_USE,
        "## What may be expected",
        "",
        *expected_lines(config),
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
        *_data_lines(config["data"]),
        *_LIMITS,
    ]
    return "\n".join(lines) + "\n"


def expected_lines(config: Mapping[str, Any]) -> list[str]:
    """What was measured and seen, in words: the main score with its interval, and the lengths in training."""
    sizes, seen = config["data"].get("sizes", {}), config["data"].get("training_lengths", {})
    lines = []
    for split in ("test", "validation"):
        scores = config["scores"].get(split, {})
        name = next((name for name in _MAIN if isinstance(scores.get(name), float)), None)
        if name is not None:
            lines.append(_score_line(split, name, scores[name], sizes.get(split)))
            break
    if not lines:
        lines.append("- Nothing was measured on data that training had not seen.")
    if {"sequences", "least", "median", "most"} <= set(seen):
        lines.append(
            f"- Trained on {seen['sequences']:,} sequences of {seen['least']:,} to {seen['most']:,} steps (median "
            f"{seen['median']:,}); shorter and longer ones are answered all the same, how well was not measured."
        )
    for unit, whole in (("tokens", "documents"), ("frames", "sequences")):
        if {unit, whole} <= set(seen):
            lines.append(f"- Trained on {seen[unit]:,} {unit} in {seen[whole]:,} {whole}.")
    return lines


_SHARES = ("accuracy", "subset_accuracy")
_MAIN = (*_SHARES, "r2", "perplexity", "nats_per_frame")
"""The score that a card begins with, by task."""


def _pooled(pooling: str | None) -> str:
    return "an answer per step" if pooling is None else f"pooling `{pooling}`"


def _score_line(split: str, name: str, value: float, rows: Any) -> str:
    chosen = " (which training chose by, so it flatters)" if split == "validation" else ""
    told = f"- {name.replace('_', ' ')} {value:.4f} on the {split} split{chosen}"
    if not isinstance(rows, int) or rows < 1:
        return told
    if name not in _SHARES:
        return f"{told} of {rows:,} sequences"
    # Here, since a model is loaded by way of this file, and answers without any metrics.
    from recurra.metrics.shares import share_interval

    low, high = share_interval(value, rows)
    return f"{told} of {rows:,} sequences (95% interval {low:.3f} to {high:.3f})"


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


def _a_kind(network: Mapping[str, Any]) -> str:
    kind = _kind(network)
    return f"{'an' if kind[0] in 'LR' else 'a'} {kind}"


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
    lines = []
    for name, value in data.items():
        if isinstance(value, Mapping):
            value = ", ".join(
                f"{key} {item}" for key, item in value.items() if item not in (None, [], {}, "")
            )
        if value not in (None, [], {}, ""):
            lines.append(f"- {name.replace('_', ' ')}: {value}")
    return lines


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
            if isinstance(value, (int, float, str)):
                lines.append(f"| {split} | {name} | {_number(value)} |")
    return lines
