from __future__ import annotations

import re
from functools import cache
from typing import Any
from xml.etree import ElementTree

import pytest

from recurra.report.figure import Figure, chart, label
from recurra.report.svg import themed
from recurra.report.theme import LIGHT
from report.saboteurs import fixed_colours, readers_style, shared_identifiers

HOSTILE = 'url(#r0) style="#1b1f24" <script>alert(1)</script> $x^2$ & \x00'


@cache
def drawing(text: str = "name") -> Figure:
    def paint(axes: Any) -> None:
        axes.plot([0, 1, 2], [0.5, 0.123456789, 2], "o-", color=LIGHT["s1"])
        axes.set_title(text)

    return Figure(title="t", svg=chart(paint), alt="a")


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def identifiers(svg: str) -> list[str]:
    return re.findall(r' id="([^"]*)"', svg)


def test_a_drawing_is_a_standalone_file_without_style_sheet_metadata_or_decimals() -> None:
    svg = drawing().svg
    root = ElementTree.fromstring(svg)
    assert {node.tag.rpartition("}")[2] for node in root.iter()} <= {
        "svg",
        "g",
        "path",
        "use",
        "text",
        "defs",
        "clipPath",
        "rect",
    }
    assert not re.search(r"\d\.\d{3,}", svg.replace("stroke-width", ""))
    assert len(svg) < 12_000


def test_a_hostile_label_stays_text() -> None:
    inline = drawing(HOSTILE).inline("f1-")
    assert HOSTILE.replace("\x00", "\ufffd") in texts(inline)
    assert "<script" not in inline


def test_every_reference_has_its_target() -> None:
    inline = drawing().inline("f1-")
    wanted = re.findall(r'(?:href="#|url\(#)([^")]+)', inline)
    assert wanted
    assert set(wanted) == set(identifiers(inline))


def check_identifiers_differ() -> None:
    one, other = identifiers(drawing().inline("f1-")), identifiers(drawing().inline("f2-"))
    assert one
    assert not set(one) & set(other)


def test_identifiers_of_two_drawings_on_a_page_differ() -> None:
    check_identifiers_differ()
    with shared_identifiers(), pytest.raises(AssertionError):
        check_identifiers_differ()


def check_colours_follow_the_theme() -> None:
    inline = drawing().inline("f1-")
    assert "var(--s1," in inline
    assert not re.search(r'style="[^"]*(?<!,)#[0-9a-f]{6}', inline)


def test_every_colour_of_an_inline_drawing_follows_the_readers_theme() -> None:
    check_colours_follow_the_theme()
    with fixed_colours(), pytest.raises(AssertionError):
        check_colours_follow_the_theme()


def test_the_standalone_file_keeps_plain_colours() -> None:
    assert "var(" not in drawing().svg
    assert "#2563b0" in drawing().svg


def test_theming_leaves_texts_alone() -> None:
    assert 'style="#1b1f24"' in texts(themed(drawing(HOSTILE).svg, "f1-"))[-1]


def check_a_users_style_does_not_reach_the_report() -> None:
    import matplotlib

    usual = drawing.__wrapped__().svg
    with matplotlib.rc_context({"axes.facecolor": "#ff00ff", "axes.titlesize": 33.0, "font.weight": "bold"}):
        assert drawing.__wrapped__().svg == usual


def test_the_same_data_give_the_same_bytes_whatever_style_the_user_has_set() -> None:
    check_a_users_style_does_not_reach_the_report()
    with readers_style(), pytest.raises(AssertionError):
        check_a_users_style_does_not_reach_the_report()


@pytest.mark.parametrize("text", ["漢字かな", "العربية", "emoji 🎉", "$5 and $6", "a\nb", "", "\ud800"])
def test_any_script_can_be_drawn_without_a_warning(text: str) -> None:
    ElementTree.fromstring(drawing(label(text)).svg)


def test_nothing_of_pyplot_is_loaded() -> None:
    import subprocess
    import sys

    code = "import sys; from recurra.report.figures import roc; roc({'a': ([0, 1], [0, 1], 0.5)}); "
    code += "assert 'matplotlib.pyplot' not in sys.modules; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
