"""The page of `recurra explain` in a real Chromium: read, sorted, filtered, walked through by keyboard."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from contracts.models import LABELS, TEXTS, network, predictor, sequences
from recurra.data.dataset import Dataset
from recurra.insight.pages import Asked, write_explained
from recurra.ragged import Ragged
from report.audit import PHONE, audit
from report.browser import TAB, Browser, chromium

HOSTILE = "three <script>alert(1)</script> two \"><img src=x onerror=alert(2)> ' one"
RIGHT, END = "\ue014", "\ue010"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, session: Browser) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("explained")
    texts = [TEXTS[place % 6] for place in range(24)]
    labels = [LABELS[(place + place // 7) % 6] for place in range(24)]
    text = Dataset(inputs=texts, targets=labels, columns={"shop": np.array(["n", "s"] * 12)})
    signal = Dataset(
        inputs=Ragged.from_lists(sequences()), targets=LABELS, kind="signal", features=("x", "y", "z")
    )
    made = {}
    for name, data, model in (
        ("text", text, predictor(network("gru", False, 1))),
        ("signal", signal, predictor(network("lstm", True, 1), signal=True)),
    ):
        extra = [HOSTILE] if name == "text" else []
        asked = Asked(examples=2)
        made[name] = write_explained(folder / f"{name}.html", model, data, extra, asked, files=False).path
    return made


@pytest.mark.parametrize("name", ["text", "signal"])
def test_nothing_is_wrong_with_a_page(session: Browser, pages: dict[str, Path], name: str) -> None:
    assert audit(session, pages[name]) == []


def test_faults_are_noticed(session: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    page = pages["signal"].read_text("utf-8")
    spoilt = tmp_path / "spoilt.html"
    spoilt.write_text(
        page.replace("</h1>", "</h1><p style='width:2000px;color:#ccc'>faint</p><button></button>")
    )
    found = audit(session, spoilt)
    assert any("faint" in fault for fault in found)
    assert any("without a name" in fault for fault in found)
    assert any(f"at {PHONE} pixels" in fault for fault in found)


def shown(browser: Browser) -> str:
    return str(browser.run("return document.querySelector('.pieces output').value"))


def test_a_word_tells_its_weight_on_hover_touch_and_focus(session: Browser, pages: dict[str, Path]) -> None:
    session.resize(PHONE, 800)
    session.open(pages["text"])
    pieces = session.run(
        "return [...document.querySelectorAll('.words')][0].querySelectorAll('[data-weight]').length"
    )
    assert pieces >= 3
    dispatch = (
        "document.querySelector('.words [data-weight]').dispatchEvent("
        "new PointerEvent('pointerover', {bubbles: true}))"
    )
    session.run(dispatch)
    first = shown(session)
    assert first.startswith("“three”: ")
    session.click(".words [data-weight]:nth-of-type(2)")
    assert shown(session) != first
    session.run("document.querySelector('.words [data-weight]').focus()")
    assert shown(session) == first
    session.press(RIGHT)
    second = shown(session)
    assert second != first
    session.press(END)
    last = session.run("return [...document.querySelectorAll('.words')][0].querySelectorAll('[data-weight]')"
                       "[arguments[0]].textContent", pieces - 1)  # fmt: skip
    assert shown(session).startswith(f"“{last.strip()}”: ")
    assert session.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    session.press(TAB)
    assert not session.run("return document.activeElement.matches('.words *')"), (
        "one stop per text, not one per word"
    )


def test_predictions_are_filtered_and_sorted(session: Browser, pages: dict[str, Path]) -> None:
    session.resize(1280, 900)
    session.open(pages["text"])
    session.run("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")
    table = "[...document.querySelectorAll('table')]"
    table += ".find((one) => one.caption.textContent.startsWith('Every prediction'))"
    name = session.run(f"return {table}.id")
    rows = f"return [...{table}.tBodies[0].rows].filter((row) => !row.hidden)"
    rows += ".map((row) => row.cells[2].textContent)"
    assert len(session.run(rows)) == 24
    session.click(f"[id='{name}'] thead th:nth-child(3) button")
    confidence = [float(cell) for cell in session.run(rows)]
    assert confidence == sorted(confidence)
    session.type(f"[id='{name}-filter']", "seven")
    assert 0 < len(session.run(rows)) < 24


def test_a_hostile_text_is_shown_as_it_is_and_runs_nothing(session: Browser, pages: dict[str, Path]) -> None:
    session.open(pages["text"])
    assert session.run("return [document.scripts.length, document.images.length]") == [1, 0]
    assert session.run("return document.querySelector('.words').textContent") == HOSTILE
    assert session.console() == []


def test_every_number_of_a_table_can_be_taken_away(session: Browser, pages: dict[str, Path]) -> None:
    session.open(pages["text"])
    links = session.run(
        "return [...document.querySelectorAll('a[download$=\".csv\"]')].map((link) => link.href)"
    )
    from urllib.parse import unquote

    assert len(links) > 10
    for link in links:
        rows = list(csv.reader(unquote(link.partition(",")[2]).splitlines()))
        assert len(rows) >= 1
