"""`make reproduce` says of every figure what was reached, and fails where that falls short."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def reproduce():
    spec = importlib.util.spec_from_file_location("reproduce", ROOT / "benchmarks" / "reproduce.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["reproduce"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["reproduce"]


@pytest.mark.parametrize(
    ("reached", "least", "most", "met"),
    [(1.0, None, None, True), (1.0, 1.0, None, True), (0.9, 1.0, None, False), (1.1, None, 1.0, False)],
)
def test_a_score_is_held_to_its_bounds(reproduce, reached, least, most, met):
    found, words = reproduce.judged(reached, least, most)
    assert found is met
    assert ("FALLS SHORT" in words) is not met
    assert bool(words) is ((least, most) != (None, None))


def script(reproduce, folder, text, **options):
    file = folder / "one.py"
    file.write_text(text)
    return reproduce.Script(
        name="one",
        file=str(file),
        data="",
        arguments="",
        score="loss",
        published="beside {other}",
        **options,
    )


LINES = """
print("epoch 1")
for seed, loss in ((0, 1.0), (1, 2.0)):
    print('{"loss": %g, "seed": %d, "seconds": 3, "other": "theirs"}' % (loss, seed))
"""


def test_the_mean_over_the_seeds_of_a_benchmark_is_told_and_judged(reproduce, tmp_path, capsys):
    assert reproduce.run_script(script(reproduce, tmp_path, LINES, most=1.5), tmp_path, tmp_path)
    assert not reproduce.run_script(script(reproduce, tmp_path, LINES, most=1.4), tmp_path, tmp_path)
    good, bad = capsys.readouterr().out.splitlines()
    assert "loss 1.5 (1, 2) (at most 1.5: met); beside theirs; seed 0, 1, 6 s" in good
    assert "FALLS SHORT" in bad


def test_a_benchmark_that_fails_or_tells_nothing_is_no_figure(reproduce, tmp_path, capsys):
    broken = script(reproduce, tmp_path, "raise SystemExit('no such thing')")
    assert not reproduce.run_script(broken, tmp_path, tmp_path)
    silent = script(reproduce, tmp_path, "print('done')")
    assert not reproduce.run_script(silent, tmp_path, tmp_path)
    assert capsys.readouterr().out.splitlines() == [
        f"{'one':<16} failed: no such thing",
        f"{'one':<16} failed: it printed no figure",
    ]


def test_every_figure_names_what_is_there(reproduce):
    names = [each.name for each in (*reproduce.FIGURES, *reproduce.SCRIPTS)]
    assert len(set(names)) == len(names)
    assert all((ROOT / "benchmarks" / each.file).is_file() for each in reproduce.SCRIPTS)
