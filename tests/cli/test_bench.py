"""recurra bench at the command line."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

from recurra.cli.app import run
from runtime.bench_saboteurs import briefly, slightly_wrong
from shared import require

ONE = ["bench", "kernels", "--quick", "--only", "rnn,gru", "--only", "float32", "--only", "step", "--only", "normal",
       "--only", "recurra,loop", "--seconds", "0"]  # fmt: skip


@pytest.fixture(autouse=True)
def _briefly():
    with briefly():
        yield


def spoken(capsys, *arguments: str) -> tuple[int, str, str]:
    code = run(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_json_is_one_object_and_progress_goes_to_standard_error(capsys):
    code, out, err = spoken(capsys, *ONE, "--json")
    record = json.loads(out)
    assert code == 0
    assert {row["cell"] for row in record["rows"]} == {"rnn", "gru"}
    assert "[2/2]" in err


def test_a_table_notes_and_a_drawing_are_made(capsys, tmp_path):
    require("matplotlib", find_spec("matplotlib") is not None, "pip install 'recurra[train]'")
    code, out, _ = spoken(capsys, *ONE, "--plot", str(tmp_path / "bench.svg"))
    assert code == 0
    assert "gru step float32" in out
    assert "max|a-b| / max|b|" in out
    assert (tmp_path / "bench.svg").read_text().startswith("<svg")


def test_an_unequal_answer_is_exit_code_1_and_is_named(capsys):
    require("torch", find_spec("torch") is not None, "pip install 'recurra[train]'")
    with slightly_wrong("loop"):
        code, out, err = spoken(capsys, *ONE, "--json")
    assert code == 1
    assert "loop differs by 1.0e-03 in y" in err
    assert {row["engine"] for row in json.loads(out)["rows"]} == {"recurra"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "lsmt"], "did you mean 'lstm'"),
        (["--plot", "a.png"], "must be a file that ends in .svg"),
        (["--threads", "0"], "threads"),
        (["--condition", "blue"], "--condition has no effect on bench kernels"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(capsys, arguments, message):
    code, out, err = spoken(capsys, "bench", "kernels", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_an_unknown_target_is_refused(capsys):
    code, _, err = spoken(capsys, "bench", "kernel")
    assert code == 2
    assert "recurra bench kernels" in err
