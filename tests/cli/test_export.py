"""`recurra export`: what it writes, what it says, what it refuses."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("onnxruntime")

from contracts.models import network, predictor
from recurra.cli.app import run
from recurra.runtime.store import save_predictor
from recurra.spec import Network


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, bidirectional in (("one", False), ("both", True)):
        model = predictor(network("gru", bidirectional, 1))
        save_predictor(model, folder / name, training={}, scores={}, data={})
    return folder


def test_an_export_stands_beside_the_model_and_is_told_as_json(bundles, capsys):
    assert run(["export", str(bundles / "one"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"]["step"] == str((bundles / "one-onnx").resolve() / "step.onnx")
    assert 0 < told["difference"] <= told["tolerance"] == 1e-5
    assert told["refused"] == {}


def test_a_bidirectional_model_is_exported_without_a_step_graph(bundles, tmp_path, capsys):
    assert run(["export", str(bundles / "both"), "--format", "onnx", "-o", str(tmp_path / "out")]) == 0
    assert "no step graph: a bidirectional model reads from the end" in capsys.readouterr().out
    assert (tmp_path / "out" / "batch.onnx").exists()


def test_torch_export_says_what_it_wrote_and_what_it_could_not(tmp_path, capsys):
    save_predictor(
        predictor(Network(hidden_size=5, zoneout=0.1, bidirectional=True)),
        tmp_path / "m",
        training={},
        scores={},
        data={},
    )
    assert run(["export", str(tmp_path / "m"), "--format", "torch-export"]) == 0
    out = capsys.readouterr().out
    assert f"{tmp_path / 'm-torch-export' / 'batch.pt2'}  " in out
    assert "no step graph: " in out
    assert "reads from the end" in out
    assert "checked with PyTorch in another process" in out


REFUSED = [
    (["--format", "torchscript"], "deprecated in PyTorch"),
    (["--format", "torchscript"], "use --format torch-export"),
    (["--format", "onx"], "did you mean 'onnx'"),
    (["-o", "MODEL"], "a bundle stands there"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=lambda each: str(each))
def test_what_cannot_be_is_one_line_and_exit_code_2(options, message, bundles, capsys):
    arguments = [str(bundles / "one") if each == "MODEL" else each for each in options]
    assert run(["export", str(bundles / "one"), *arguments]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert message in err
    assert err.count("\n") == 1
