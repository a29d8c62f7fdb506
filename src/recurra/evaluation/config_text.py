"""A configuration file as text: sections of options that `--config` reads back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.errors import InputError


def config_text(
    sections: Mapping[str, Mapping[str, Any]],
    *,
    comments: Sequence[str] = (),
    reasons: Mapping[str, str] | None = None,
) -> str:
    """TOML of the sections, empty ones left out; None as "none", which `--config` takes for it.

    reasons: comments by "section.name", each above its line.
    """
    lines = [_comment(comment) for comment in comments]
    for section, values in sections.items():
        if values:
            lines += ["", f"[{section}]"]
        for name, value in values.items():
            why = (reasons or {}).get(f"{section}.{name}")
            lines += [_comment(why)] if why else []
            lines.append(f"{_key(name)} = {_value(value)}")
    return "\n".join(lines).lstrip("\n") + "\n"


def _comment(text: str) -> str:
    return f"# {' '.join(text.split())}"


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)


def _value(value: Any) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        # JSON's texts are TOML's basic strings, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    raise InputError(f"a configuration file holds texts, numbers and lists, got {value!r}")
