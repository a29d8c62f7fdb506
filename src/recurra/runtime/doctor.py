"""What is built, what runs, how many threads and why, what is missing and the command that gets it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from recurra import __version__, kernels

PACKAGE = Path(__file__).resolve().parents[1]
BUILD_LOG = PACKAGE / "_build.log"

PEERS = ("openvino", "keras", "jax")
"""What only `recurra bench kernels` uses."""
_GIVES = {
    "train": "training, tables, figures and reports",
    "onnx": "export and its check",
    "serve": "serving over HTTP",
    "tune": "searching for options",
    "ray": "many machines",
}
_SETS = {
    "avx512": ("avx512f", "avx512vl", "avx512bw", "avx512dq"),
    "avx512_vnni": ("avx512_vnni",),
    "avx512_bf16": ("avx512_bf16",),
    "avx2": ("avx2",),
    "fma": ("fma",),
}


@dataclass(frozen=True, kw_only=True)
class Threads:
    """How many threads the operators use, and what says so."""

    count: int
    source: str
    processors: int
    affinity: int
    cgroup_quota: float | None


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What `recurra doctor` found.

    kernels: native, isa, available, reason and, where it is built, file. processor: its name and which of the
    instruction sets that matter it has. subnormals: whether this thread keeps them, before and after an
    operator ran, which flushes them within. extras: which libraries an extra installs, "" the base; libraries:
    their versions; missing: by extra what lacks and the command; problems: sentences, each with what to
    do; build_log: the log of the build where there is no native engine.
    """

    version: str
    python: str
    system: str
    kernels: Mapping[str, Any]
    processor: Mapping[str, Any]
    threads: Threads
    subnormals: Mapping[str, bool]
    extras: Mapping[str, tuple[str, ...]]
    libraries: Mapping[str, str | None]
    missing: Mapping[str, Mapping[str, Any]]
    problems: tuple[str, ...]
    build_log: str | None = None
    torch: Mapping[str, Any] | None = field(default=None)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def examine(*, torch: bool = False) -> Examination:
    """Look at this installation. torch: also load torch, which takes seconds, and say what it has."""
    engine, groups = _engine(), extras()
    libraries = _versions(groups)
    return Examination(
        version=__version__,
        python=f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})",
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        kernels=engine,
        processor=_processor(),
        threads=_threads(),
        subnormals=_subnormals(),
        extras=groups,
        libraries=libraries,
        missing=_missing(groups, libraries),
        problems=tuple(_problems(engine, groups, libraries)),
        build_log=None if engine["native"] else _build_log(),
        torch=_torch() if torch else None,
    )


def _engine() -> dict[str, Any]:
    found = {"available": [], **kernels.engine()}
    built = sorted(PACKAGE.glob("_native*.so")) + sorted(PACKAGE.glob("_native*.pyd"))
    return found | {"file": str(built[0]) if built else None}


def _build_log() -> str | None:
    try:
        return BUILD_LOG.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _processor() -> dict[str, Any]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {"name": platform.processor() or platform.machine(), "instruction_sets": None}
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.M)
    flags = re.search(r"^flags\s*:\s*(.+)$", text, re.M)
    have = set(flags[1].split()) if flags else set()
    sets = {each: have.issuperset(needed) for each, needed in _SETS.items()} if flags else None
    return {"name": name[1] if name else platform.machine(), "instruction_sets": sets}


# ---- threads ---------------------------------------------------------------------------------------------------


def _threads() -> Threads:
    count, quota = kernels.get_num_threads(), cgroup_quota()
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Threads(
        count=count,
        source=_source(count, affinity, quota),
        processors=os.cpu_count() or 1,
        affinity=affinity,
        cgroup_quota=quota,
    )


