"""`recurra explain`: the page it writes, the files beside it, what it says and refuses."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from contracts.models import LABELS, TEXTS
from recurra.cli.app import run
from recurra.runtime.store import save_predictor
from runtime.streaming import model_of, words

HOSTILE = "three <script>alert(1)</script> two <img src=x onerror=alert(2)> =1+1"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    reading = {"input": ["text"], "target": ["label"]}
    save_predictor(model_of(words(), "mean", hidden_size=12), folder / "m", training={}, scores={},
                   data={"reading": reading})  # fmt: skip
    with (folder / "data.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "shop"])
        for place in range(24):
            writer.writerow(
                [
                    TEXTS[place % 6] or HOSTILE,
                    LABELS[(place + place // 7) % 6],
                    "north" if place % 2 else "south",
                ]
            )
    return folder


@pytest.fixture(scope="module")
def page(place: Path) -> str:
    arguments = [str(place / "m"), str(place / "data.csv"), "--examples", "2", "--text", HOSTILE]
    assert run(["explain", *arguments, "-o", str(place / "page.html")]) == 0
    return (place / "page.html").read_text("utf-8")


def titles(page: str) -> list[str]:
    return [re.sub("<[^>]*>", "", head).strip() for head in re.findall(r"<h2[^>]*>(.*?)</h2>", page)]


def test_the_page_has_every_part(page: str) -> None:
    found = titles(page)
    for part in ("Overview", "Mistakes", "Confused classes", "How sure it is", "Where it is weak",
                 "Which attribution to trust", "All predictions", "The model"):  # fmt: skip
        assert part in found, part
    assert sum(title.startswith("Example") for title in found) == 3
    heads = re.findall(r"<h3[^>]*>(.*?)</h3>", page)
    assert "How the answer forms, step by step" in heads
    assert any(head.startswith("Hidden state of layer") for head in heads)
    assert any("by shop" in head for head in heads)


def test_hostile_texts_are_shown_and_do_nothing(page: str) -> None:
    assert "<script>alert" not in page
    assert "<img" not in page
    assert page.count("<script>") == 1
    assert "&lt;script&gt;" in page or "&lt;" in page


def test_words_that_the_model_does_not_know_are_named(page: str) -> None:
    assert re.search(r"Unknown to the model, and therefore read alike: [^<]*script", page)


def test_every_figure_lies_beside_the_page_as_svg_png_and_csv(page: str, place: Path) -> None:
    folder = place / "page-files"
    with (folder / "index.csv").open(newline="") as file:
        listed = [row["file"] for row in csv.DictReader(file)]
    assert sorted(listed) == sorted(path.name for path in folder.iterdir() if path.name != "index.csv")
    drawings = [name for name in listed if name.endswith(".svg")]
    assert len(drawings) == page.count("<figure") > 10
    for name in drawings:
        ElementTree.fromstring((folder / name).read_text("utf-8"))
        assert (folder / name.replace(".svg", ".png")).read_bytes().startswith(b"\x89PNG")
        with (folder / name.replace(".svg", ".csv")).open(newline="") as file:
            assert len(list(csv.reader(file))) >= 1


def test_one_text_is_enough(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = place / "one.html"
    arguments = [
        "explain",
        str(place / "m"),
        "--text",
        "three two one",
        "-o",
        str(output),
        "--no-files",
        "--json",
    ]
    assert run(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["report"] == str(output)
    assert told["texts"] == 1
    assert told["rows"] == 0
    assert told["bytes"] == output.stat().st_size
    assert "files" not in told
    assert not (place / "one-files").exists()
    assert titles(output.read_text("utf-8"))[0].startswith("Example 1: “three two one”")


def test_a_page_is_the_same_when_made_again(place: Path) -> None:
    pages = []
    for name in ("a.html", "b.html"):
        arguments = ["explain", str(place / "m"), str(place / "data.csv"), "--examples", "1", "--no-files"]
        assert run([*arguments, "-o", str(place / name)]) == 0
        pages.append((place / name).read_bytes())
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "nothing to explain: give data, or a text with --text"),
        (["data.csv", "-o", "page.pdf"], "the page must end in .html"),
        (["data.csv", "--method", "guess"], "method must be one of"),
        (["data.csv", "--class", "zebra"], "of must be a class that the model knows"),
        (["data.csv", "--examples", "-1"], "examples must be at least 0"),
        (["--text", "one", "--part", "test"], "--part chooses among data"),
        (["missing.csv"], "missing.csv"),
    ],
)
def test_bad_usage_is_one_line_and_writes_nothing(
    arguments: list[str], told: str, place: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(place / word) if word == "data.csv" else word for word in arguments]
    assert run(["explain", str(place / "m"), *given]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_not_replaced(place: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "page-files").mkdir()
    (tmp_path / "page-files" / "mine.txt").write_text("mine")
    assert run(["explain", str(place / "m"), "--text", "one", "-o", str(tmp_path / "page.html")]) == 2
    assert "is not a folder of figures" in capsys.readouterr().err
    assert (tmp_path / "page-files" / "mine.txt").read_text() == "mine"
    assert not (tmp_path / "page.html").exists()
