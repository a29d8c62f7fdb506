"""The page: complete in itself, escaped, and with words for everything that is drawn."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from recurra.errors import DataError, MissingExtraError, SpecError, StorageError
from recurra.report import (
    Cell,
    Highlighted,
    KeyValues,
    Report,
    Section,
    Table,
    Text,
    render,
    write_report,
)
from recurra.report.figures import residuals
from recurra.report.html import _templates, render_item
from report.records import compare_page, fit, fit_page
from report.saboteurs import drawings_without_words, markup_from_data

ATTACK = "</td></script><script>alert('x')</script><img src=x onerror=\"alert(1)\"> ' onmouseover='alert(2)"


class Page(HTMLParser):
    """Every element of a page with its attributes, in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@cache
def figure() -> Any:
    return residuals([1.0, 2.0], [1.5, 1.9])


def small(**parts: Any) -> Report:
    items = parts.pop("items", (Text(body="body"),))
    return Report(
        title=parts.pop("title", "t"),
        sections=[Section(title=parts.pop("section", "s"), items=items, **parts)],
    )


def attacked() -> Report:
    """A report with the attack in every text that a record can bring."""
    items = [
        Text(body=ATTACK, tone="verdict"),
        KeyValues(items={ATTACK: ATTACK}),
        Table(columns=[ATTACK, "n"], rows=[[ATTACK, 1], [Cell(text=ATTACK, sort=ATTACK), 2]], caption=ATTACK),
        Highlighted(pieces=[ATTACK], weights=[1.0], caption=ATTACK, positive=ATTACK, negative=ATTACK),
        type(figure())(title=ATTACK, svg=figure().svg, alt=ATTACK * 5, data={ATTACK: [ATTACK]}),
    ]
    section = Section(title=ATTACK, intro=ATTACK, items=items, collapsed=True)
    return Report(title=ATTACK, subtitle=ATTACK, sections=[section, section], footer=ATTACK)


def check_data_cannot_add_markup() -> None:
    page = Page(render(attacked()))
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert not [
        attributes for _, attributes in page.elements if any(name.startswith("on") for name in attributes)
    ]


def test_texts_of_the_data_never_become_markup() -> None:
    check_data_cannot_add_markup()
    assert "".join(Page(render(attacked())).texts).count("alert('x')") > 10
    with markup_from_data(), pytest.raises(AssertionError):
        check_data_cannot_add_markup()


def test_the_page_loads_nothing_from_outside() -> None:
    page = Page(fit_page())
    links = [
        attributes.get(name) or "" for _, attributes in page.elements for name in ("href", "src", "srcset")
    ]
    assert {link.split(":")[0] if ":" in link else link[:1] for link in links if link} <= {"data", "#"}
    assert not re.search(r"@import|@font-face|url\((?!#|%23)", fit_page())
    assert page.all("link") == [{"rel": "icon", "href": "data:,"}]


def test_the_policy_of_the_page_allows_its_one_script_and_no_network() -> None:
    import base64
    import hashlib

    policy = next(meta["content"] or "" for meta in Page(fit_page()).all("meta") if meta.get("http-equiv"))
    script = re.search(r"<script>(.*?)</script>", fit_page(), re.DOTALL)
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def check_drawings_have_words() -> None:
    drawings = [svg for svg in Page(render(fit())).all("svg") if svg.get("aria-hidden") != "true"]
    assert len(drawings) > 8
    assert all(svg.get("role") == "img" and len(svg.get("aria-label") or "") > 40 for svg in drawings)


def test_every_drawing_has_its_words_for_screen_readers() -> None:
    check_drawings_have_words()
    with drawings_without_words(), pytest.raises(AssertionError):
        check_drawings_have_words()


def test_every_figure_can_be_saved_as_svg_and_its_numbers_as_csv() -> None:
    page = Page(fit_page())
    names = [link["download"] or "" for link in page.all("a") if "download" in link]
    figures = len(page.all("figure"))
    assert sum(name.endswith(".svg") for name in names) == figures
    assert sum(name.endswith(".csv") for name in names) == figures + len(page.all("table"))
    assert all((link["href"] or "").startswith("data:") for link in page.all("a") if "download" in link)


