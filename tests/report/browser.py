"""A real Chromium without a window, driven by the W3C WebDriver protocol over plain HTTP.

Debian's `chromium` and `chromium-driver` are enough; no Python package is needed.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--no-first-run", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--force-color-profile=srgb",
)  # fmt: skip
ENTER, TAB = "\ue007", "\ue004"
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One browser session."""

    def __init__(self, port: int, folder: Path, binary: str) -> None:
        self._open = build_opener(ProxyHandler({})).open
        self._base = f"http://127.0.0.1:{port}"
        options = {"binary": binary, "args": [*FLAGS, f"--user-data-dir={folder}", "--window-size=1280,900"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._base += f"/session/{made['sessionId']}"

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with self._open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except HTTPError as error:
            raise AssertionError(error.read().decode()[:800]) from None

    def open(self, path: Path, fragment: str = "") -> None:
        """Open a file and forget what the console said before."""
        self.console()
        self._call("POST", "/url", {"url": "about:blank"})
        self._call("POST", "/url", {"url": path.as_uri() + fragment})

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script returns."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def console(self) -> list[str]:
        """Return what the console said since the last call, warnings and refused loads included."""
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": "browser"})]

    def press(self, key: str) -> None:
        """Press a key where the focus is."""
        strokes = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})

    def click(self, selector: str) -> None:
        """Click what a CSS selector finds, as a person would: it must be visible and not covered."""
        element = self._call("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT]
        self._call("POST", f"/element/{element}/click")

    def type(self, selector: str, text: str) -> None:
        element = self._call("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT]
        self._call("POST", f"/element/{element}/value", {"text": text})

    def tool(self, command: str, **parameters: Any) -> Any:
        """Send a command of the developer tools."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def prefer(self, scheme: str) -> None:
        """Prefer the light or the dark colour scheme."""
        self.tool("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def resize(self, width: int, height: int, scale: float = 1.0) -> None:
        self.tool(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )

    def picture(self) -> bytes:
        """Return what is in view as PNG."""
        return base64.b64decode(self._call("GET", "/screenshot"))

    def close(self) -> None:
        self._call("DELETE", "")


def installed() -> bool:
    """Whether there is a browser with its driver."""
    return shutil.which("chromium") is not None and shutil.which("chromedriver") is not None


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Yield a browser; skip the test where there is none, fail where RECURRA_REQUIRE says there must be."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not installed() or binary is None or driver is None:
        reason = "chromium and chromium-driver are not installed (make services)"
        if "chromium" in os.environ.get("RECURRA_REQUIRE", "").split(","):
            pytest.fail(reason)
        pytest.skip(reason)
    with subprocess.Popen(
        [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            browser = Browser(_port(process), folder, binary)
            yield browser
            browser.close()
        finally:
            process.terminate()


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout
    for line in process.stdout:
        if found := re.search(r"started successfully on port (\d+)", line):
            return int(found[1])
    raise AssertionError("chromedriver ended before it listened")
