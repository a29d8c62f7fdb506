"""The guards of the house: who may import whom, where torch may not be, which names are public."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import recurra

SOURCE = Path(recurra.__file__).parent
ROOMS = (
    "errors",
    "ragged",
    "storage",
    "spec",
    "kernels",
    "graph",
    "decoding",
    "data",
    "metrics",
    "runtime",
    "report",
    "nn",
    "training",
    "tasks",
    "evaluation",
    "insight",
    "scaling",
    "serving",
    "cli",
)
TORCH_ROOMS = ("nn", "training", "tasks", "evaluation", "insight", "scaling")
TORCH_FILES = ("kernels/torch_",)
FRONT = ("__init__.py", "__main__.py", "_native.pyi")


def files() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if str(path.relative_to(SOURCE)) not in FRONT)


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports_of(tree: ast.AST, *, everywhere: bool) -> set[str]:
    """Modules that are imported at module level, or anywhere; TYPE_CHECKING blocks do not count."""
    nodes = ast.walk(tree) if everywhere else _top_level(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            # `from package import submodule` is an import of the submodule, not of the package's own names.
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            known = {
                name
                for name in inner
                if (SOURCE.parent / Path(*name.split("."))).with_suffix(".py").is_file()
            }
            known |= {name for name in inner if (SOURCE.parent / Path(*name.split("."))).is_dir()}
            found |= known
            if known != inner:
                found.add(node.module)
    return found


def _top_level(tree: ast.AST):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            yield from _top_level(node)
        yield node


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_file_imports_only_from_rooms_above_its_own(path):
    room = room_of(path)
    assert room in ROOMS or room.startswith("_"), f"{path} is in no known room"
    if room not in ROOMS:
        return
    for module in imports_of(ast.parse(path.read_text()), everywhere=True):
        if module.startswith("recurra.") and (other := module.split(".")[1]) in ROOMS:
            assert ROOMS.index(other) <= ROOMS.index(room), (
                f"{path.name} in {room} imports {module}, which is below"
            )


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_torch_is_not_imported_at_module_level_outside_the_workshop(path):
    name = str(path.relative_to(SOURCE).with_suffix(""))
    if room_of(path) in TORCH_ROOMS or name.startswith(TORCH_FILES):
        return
    heavy = {module.split(".")[0] for module in imports_of(ast.parse(path.read_text()), everywhere=False)}
    assert not heavy & {"torch", "sklearn", "scipy", "matplotlib", "pandas", "polars", "onnx", "onnxruntime"}


def test_modules_import_each_other_without_a_cycle():
    graph: dict[str, set[str]] = {}
    names = {".".join(("recurra", *p.relative_to(SOURCE).with_suffix("").parts)): p for p in files()}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    for name, path in names.items():
        graph[name] = {m for m in imports_of(ast.parse(path.read_text()), everywhere=False) if m in names} - {
            name
        }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for other in graph[name]:
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_public_names_are_these():
    expected = {
        *(
            "BPE",
            "Bytes",
            "Characters",
            "Classifier",
            "Comparison",
            "Dataset",
            "Ensemble",
            "Events",
            "FrameModel",
            "LanguageModel",
            "Network",
            "Ragged",
            "RecurraError",
        ),
        *(
            "Regressor",
            "Signal",
            "Tagger",
            "Tags",
            "Tokens",
            "Training",
            "Words",
            "compare",
            "demo_reviews",
            "errors",
            "explain",
            "from_torch",
            "inspect",
        ),
        *("load", "nn", "read", "__version__"),
    }
    assert sorted(recurra.__all__) == sorted(expected)
    for name in recurra.__all__:
        assert getattr(recurra, name) is not None


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


HEAVY = {
    "torch",
    "sklearn",
    "scipy",
    "matplotlib",
    "pandas",
    "polars",
    "onnx",
    "fastapi",
    "uvicorn",
    "jinja2",
}


def test_importing_recurra_loads_nothing_heavy():
    assert (
        not loaded_by("import recurra; recurra.Ragged; recurra.Network; recurra.load; recurra.Words") & HEAVY
    )


def test_help_loads_neither_torch_nor_a_web_stack():
    code = "from recurra.cli.app import run\nimport contextlib, io\n"
    code += "with contextlib.redirect_stdout(io.StringIO()): run(['--help'])"
    assert not loaded_by(code) & HEAVY


def test_importing_changes_no_global_state():
    code = """
import random, numpy, signal, threading
before = random.getstate(), numpy.random.get_state()[1].tolist(), signal.getsignal(signal.SIGINT)
import recurra
for name in recurra.__all__: getattr(recurra, name)
after = random.getstate(), numpy.random.get_state()[1].tolist(), signal.getsignal(signal.SIGINT)
assert before == after
"""
    subprocess.run([sys.executable, "-c", code], check=True)
