"""From matplotlib's SVG to a small, self-contained one, and to one that follows the theme of a page.

Matplotlib writes a style sheet (which would leak into the page it stands in), metadata, identifiers that
repeat from drawing to drawing and six decimals. `clean` keeps the drawing alone. It writes quotation marks in
text as `&quot;`: the pattern `="` can then occur in attributes only, and `themed` may replace there without a
parser.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from recurra.report.theme import LIGHT
from recurra.report.wording import plain

_FONTS = "system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif"
_ROUNDED = {"d", "points", "transform", "x", "y", "width", "height"}
_DECIMALS = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_NO_TURN = re.compile(r"rotate\(-?0(?:\.0*)? ")
_STYLE = re.compile(r'(?<=style=")[^"]*')
_REFERENCE = re.compile(r'( id="| href="#|="url\(#)(?=r\d)')
_VARIABLES = {value: f"var(--{name},{value})" for name, value in LIGHT.items()}
_COLOUR = re.compile("|".join(_VARIABLES))
_QUOTES = {'"': "&quot;"}


def clean(source: str) -> str:
    """Return the drawing of matplotlib's `source` as a standalone SVG file with nothing it does not need."""
    root = ElementTree.fromstring(plain(source))
    _, _, width, height = root.get("viewBox", "0 0 1 1").split()
    names = _new_names(root)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"'
        f' font-family="{_FONTS}" stroke-linejoin="round">'
    ]
    for child in root:
        _write(child, names, out)
    out.append("</svg>")
    return "".join(out)


def _new_names(root: ElementTree.Element) -> dict[str, str]:
    """Return short names for the identifiers that something refers to; all others are dropped."""
    used: dict[str, str] = {}
    for node in root.iter():
        for key, value in node.attrib.items():
            target = _target(key, value)
            if target and target not in used:
                used[target] = f"r{len(used)}"
    return used


def _target(key: str, value: str) -> str:
    """Return the identifier that an attribute refers to; nothing for others, embedded pictures among them."""
    if key.endswith("href") and value.startswith("#"):
        return value[1:]
    return value[5:-1] if value.startswith("url(#") else ""


def _write(node: ElementTree.Element, names: dict[str, str], out: list[str]) -> None:
    tag = node.tag.rpartition("}")[2]
    if tag in ("metadata", "style"):
        return
    attributes = _attributes(node, names)
    if tag == "g":
        _hoist_style(node, attributes)
        if not len(node):
            return
        if not attributes:
            for child in node:
                _write(child, names, out)
            return
    out.append(f"<{tag}" + "".join(f' {key}="{escape(value, _QUOTES)}"' for key, value in attributes.items()))
    text = (node.text or "") if tag == "text" else ""
    if not len(node) and not text:
        out.append("/>")
        return
    out.append(">" + escape(text, _QUOTES))
    for child in node:
        _write(child, names, out)
    out.append(f"</{tag}>")


def _hoist_style(group: ElementTree.Element, attributes: dict[str, str]) -> None:
    """Move a style that all marks of a group share to the group: a scatter plot shrinks to a third."""
    styles = {child.get("style") for child in group}
    marks = all(child.tag.endswith("}use") for child in group)
    if marks and len(group) > 1 and len(styles) == 1 and "style" not in attributes:
        attributes["style"] = _short_style(styles.pop() or "")
        for child in group:
            child.attrib.pop("style", None)


def _attributes(node: ElementTree.Element, names: dict[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for key, value in node.attrib.items():
        key = key.rpartition("}")[2]
        if key == "id":
            if value in names:
                kept["id"] = names[value]
        elif key == "href":
            kept["href"] = "#" + names[value[1:]] if value.startswith("#") else "".join(value.split())
        elif value.startswith("url(#"):
            kept[key] = f"url(#{names[value[5:-1]]})"
        elif key == "style":
            kept["style"] = _short_style(value)
        elif key in _ROUNDED:
            if not _NO_TURN.match(value):
                kept[key] = _short_numbers(value)
        else:
            kept[key] = value
    return kept


def _short_style(style: str) -> str:
    parts = (part.strip() for part in style.split(";"))
    return ";".join(
        part.replace(": ", ":", 1) for part in parts if part and not part.startswith("font-family")
    )


def _short_numbers(value: str) -> str:
    rounded = _DECIMALS.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value)
    return " ".join(rounded.split())


def themed(svg: str, prefix: str) -> str:
    """Return a clean drawing with the page's colour variables and identifiers that begin with `prefix`."""

    def variables(style: re.Match[str]) -> str:
        return _COLOUR.sub(lambda colour: _VARIABLES[colour[0]], style[0])

    return _REFERENCE.sub(lambda found: f"{found[1]}{prefix}", _STYLE.sub(variables, svg))
