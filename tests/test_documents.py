"""Documents run: the Python blocks of the README and the guide, and the examples, in an empty folder each."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def blocks(page: Path) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.M | re.S))


def run(code: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_the_python_blocks_of_a_page_run(page, tmp_path):
    run(blocks(page), tmp_path)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.name)
def test_an_example_runs(example, tmp_path):
    run(example.read_text(), tmp_path)


def test_links_of_the_documents_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_command_lines_of_the_readme_exist():
    from recurra.cli.app import app

    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}
    for verb in re.findall(r"^(?:.*\| )?recurra (\w+)", (ROOT / "README.md").read_text(), flags=re.M):
        assert verb in verbs
