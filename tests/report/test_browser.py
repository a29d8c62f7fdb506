"""The pages in a real Chromium: nothing complains, everything that can be clicked works, everyone can read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from recurra.report import Highlighted, Report, Section, Table, fit_report, html, render
from report.browser import ENTER, TAB, Browser, chromium
from report.records import compare_page, fit_page, many_class_record
from report.saboteurs import markup_from_data
from report.test_html import attacked

HELPERS = (Path(__file__).parent / "readable.js").read_text("utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(session: Browser) -> Iterator[Browser]:
    session.prefer("light")
    session.resize(1280, 900)
    yield session
    assert session.console() == []


def stored(folder: Path, name: str, page: str) -> Path:
    path = folder / f"{name}.html"
    path.write_text(page, "utf-8")
    return path


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[str, Path]:
    whole = many_class_record()["models"][0]
    many = {"models": [{key: whole[key] for key in ("labels", "confusion")}]}
    made = {"fit": fit_page(), "compare": compare_page(), "many": render(fit_report(many))}
    return {name: stored(folder, name, page) for name, page in made.items()}


NAMES = pytest.mark.parametrize("name", ["fit", "compare", "many"])


@NAMES
def test_a_page_loads_nothing_and_nothing_complains(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    browser.open(pages[name])
    assert browser.run("return document.readyState") == "complete"
    assert browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)") == []
    assert browser.console() == []


@NAMES
@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1920])
def test_no_page_is_wider_than_its_window(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    browser.resize(width, 900)
    browser.open(pages[name])
    browser.run("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")
    assert browser.run("return document.documentElement.scrollWidth") <= width


@NAMES
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(
    browser: Browser, pages: dict[str, Path], name: str, scheme: str
) -> None:
    browser.prefer(scheme)
    browser.open(pages[name])
    browser.run("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")
    checked, faint = browser.run(HELPERS + "return faintTexts();")
    assert checked > 50
    assert faint == []


@NAMES
def test_a_page_is_well_built_for_assistive_technology(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    browser.open(pages[name])
    assert browser.run(HELPERS + "return structureFaults();") == []


def test_a_page_without_names_or_order_is_noticed(browser: Browser, folder: Path) -> None:
    bad = "<!doctype html><title></title><h1>a</h1><h3>b</h3><button></button><input><svg></svg>"
    bad += "<p id=x></p><p id=x></p>"
    browser.open(stored(folder, "bad", bad))
    assert len(browser.run(HELPERS + "return structureFaults();")) >= 6
    browser.open(
        stored(folder, "faint", "<!doctype html><body style='background:#fff;color:#aaa'>" + "<p>a</p>" * 60)
    )
    assert len(browser.run(HELPERS + "return faintTexts();")[1]) > 0


TABLE = Table(
    columns=["Name", "Score"],
    rows=[["b", 0.5], ["a", 2.0], ["C", None], ["d", 10.0], ["é", 1.0], ["a2", -3.0], ["f", 3.0], ["g", 4.0]],
    caption="made",
)


def column(browser: Browser, number: int) -> list[str]:
    script = "return [...document.querySelectorAll('tbody tr:not([hidden])')]"
    script += ".map((row) => row.cells[arguments[0]].textContent)"
    found: list[str] = browser.run(script, number)
    return found


@pytest.fixture
def table(browser: Browser, folder: Path) -> Browser:
    browser.open(
        stored(folder, "table", render(Report(title="t", sections=[Section(title="s", items=[TABLE])])))
    )
    return browser


def check_numbers_are_sorted(browser: Browser) -> None:
    browser.click("thead th:nth-child(2) button")
    assert column(browser, 1) == ["-3.000", "0.500", "1.000", "2.000", "3.000", "4.000", "10.0", "–"]


def test_a_heading_sorts_up_then_down_then_back(table: Browser) -> None:
    check_numbers_are_sorted(table)
    state = "return document.querySelector('thead th:nth-child(2)').getAttribute('aria-sort')"
    assert table.run(state) == "ascending"
    table.click("thead th:nth-child(2) button")
    assert column(table, 1) == ["10.0", "4.000", "3.000", "2.000", "1.000", "0.500", "-3.000", "–"]
    assert table.run(state) == "descending"
    table.click("thead th:nth-child(2) button")
    assert column(table, 0) == ["b", "a", "C", "d", "é", "a2", "f", "g"]
    assert table.run(state) is None


def test_sorting_numbers_as_texts_would_be_noticed(browser: Browser, folder: Path) -> None:
    script = html._resource("script.js")
    spoilt = script.replace('if (typeof a === "number" && typeof b === "number") return a - b;', "")
    spoilt = spoilt.replace("numeric: true", "numeric: false")
    assert spoilt != script
    resource = html._resource
    with patch.object(html, "_resource", lambda name: spoilt if name == "script.js" else resource(name)):
        page = render(Report(title="t", sections=[Section(title="s", items=[TABLE])]))
    browser.open(stored(folder, "spoilt", page))
    with pytest.raises(AssertionError):
        check_numbers_are_sorted(browser)


def test_texts_are_sorted_as_people_do(table: Browser) -> None:
    table.click("thead th:nth-child(1) button")
    assert column(table, 0) == ["a", "a2", "b", "C", "d", "é", "f", "g"]


def test_a_second_heading_takes_the_sorting_over(table: Browser) -> None:
    table.click("thead th:nth-child(1) button")
    table.click("thead th:nth-child(2) button")
    sorted_by = table.run(
        "return [...document.querySelectorAll('[aria-sort]')].map((head) => head.textContent)"
    )
    assert sorted_by == ["Score"]


def test_the_keyboard_reaches_and_sorts(table: Browser) -> None:
    table.press(TAB)
    assert table.run("return document.activeElement.className") == "skip"
    table.run("document.querySelector('thead button').focus()")
    table.press(ENTER)
    assert column(table, 0)[0] == "a"


def test_the_filter_hides_rows_and_says_how_many_are_left(table: Browser) -> None:
    table.type(".filter input", "A")
    assert column(table, 0) == ["a", "a2"]
    assert table.run("return document.querySelector('.filter output').value") == "2 of 8 rows"
    table.type(".filter input", " -3")
    assert column(table, 0) == ["a2"]
    table.run(
        "const i = document.querySelector('.filter input'); i.value = ''; i.dispatchEvent(new Event('input'))"
    )
    assert len(column(table, 0)) == 8


def test_a_picture_can_be_saved_as_png(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["fit"])
    browser.run(
        "window.saved = []; HTMLAnchorElement.prototype.click = "
        "function () { saved.push([this.download, this.href]); };"
    )
    browser.click(".save button")
    saved: list[list[str]] = []
    for _ in range(100):
        saved = browser.run("return window.saved")
        if saved:
            break
    assert saved[0][0].endswith(".png")
    assert saved[0][1].startswith("data:image/png;base64,")
    assert len(saved[0][1]) > 5_000


def test_a_link_to_folded_details_opens_them(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["compare"])
    assert browser.run("return document.querySelectorAll('section > details[open]').length") == 0
    browser.click("nav li:nth-child(6) a")
    assert browser.run("return document.querySelector('#s6 > details').open")
    browser.open(pages["compare"], "#s7")
    assert browser.run("return document.querySelector('#s7 > details').open")


def test_paper_shows_what_is_folded(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["compare"])
    closed = "return document.querySelectorAll('details:not([open])').length"
    before = browser.run(closed)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run(closed) == 0
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run(closed) == before > 0


def test_the_weight_of_a_word_is_shown_on_touch(browser: Browser, folder: Path) -> None:
    item = Highlighted(
        pieces=["not", " ", "bad"], weights=[0.5, 0, -0.25], caption="c", positive="good", negative="bad"
    )
    browser.open(
        stored(folder, "words", render(Report(title="t", sections=[Section(title="s", items=[item])])))
    )
    browser.click(".words .neg")
    assert browser.run("return document.querySelector('.key output').value") == "“bad”: -0.25 (bad)"
    browser.click(".words .pos")
    assert browser.run("return document.querySelector('.key output').value") == "“not”: +0.5 (good)"


def test_texts_of_the_data_run_nothing(browser: Browser, folder: Path) -> None:
    browser.open(stored(folder, "attacked", render(attacked())))
    assert browser.run("return [document.scripts.length, document.images.length]") == [1, 0]
    assert browser.console() == []


def test_even_without_escaping_the_policy_of_the_page_runs_nothing(browser: Browser, folder: Path) -> None:
    with markup_from_data():
        page = render(attacked())
    browser.open(stored(folder, "unescaped", page))
    assert browser.run("return document.scripts.length") > 1
    refused = browser.console()
    assert refused
    assert all("Content Security Policy" in message for message in refused)