def _source(count: int, affinity: int, quota: float | None) -> str:
    for name in ("RECURRA_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "")
        if re.match(r"\s*\+?0*[1-9]", text):
            return f"{name}={text}"
    if quota is not None and quota < affinity:
        return f"the cgroup's quota of {quota:g} processors"
    if count == affinity:
        return "the processors that this process may use"
    return "set_num_threads"


def cgroup_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float | None:
    """Processors' worth of time that the control groups allow, None for no limit; versions 2 and 1."""
    folders = [root, root / "cpu"]
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        path = Path(line.rpartition(":")[2].strip("/"))
        for level in (path, *path.parents):
            folders += [root / level, root / "cpu" / level]
    found = [quota for folder in dict.fromkeys(folders) if (quota := _quota_in(folder)) is not None]
    return min(found, default=None)


def _quota_in(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if quota == "max" or float(quota) <= 0 or float(period) <= 0:
        return None
    return float(quota) / float(period)


# ---- subnormals ------------------------------------------------------------------------------------------------


def _subnormals() -> dict[str, bool]:
    """Whether this thread keeps subnormal numbers before and after an operator, and the operator within."""
    before = _kept()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # said in full below
        within = kernels.scale(np.full(64, 1e-39, np.float32), 0.5)
    return {"kept_before": before, "kept_within": bool(within.any()), "kept_after": _kept()}


def _kept() -> bool:
    return bool((np.full(8, 1e-40, np.float32) * np.float32(0.5)).any())


# ---- libraries -------------------------------------------------------------------------------------------------


def extras() -> dict[str, tuple[str, ...]]:
    """Libraries by the extra that installs them, "" for the base install, as the package itself declares them."""
    found: dict[str, list[str]] = {}
    for extra, requirement in _requirements():
        name = re.match(r"[\w.-]+", requirement)
        if name and name[0] != "recurra":
            found.setdefault(extra, []).append(name[0])
    return {extra: tuple(names) for extra, names in found.items()}


def _requirements() -> list[tuple[str, str]]:
    """Pairs of extra and requirement: of the installed package, else of the checkout that it runs from."""
    try:
        declared = metadata.requires("recurra") or []
    except metadata.PackageNotFoundError:
        project = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))[
            "project"
        ]
        groups = {"": project["dependencies"], **project["optional-dependencies"]}
        return [(extra, each) for extra, group in groups.items() for each in group]
    marks = [(re.search(r"extra\s*==\s*['\"](\w+)", each), each) for each in declared]
    return [(mark[1] if mark else "", each) for mark, each in marks]


def _versions(groups: Mapping[str, tuple[str, ...]]) -> dict[str, str | None]:
    names = [name for group in groups.values() for name in group]
    return {name: _version(name) for name in (*names, *PEERS)}


