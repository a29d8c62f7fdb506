"""`recurra verify`: what it prints, keeps and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from contracts import saboteurs
from recurra.cli.app import run
from recurra.kernels import engines
from recurra.runtime import load
from recurra.runtime.bundle import attach
from recurra.runtime.store import save_predictor
from runtime.streaming import model_of, plain_signal, words

pytestmark = pytest.mark.skipif(engines.native() is None, reason="the native kernels were not built")


@pytest.fixture
def bundle(tmp_path) -> str:
    path = tmp_path / "model"
    save_predictor(model_of(words(), "mean"), path, training={}, scores={}, data={})
    return str(path)


def test_a_sound_model_passes_and_the_result_stands_in_the_bundle_and_on_its_card(bundle, capsys):
    before = load(bundle).model_id
    assert run(["verify", bundle, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is True
    kept = json.loads((Path(bundle) / "verification.json").read_text())
    assert kept["checks"] == told["checks"]
    card = (Path(bundle) / "README.md").read_text()
    assert card.count("## Verification") == 1
    assert "| alone = batch | yes | none | none |" in card
    assert load(bundle).model_id == before


def test_verifying_again_replaces_the_section_of_the_card(bundle):
    assert run(["verify", bundle]) == 0
    assert run(["verify", bundle]) == 0
    assert (Path(bundle) / "README.md").read_text().count("## Verification") == 1


def test_a_broken_promise_is_exit_code_1_and_stands_on_the_card(bundle, capsys):
    with saboteurs.reads_a_neighbour():
        assert run(["verify", bundle]) == 1
    out = capsys.readouterr().out
    assert "FAIL  alone = batch" in out
    assert "NOT VERIFIED on 12 made sequences" in out
    assert "| alone = batch | **no** |" in (Path(bundle) / "README.md").read_text()
    assert json.loads((Path(bundle) / "verification.json").read_text())["passed"] is False


def test_nothing_is_kept_where_that_was_asked(bundle, capsys):
    before = sorted(p.name for p in Path(bundle).iterdir())
    assert run(["verify", bundle, "--no-store"]) == 0
    assert "verified on 12 made sequences" in capsys.readouterr().out
    assert sorted(p.name for p in Path(bundle).iterdir()) == before


def test_a_flipped_bit_in_the_weights_is_refused_before_anything_is_compared(bundle, capsys):
    weights = Path(bundle) / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-3] ^= 4
    weights.write_bytes(data)
    assert run(["verify", bundle]) == 2
    assert "model.safetensors" in capsys.readouterr().err


def test_a_bundle_whose_weights_were_exchanged_with_fitting_hashes_fails(bundle, tmp_path, capsys):
    other = Path(
        save_predictor(model_of(words(), "mean", seed=4), tmp_path / "b", training={}, scores={}, data={})
    )
    answers = (Path(bundle) / "answers.json").read_bytes()
    attach(other, "answers.json", answers)
    assert run(["verify", str(other)]) == 1
    out = capsys.readouterr().out
    assert "FAIL  now = when it was saved" in out
    assert out.count("FAIL") == 1


def test_the_users_file_is_read_as_in_training(tmp_path, capsys):
    path = tmp_path / "model"
    reading = {"input": "text", "target": "label"}
    save_predictor(model_of(words()), path, training={}, scores={}, data={"reading": reading})
    (tmp_path / "data.csv").write_text("text,label\n" + "one two three,a\nfive zzz,b\n" * 3)
    assert run(["verify", str(path), str(tmp_path / "data.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True
    assert json.loads((path / "verification.json").read_text())["tried"] == {
        **json.loads((path / "verification.json").read_text())["tried"],
        "sequences": 6,
        "made": False,
    }


def test_torch_is_loaded_by_the_comparison_alone(tmp_path):
    """Where torch.nn has no such model, verifying does not load it."""
    path = tmp_path / "model"
    save_predictor(model_of(plain_signal(), zoneout=0.1), path, training={}, scores={}, data={})
    code = "import sys; from recurra.cli.app import run; print(run(sys.argv[1:]), 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "verify", str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 False"
