from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.errors import CorruptBundleError, DataError, NewerBundleError, SpecError, StorageError
from recurra.runtime import bundle as bundle_module
from recurra.runtime import migrations
from recurra.runtime.bundle import Bundle, attach, write_card
from recurra.runtime.weights import ArraySpec
from recurra.storage import read_folder, write_folder

FIXTURES = Path(__file__).with_name("fixtures")
CONFIG = {
    "task": "classifier",
    "labels": ["no", "yes \u00e9"],
    "network": {"cell": "lstm", "dropout": 0.3},
    "n": None,
}
ARRAYS = {
    "embed.weight": np.arange(12, dtype=np.float32).reshape(4, 3),
    "head.bias": np.array([0.5, -0.5], np.float32),
}
FILES = {"tokenizer.json": b'{"version": "1.0"}'}
EXPECT = {"embed.weight": (4, 3), "head.bias": (2,)}


def make(**changes: Any) -> Bundle:
    given: dict[str, Any] = {"config": CONFIG, "arrays": ARRAYS, "files": FILES, "card": "# A model\n"}
    return Bundle(**{**given, **changes})


def test_bundle_comes_back_as_it_was(tmp_path: Path) -> None:
    make().save(tmp_path / "m")
    found = Bundle.load(tmp_path / "m", expect=EXPECT)
    assert found.config == CONFIG
    assert list(found.config) == list(CONFIG)
    assert {name: array.tobytes() for name, array in found.arrays.items()} == {
        name: array.tobytes() for name, array in ARRAYS.items()
    }
    assert found.files == FILES
    assert found.card == "# A model\n"
    assert found.model_id == make().model_id


def test_folder_has_the_layout_of_a_model_hub(tmp_path: Path) -> None:
    path = make().save(tmp_path / "m", extras={"metrics.json": b"{}"})
    assert sorted(os.listdir(path)) == [
        "README.md",
        "config.json",
        "manifest.json",
        "metrics.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    config = json.loads((path / "config.json").read_text())
    assert config["schema_version"] == bundle_module.SCHEMA_VERSION
    assert config["versions"].keys() >= {"python", "recurra", "numpy"}
    assert config["files"] == ["tokenizer.json"]
    assert config["task"] == "classifier"
    manifest = json.loads((path / "manifest.json").read_text())
    assert {e["size"] for e in manifest["files"].values()} >= {(path / "model.safetensors").stat().st_size}


def test_saving_again_drops_old_extras_and_keeps_other_files(tmp_path: Path) -> None:
    path = make().save(tmp_path / "m", extras={"metrics.json": b"{}"})
    (path / "notes.txt").write_text("mine")
    make().save(path, extras={"history.jsonl": b""})
    assert "metrics.json" not in os.listdir(path)
    assert {"notes.txt", "history.jsonl"} <= set(os.listdir(path))


def test_run_folder_is_adopted_on_request_only(tmp_path: Path) -> None:
    (tmp_path / "run.lock").write_text("{}")
    with pytest.raises(StorageError, match="holds files that Recurra did not write"):
        make().save(tmp_path)
    make().save(tmp_path, adopt=True)
    assert Bundle.load(tmp_path).config == CONFIG


def test_config_is_copied_and_frozen_into_plain_values() -> None:
    labels = ["a", "b"]
    bundle = make(config={"labels": labels, "size": np.int64(3), "pair": (1, 2)})
    labels.append("c")
    assert bundle.config == {"labels": ["a", "b"], "size": 3, "pair": [1, 2]}


@pytest.mark.parametrize("key", ["schema_version", "versions", "created", "files"])
def test_reserved_keys_are_refused(key: str) -> None:
    with pytest.raises(SpecError, match=f"config\\['{key}'\\] is written by the bundle itself"):
        make(config={key: 1})


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "README.md"])
def test_reserved_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match="is a name that the bundle itself writes"):
        make(files={name: b""})
    with pytest.raises(SpecError, match="is a name that the bundle itself writes"):
        make().save(tmp_path / "m", extras={name: b""})
    with pytest.raises(SpecError, match="is a name that the bundle itself writes"):
        attach(make().save(tmp_path / "m"), name, b"")
    with pytest.raises(SpecError, match="among the bundle's files already"):
        make().save(tmp_path / "n", extras={"tokenizer.json": b""})


