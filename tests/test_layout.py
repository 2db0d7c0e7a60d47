"""The tree keeps its shape: who imports whom, which library lives where, how long a module may be."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from conftest import REPOSITORY

NODE = REPOSITORY / "node"
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
FORBIDDEN_NAMES = {"utils", "util", "common", "misc", "manager", "helpers"}

MENDED_PYDICOM = (3, 0, 2)  # CVE-2026-32711

# Which parts of the tree may import a library; "" stands for the modules directly in node/.
LIBRARY_HOMES = {
    "pynetdicom": {"association", "delivery", "demo", "bench"},
    "sqlalchemy": {"audit", "bench", "commitment", "database", "studies", "jobs", "delivery", "inference", "upkeep"},
    "SimpleITK": {"imaging", "training", "models", "bench"},
    "tensorflow": {"bench", "inference", "training", "models"},
    "keras": {"inference", "networks", "training", "models"},
    "highdicom": {"results", "bench"},
    "imagecodecs": {"imaging", "bench"},
    "openvino": {"inference"},
}


def modules() -> list[Path]:
    return sorted([*NODE.rglob("*.py"), *(REPOSITORY / "models").rglob("*.py")])


def package_of(path: Path) -> str:
    """Return the package under node/ (or "models") that a module belongs to."""
    if NODE not in path.parents:
        return "models"
    parts = path.relative_to(NODE).parts
    return parts[0] if len(parts) > 1 else ""


def imports_of(path: Path) -> Iterator[str]:
    for statement in ast.walk(ast.parse(path.read_text())):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            yield statement.module


def siblings_of(path: Path) -> set[Path]:
    """Return the module and every module of its folder that it imports, also through another."""
    found, pending = set(), [path]
    while pending:
        module = pending.pop()
        if module not in found and module.is_file():
            found.add(module)
            pending += [
                module.with_name(f"{statement.module}.py")
                for statement in ast.walk(ast.parse(module.read_text()))
                if isinstance(statement, ast.ImportFrom) and statement.module and statement.level == 1
            ]
    return found


def run_python(code: str, **settings: str) -> str:
    command, environment = [sys.executable, "-c", code], os.environ | settings
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY, env=environment)
    return answer.stdout


def test_imports_point_down_and_never_sideways() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize("library", LIBRARY_HOMES)
def test_each_large_library_has_its_homes(library: str) -> None:
    strangers = {
        str(path.relative_to(REPOSITORY))
        for path in modules()
        for name in imports_of(path)
        if name.split(".")[0] == library and package_of(path) not in LIBRARY_HOMES[library]
    }
    assert not strangers


def test_what_serving_needs_of_a_model_imports_no_keras() -> None:
    strangers = {
        str(path.relative_to(REPOSITORY))
        for preprocess in (REPOSITORY / "models").glob("*/preprocess.py")
        for path in siblings_of(preprocess)
        for name in imports_of(path)
        if name.split(".")[0] in {"keras", "tensorflow"}
    }
    assert not strangers


def test_building_the_whole_node_process_loads_no_inference_library() -> None:
    code = "import sys, node.service; print(*sorted({'tensorflow', 'keras', 'openvino', 'jax'} & set(sys.modules)))"
    assert run_python(code).strip() == ""


def test_a_worker_starts_without_what_only_some_models_need_and_without_what_migrates_the_database() -> None:
    needless = {"tensorflow", "keras", "openvino", "SimpleITK", "alembic"}
    code = f"import sys, node.inference.worker; print(*sorted({needless} & set(sys.modules)))"
    assert run_python(code).strip() == ""


def test_the_node_process_has_no_code_that_decodes_pixels() -> None:
    code = "import sys, node.cli, node.service; print(*sorted(n for n in sys.modules if n.startswith('node.imaging.')))"
    loaded = {name.rsplit(".")[-1] for name in run_python(code).split()}
    decoding = {path.stem for path in NODE.rglob("*.py") if "pydicom.pixels" in set(pixel_imports(path))}
    assert "decoding" in decoding
    assert loaded & decoding == set()


def pixel_imports(path: Path) -> Iterator[str]:
    """Yield the libraries that decode among the imports of a module of imaging."""
    if package_of(path) == "imaging":
        yield from (".".join(name.split(".")[:2]) for name in imports_of(path))


def test_a_serving_node_cannot_decode_even_by_mistake() -> None:
    code = (
        "from pydicom.pixels.decoders.base import get_decoder; from pydicom.uid import JPEG2000, JPEGBaseline8Bit;"
        "from node.service import forbid_decoding; before = bool(get_decoder(JPEG2000).available_plugins);"
        "forbid_decoding(); print(before, *(get_decoder(s).available_plugins for s in (JPEG2000, JPEGBaseline8Bit)))"
    )
    assert run_python(code).strip() == "True () ()"


def test_the_process_that_serves_has_given_up_its_decoders(tmp_path: Path) -> None:
    config = REPOSITORY / "config" / "node.toml"
    code = (
        "import os, signal, threading, time\n"
        "from pydicom.pixels.decoders.base import get_decoder\n"
        "from pydicom.uid import JPEG2000\n"
        "from node.cli import main\n"
        "def end_once_it_listens_to_signals():\n"
        "    while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL: time.sleep(0.05)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "threading.Thread(target=end_once_it_listens_to_signals, daemon=True).start()\n"
        f"main(['serve', '--config', {str(config)!r}], standalone_mode=False)\n"
        "print(get_decoder(JPEG2000).available_plugins)"
    )
    settings = {"RADNODE_DATA": str(tmp_path), "RADNODE_DICOM_PORT": "0"}
    assert run_python(code, **settings).strip() == "()"


def test_what_parses_untrusted_bytes_is_pinned_above_its_known_holes() -> None:
    requirements = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    (stated,) = [line for line in requirements if line.startswith("pydicom")]
    least = re.search(r">=([\d.]+)", stated)
    assert least is not None
    for found in (least[1], version("pydicom")):
        assert tuple(map(int, found.split("."))) >= MENDED_PYDICOM


def test_nothing_in_node_names_a_model() -> None:
    models = {path.parent.name for path in (REPOSITORY / "models").glob("*/model.toml")}
    assert models
    strangers = [
        (path.name, model) for path in NODE.rglob("*.py") for model in models if model in path.read_text()
    ]
    assert not strangers


def test_no_module_is_too_long_to_read() -> None:
    lengths = {str(path): len(path.read_text().splitlines()) for path in modules()}
    assert not {path: length for path, length in lengths.items() if length > LONGEST_MODULE}


def test_no_function_is_too_long_to_read() -> None:
    long = [
        (path.name, function.name)
        for path in modules()
        if "migrations" not in path.parts
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        and function.end_lineno is not None
        and function.end_lineno - function.lineno >= LONGEST_FUNCTION
    ]
    assert not long


def test_no_name_says_nothing() -> None:
    assert not [path for path in modules() if path.stem in FORBIDDEN_NAMES or path.parent.name in FORBIDDEN_NAMES]


def test_every_module_says_what_it_is_for() -> None:
    assert not [str(path) for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))]


def test_folders_are_two_deep_at_most() -> None:
    deep = [path for path in NODE.rglob("*.py") if len(path.relative_to(NODE).parts) > 2]
    assert not [path for path in deep if "migrations" not in path.parts]