def test_table_headings_have_their_scope_and_tables_their_caption() -> None:
    page = Page(fit_page())
    assert page.all("table")
    assert all(head.get("scope") in ("col", "row") for head in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))


def test_identifiers_are_unique_and_every_link_in_the_page_has_its_target() -> None:
    page = Page(compare_page())
    known = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(known) == len(set(known))
    wanted = {(link["href"] or "")[1:] for link in page.all("a") if (link["href"] or "").startswith("#")}
    assert wanted <= set(known)


def test_every_model_in_a_comparison_takes_less_than_half_a_megabyte() -> None:
    assert len(compare_page().encode()) < 3 * 500_000


def test_a_page_is_valid_utf8_whatever_the_texts_hold() -> None:
    page = render(small(title="\ud800 \x00 漢字 \u202e", items=[Text(body="\udfff")]))
    page.encode("utf-8")
    assert "漢字" in page
    assert "\x00" not in page


def test_the_same_report_gives_the_same_bytes() -> None:
    assert render(fit()) == fit_page()


def test_cells_are_shown_and_sorted_by_their_kind() -> None:
    table = Table(
        columns=["a", "b", "c"],
        rows=[["x", 0.12345, True], [None, None, Cell(text="2 s", sort=2.0, share=0.5)]],
        caption="t",
    )
    source = render(small(items=[table]))
    assert '<td class="num" data-sort="0.12345" dir="auto">0.123</td>' in source
    assert '<td dir="auto">yes</td>' in source.replace(' class="num"', "")
    assert 'data-sort="2.0" style="--share:50.0%"' in source
    assert table.to_csv().splitlines() == ["a,b,c", "x,0.12345,True", ",,2"]


def test_rows_that_do_not_fit_the_columns_are_refused() -> None:
    with pytest.raises(DataError, match="row 1 of table 't' must have 2 cells, got 1"):
        Table(columns=["a", "b"], rows=[[1, 2], [1]], caption="t")


def test_an_unknown_tone_is_refused() -> None:
    with pytest.raises(SpecError, match="tone must be one of plain, note, verdict, missing, got 'loud'"):
        Text(body="x", tone="loud")


def test_weights_and_pieces_must_fit() -> None:
    with pytest.raises(DataError, match="weights must be one per piece, got 1 for 2 pieces"):
        Highlighted(pieces=["a", "b"], weights=[1.0], caption="c")


def test_highlighted_pieces_show_sign_and_strength() -> None:
    item = Highlighted(pieces=["not", " ", "bad"], weights=[2.0, 0.0, -1.0], caption="c")
    source = render_item(item)
    assert '<span class="pos" style="--strength:100%" title="+2" data-weight="+2">not</span>' in source
    assert '<span class="neg" style="--strength:50%" title="-1" data-weight="-1">bad</span>' in source


def test_an_empty_table_says_so() -> None:
    assert "No rows." in render(small(items=[Table(columns=["a"], rows=[], caption="none")]))


def test_a_report_is_written_as_one_file(tmp_path: Path) -> None:
    path = write_report(tmp_path / "deep" / "report.html", small())
    assert path.read_text("utf-8") == render(small())
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    path = write_report(tmp_path / "report.html", small(title="old"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match="No space left on device"):
        write_report(path, small(title="new"))
    assert "old" in path.read_text("utf-8")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_notebooks_get_a_table_and_a_framed_page() -> None:
    table = Table(columns=["a"], rows=[["<b>"]], caption="t")
    assert "&lt;b&gt;" in table._repr_html_()
    frame = small(title='quote " here')._repr_html_()
    assert frame.startswith('<iframe title="quote &#34; here"')
    assert 'sandbox="allow-scripts allow-downloads' in frame
    assert "<h1" not in frame


def test_without_jinja_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    _templates.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"writing an HTML report needs Jinja2.*recurra\[train\]"):
        render(small())
    _templates.cache_clear()


def test_importing_the_room_loads_neither_matplotlib_nor_jinja() -> None:
    import subprocess
    import sys

    heavy = "{'matplotlib', 'jinja2', 'rich', 'torch', 'pandas'}"
    code = f"import sys, recurra.report; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