def test_config_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(DataError, match=r"config\['x'\]"):
        make(config={"x": float("nan")})


def test_id_follows_what_the_model_computes_with_and_nothing_else(tmp_path: Path) -> None:
    same = make().model_id
    assert make(card="other").model_id == same
    assert make(config={**CONFIG, "scores": {"accuracy": 0.9}}).model_id == same
    assert make(config=dict(reversed(CONFIG.items()))).model_id == same
    assert make(arrays={k: np.asfortranarray(v) for k, v in reversed(ARRAYS.items())}).model_id == same
    assert make(arrays={k: v.astype(">f4") for k, v in ARRAYS.items()}).model_id == same
    others = [
        make(config={**CONFIG, "n": 0}).model_id,
        make(arrays={**ARRAYS, "head.bias": np.array([0.5, -0.25], np.float32)}).model_id,
        make(arrays={**ARRAYS, "head.bias": np.array([[0.5, -0.5]], np.float32)}).model_id,
        make(arrays={**ARRAYS, "head.bias": ARRAYS["head.bias"].view(np.int32)}).model_id,
        make(arrays={**ARRAYS, "head.bais": ARRAYS["head.bias"]}).model_id,
        make(files={"tokenizer.json": b"{}"}).model_id,
        make(files={"encoder.json": FILES["tokenizer.json"]}).model_id,
        make(files={}).model_id,
    ]
    assert len({same, *others}) == len(others) + 1
    assert make(arrays={"empty": np.zeros((0, 3), np.float32)}).model_id != same


def test_card_may_be_edited_or_removed(tmp_path: Path) -> None:
    path = make().save(tmp_path / "m")
    (path / "README.md").write_bytes(b"# Edited \xff on a hub")
    assert Bundle.load(path).card == "# Edited \ufffd on a hub"
    (path / "README.md").unlink()
    assert Bundle.load(path).card == ""
    assert Bundle.load(path).model_id == make().model_id
    write_card(path, "# Anew")
    assert Bundle.load(path).card == "# Anew"
    assert read_folder(path).files["README.md"] == b"# Anew"


def test_attached_report_is_listed_and_the_model_stays(tmp_path: Path) -> None:
    path = make().save(tmp_path / "m")
    attach(path, "verification.json", b'{"passed": true}')
    assert read_folder(path).files["verification.json"] == b'{"passed": true}'
    assert Bundle.load(path).model_id == make().model_id
    with pytest.raises(SpecError, match="is part of the model"):
        attach(path, "tokenizer.json", b"{}")


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        (
            {**EXPECT, "head.bias": (3,)},
            r"model\.safetensors: 'head.bias' must have the shape \(3,\), got \(2,\)",
        ),
        (
            {**EXPECT, "head.bias": ArraySpec(shape=(2,), dtype="float16")},
            r"must have the dtype float16, got float32",
        ),
        ({**EXPECT, "head.more": (3,)}, r"model\.safetensors lacks the array 'head.more'"),
        ({"head.bias": (2,)}, r"model\.safetensors holds the unknown array 'embed.weight'"),
    ],
)
def test_other_arrays_than_expected_are_refused(tmp_path: Path, expect: Any, message: str) -> None:
    path = make().save(tmp_path / "m")
    with pytest.raises(CorruptBundleError, match=message):
        Bundle.load(path, expect=expect)
    with pytest.raises(CorruptBundleError, match=message):
        Bundle.load(path, expect=lambda config: expect if config == CONFIG else None)


def test_other_kinds_of_folder_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "c", {}, meta={"kind": "checkpoint"})
    with pytest.raises(
        CorruptBundleError, match=r"manifest\.json says that this is a checkpoint, not a model"
    ):
        Bundle.load(tmp_path / "c")
    with pytest.raises(StorageError, match="could not read"):
        Bundle.load(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorruptBundleError, match=r"manifest\.json is missing"):
        Bundle.load(tmp_path / "empty")