def _version(name: str) -> str | None:
    """The version of an installed library, without importing it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _missing(
    groups: Mapping[str, tuple[str, ...]], libraries: Mapping[str, str | None]
) -> dict[str, dict[str, Any]]:
    lacking = {extra: [n for n in names if libraries[n] is None] for extra, names in groups.items() if extra}
    return {extra: {"libraries": names, "command": f"pip install 'recurra[{extra}]'"}
            for extra, names in lacking.items() if names}  # fmt: skip


def _problems(
    engine: Mapping[str, Any], groups: Mapping[str, tuple[str, ...]], libraries: Mapping[str, str | None]
) -> list[str]:
    found = [f"{name} is not installed, and nothing works without it: pip install --force-reinstall recurra"
             for name in groups.get("", ()) if libraries[name] is None]  # fmt: skip
    if not engine["native"]:
        found.append(f"the native kernels do not run: {engine['reason']}; {_remedy(engine)}")
    elif engine["isa"] == "portable" and "avx2" in engine["available"]:
        found.append("the portable kernels run though this processor has faster ones: unset RECURRA_ISA")
    return found


def _remedy(engine: Mapping[str, Any]) -> str:
    """The command that gets the native engine back."""
    if os.environ.get("RECURRA_NATIVE") == "0":
        return "unset RECURRA_NATIVE"
    source = PACKAGE.parents[1] / "pyproject.toml"
    install = f"pip install -e {source.parent}" if source.is_file() else (
        "pip install --force-reinstall --no-deps --no-cache-dir --no-binary recurra recurra")  # fmt: skip
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl")):
        return f"no C++ compiler was found: apt-get install g++ (or your system's like), then {install}"
    return f"build them with RECURRA_REQUIRE_NATIVE=1 {install}"


# ---- torch -----------------------------------------------------------------------------------------------------


def _torch() -> dict[str, Any]:
    if find_spec("torch") is None:
        return {"installed": False}
    from importlib import import_module

    torch: Any = import_module("torch")
    return {
        "installed": True,
        "version": torch.__version__,
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.is_available(),
        "cudnn": torch.backends.cudnn.version(),
        "mkldnn": torch.backends.mkldnn.is_available(),
        "flushes_subnormals": not bool((torch.full((8,), 1e-40) * 0.5).any()),
    }


# ---- in words --------------------------------------------------------------------------------------------------


def _lines(found: Examination) -> list[str]:
    engine, threads = found.kernels, found.threads
    lines = [
        f"recurra      {found.version}, {found.python}",
        f"system       {found.system}",
        f"processor    {found.processor['name']}{_sets(found.processor['instruction_sets'])}",
    ]
    if engine["native"]:
        lines.append(f"kernels      native, {engine['isa']} ({engine['reason']}); "
                     f"available here: {', '.join(engine['available'])}")  # fmt: skip
        lines.append(f"             {engine['file']}")
    else:
        lines.append(f"kernels      the readable reference, much slower: {engine['reason']}")
    quota = "no cgroup quota" if threads.cgroup_quota is None else f"cgroup quota {threads.cgroup_quota:g}"
    lines.append(f"threads      {threads.count}, by {threads.source}; {threads.processors} processors, "
                 f"{threads.affinity} of them allowed, {quota}")  # fmt: skip
    lines.append(f"subnormals   {_subnormal_words(found.subnormals)}")
    lines += ["", *_library_lines(found)]
    if found.torch is not None:
        lines += ["", "torch        " + ", ".join(f"{k} {v}" for k, v in found.torch.items())]
    lines.append("")
    lines += [f"problem: {problem}" for problem in found.problems] or ["no problems"]
    if found.build_log:
        lines += ["", f"log of the build ({BUILD_LOG}):", found.build_log.rstrip()]
    return lines


def _sets(sets: Mapping[str, bool] | None) -> str:
    if sets is None:
        return ""
    have = [name for name, there in sets.items() if there]
    lack = [name for name, there in sets.items() if not there]
    return f"; has {', '.join(have) or 'none'}" + (f"; lacks {', '.join(lack)}" if lack else "")


def _subnormal_words(found: Mapping[str, bool]) -> str:
    if found["kept_before"] == found["kept_after"]:
        words = {True: "kept", False: "flushed to zero"}
        within, around = words[found["kept_within"]], words[found["kept_before"]]
        return f"{within} within operators, {around} by this thread before and after (tried just now)"
    return "an operator has changed how this thread treats them: please report it"


def _library_lines(found: Examination) -> list[str]:
    groups = [(extra or "base", names) for extra, names in found.extras.items()] + [("bench", PEERS)]
    lines = []
    for title, names in groups:
        shown = ", ".join(f"{name} {found.libraries[name] or '-'}" for name in names)
        lines.append(f"{title:<12} {shown}")
        if title in found.missing:
            lack = found.missing[title]
            lines.append(f"             missing, for {_GIVES.get(title, title)}: {lack['command']}")
    absent = [name for name in PEERS if found.libraries[name] is None]
    if absent:
        lines.append(f"             only for recurra bench kernels: pip install {' '.join(absent)}")
    return lines
