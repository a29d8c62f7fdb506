"""recurra doctor: what it says, and that it costs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from recurra.cli.app import run
from recurra.runtime import doctor

ROOT = Path(__file__).resolve().parents[2]


def spoken(capsys, *arguments: str) -> tuple[int, str]:
    code = run(["doctor", *arguments])
    return code, capsys.readouterr().out


def in_a_process(*arguments: str, **environment: str) -> str:
    """Standard output of a fresh process in which these variables are set."""
    given = {name: value for name, value in os.environ.items()
             if not name.startswith(("RECURRA_", "OMP_"))}  # fmt: skip
    command = [sys.executable, "-m", "recurra", "doctor", *arguments]
    done = subprocess.run(command, env=given | environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_it_says_what_runs_in_words_and_as_json(capsys):
    code, text = spoken(capsys)
    assert code == 0
    code, out = spoken(capsys, "--json")
    record = json.loads(out)
    assert code == 0
    assert {"version", "kernels", "processor", "threads", "subnormals", "libraries", "missing", "problems",
            "build_log", "torch"} <= set(record)  # fmt: skip
    assert record["libraries"]["numpy"] == metadata.version("numpy")
    assert record["torch"] is None
    for part in (record["version"], record["processor"]["name"], f"numpy {metadata.version('numpy')}"):
        assert part in text
    assert f"threads      {record['threads']['count']}, by " in text


def test_it_does_not_load_torch_unless_it_is_asked_to():
    code = "import sys\nfrom recurra.cli.app import run\nrun(['doctor'])\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_asked_for_torch_it_says_what_torch_has(capsys):
    torch = pytest.importorskip("torch")
    code, out = spoken(capsys, "--torch", "--json")
    assert code == 0
    assert json.loads(out)["torch"]["version"] == torch.__version__
    assert torch.__version__ in spoken(capsys, "--torch")[1]


def test_the_extras_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    for extra, requirements in groups.items():
        names = {text.partition(">")[0].partition("[")[0] for text in requirements} - {"recurra"}
        assert set(doctor.extras().get(extra, ())) == names


def test_the_extras_of_an_installed_package_are_read_from_it(monkeypatch):
    declared = ["numpy>=2.0", 'torch>=2.10; extra == "train"', "recurra[train]; extra == 'all'"]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: declared)
    assert doctor.extras() == {"": ("numpy",), "train": ("torch",)}


def test_a_missing_extra_is_named_with_the_command(monkeypatch, capsys):
    real = doctor._version
    monkeypatch.setattr(
        doctor, "_version", lambda name: None if name in ("onnx", "jax") else real(name) or "1.0"
    )
    found = doctor.examine()
    assert found.missing["onnx"] == {"libraries": ["onnx"], "command": "pip install 'recurra[onnx]'"}
    text = str(found)
    assert "missing, for export and its check: pip install 'recurra[onnx]'" in text
    assert "only for recurra bench kernels: pip install jax" in text


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"RECURRA_NUM_THREADS": "3"}, "3, by RECURRA_NUM_THREADS=3"),
        ({"OMP_NUM_THREADS": "5"}, "5, by OMP_NUM_THREADS=5"),
        ({"OMP_NUM_THREADS": "5", "RECURRA_NUM_THREADS": "1"}, "1, by RECURRA_NUM_THREADS=1"),
    ],
)
def test_threads_come_with_their_reason(environment, words):
    assert f"threads      {words}" in in_a_process(**environment)


def test_the_reason_is_the_quota_where_it_is_less_than_the_processors():
    assert doctor._source(2, 8, 1.5) == "the cgroup's quota of 1.5 processors"
    assert doctor._source(8, 8, None) == "the processors that this process may use"
    assert doctor._source(3, 8, None) == "set_num_threads"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000", "a/b/cpu.max": "400000 100000", "a/cpu.max": "300000 100000"}, 3.0),
        ({"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}, 2.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_the_least_quota_of_all_control_groups_counts(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text + "\n")
    own = tmp_path / "own"
    own.write_text("0::/a/b\n")
    assert doctor.cgroup_quota(tmp_path / "fs", own) == expected


def test_without_the_native_engine_it_says_why_and_shows_the_log(monkeypatch, tmp_path):
    log = tmp_path / "_build.log"
    log.write_text("Build of recurra._native\nNo C++ compiler was found.\n")
    monkeypatch.setattr(doctor, "BUILD_LOG", log)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    engine = {"native": False, "isa": "none", "threads": 1, "reason": "No module named 'recurra._native'"}
    monkeypatch.setattr(doctor.kernels, "engine", lambda: engine)
    text = str(doctor.examine())
    assert "the readable reference, much slower: No module named 'recurra._native'" in text
    assert "apt-get install g++" in text
    assert text.endswith("No C++ compiler was found.")
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/" + name)
    assert "build them with RECURRA_REQUIRE_NATIVE=1 pip install -e" in str(doctor.examine())


def test_switched_off_it_says_what_switches_it_on():
    text = in_a_process(RECURRA_NATIVE="0")
    assert (
        "problem: the native kernels do not run: switched off by RECURRA_NATIVE=0; unset RECURRA_NATIVE"
        in text
    )


def test_a_lower_instruction_set_than_possible_is_a_problem(monkeypatch):
    engine = {
        "native": True,
        "isa": "portable",
        "threads": 1,
        "reason": "RECURRA_ISA",
        "available": ["portable", "avx2"],
    }
    monkeypatch.setattr(doctor.kernels, "engine", lambda: engine)
    assert "unset RECURRA_ISA" in doctor.examine().problems[0]


def test_subnormals_are_tried_not_claimed():
    found = doctor.examine()
    assert found.subnormals["kept_before"] == found.subnormals["kept_after"]
    changed = {"kept_before": True, "kept_within": False, "kept_after": False}
    assert "please report it" in doctor._subnormal_words(changed)
