"""Everything that a browser can say against a page, in one list: console, requests, contrast, structure, width."""

from __future__ import annotations

from pathlib import Path

from report.browser import Browser

HELPERS = (Path(__file__).parent / "readable.js").read_text("utf-8")
PHONE, DESK = 360, 1280
_UNFOLD = "document.querySelectorAll('details').forEach((fold) => (fold.open = true))"


def audit(browser: Browser, page: Path) -> list[str]:
    """Open a page in light and dark, on a phone and on a desk; return the faults, each in words."""
    faults: list[str] = []
    browser.resize(DESK, 900)
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        browser.open(page)
        browser.run(_UNFOLD)
        checked, faint = browser.run(HELPERS + "return faintTexts();")
        faults += [f"{scheme}: {text}" for text in faint]
        if not checked:
            faults.append("the page shows no text")
    loaded = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    faults += [f"loads {name}" for name in loaded if not name.startswith("data:")]
    faults += browser.run(HELPERS + "return structureFaults();")
    browser.prefer("light")
    for width in (PHONE, DESK):
        browser.resize(width, 900)
        browser.open(page)
        browser.run(_UNFOLD)
        wide = browser.run("return document.documentElement.scrollWidth")
        if wide > width:
            faults.append(f"at {width} pixels the page is {wide} wide")
    return faults + browser.console()