def stored(path: Path, **config: Any) -> Path:
    """A bundle whose config is changed and whose manifest is right."""
    files = dict(read_folder(make().save(path)).files)
    changed = {**json.loads(files["config.json"]), **config}
    files["config.json"] = json.dumps(changed).encode()
    return write_folder(path, files, meta={"kind": "bundle"})


def test_bundle_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = stored(tmp_path / "m", schema_version=bundle_module.SCHEMA_VERSION + 1)
    with pytest.raises(NewerBundleError, match=r"config\.json has schema_version 2.*upgrade with pip"):
        Bundle.load(path)


@pytest.mark.parametrize("version", [None, "1", 1.0, True, -1])
def test_schema_version_that_is_none_is_refused(tmp_path: Path, version: Any) -> None:
    with pytest.raises(CorruptBundleError, match=r"config\.json must give schema_version as a number"):
        Bundle.load(stored(tmp_path / "m", schema_version=version))


@pytest.mark.parametrize("files", [None, "tokenizer.json", ["../x"], ["config.json"], [3], ["manifest.json"]])
def test_odd_list_of_files_is_refused(tmp_path: Path, files: Any) -> None:
    with pytest.raises(CorruptBundleError, match=r"config\.json: 'files' must be a list of plain file names"):
        Bundle.load(stored(tmp_path / "m", files=files))


def test_listed_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptBundleError, match=r"encoder\.json is missing"):
        Bundle.load(stored(tmp_path / "m", files=["encoder.json"]))


def test_bundle_of_schema_0_is_read(tmp_path: Path) -> None:
    found = Bundle.load(FIXTURES / "schema_0", expect={"embed.weight": (4, 3), "head.bias": (2,)})
    assert found.config == {
        "task": "classifier",
        "labels": ["no", "yes"],
        "input": {"kind": "words", "min_count": 2},
    }
    assert found.origin["schema_version"] == 0
    assert found.origin["versions"] == {"recurra": "0.0.1"}
    assert found.files == {"tokenizer.json": b'{"version": "1.0"}\n'}
    again = Bundle.load(found.save(tmp_path / "m"))
    assert again.origin["schema_version"] == bundle_module.SCHEMA_VERSION
    assert again.model_id == found.model_id


def test_migrations_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make().save(tmp_path / "m")
    for module in (migrations, bundle_module):
        monkeypatch.setattr(module, "SCHEMA_VERSION", 3)
    monkeypatch.setitem(migrations.CONFIG_STEPS, 1, lambda c: {**c, "steps": [1]})
    monkeypatch.setitem(migrations.CONFIG_STEPS, 2, lambda c: {**c, "steps": [*c["steps"], 2]})
    monkeypatch.setitem(
        migrations.ARRAY_STEPS,
        2,
        lambda arrays: {name.replace("head", "out"): a for name, a in arrays.items()},
    )
    found = Bundle.load(path, expect={"embed.weight": (4, 3), "out.bias": (2,)})
    assert found.config["steps"] == [1, 2]
    assert set(found.arrays) == {"embed.weight", "out.bias"}
    with pytest.raises(CorruptBundleError, match=r"lacks the array 'head.bias'"):
        Bundle.load(path, expect=EXPECT)


def test_config_of_an_old_schema_without_its_keys_is_corrupt(tmp_path: Path) -> None:
    with pytest.raises(CorruptBundleError, match=r"config\.json is not a sound config of schema 0"):
        Bundle.load(stored(tmp_path / "m", schema_version=0))


def test_every_step_to_the_present_schema_exists() -> None:
    assert set(migrations.CONFIG_STEPS) == set(range(bundle_module.SCHEMA_VERSION))


def test_loading_needs_no_torch(tmp_path: Path) -> None:
    path = make().save(tmp_path / "m")
    body = (
        "import sys\nsys.modules['torch'] = None\n"
        "from recurra.runtime.bundle import Bundle\n"
        "print(Bundle.load(sys.argv[1]).model_id)"
    )
    done = subprocess.run(
        [sys.executable, "-c", body, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split()[:1] == [make().model_id], done.stderr
