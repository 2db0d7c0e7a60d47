"""Loads one Python file of a model folder, by path, without touching the files beside it."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from node.errors import ModelCardError


def load_part(folder: Path, part: str) -> ModuleType:
    """Return the module `folder`/`part`.py, so that `from .preprocess import prepare` works inside it.

    The folder becomes a package of its own, known by its path, so two folders of one name do not
    meet. Keras is imported only if the part does so. Raises ModelCardError when there is no such
    file.
    """
    folder = folder.resolve()
    file = folder / f"{part}.py"
    if not file.is_file():
        raise ModelCardError(
            f"{folder.name}: no {part}.py in {folder}; a model folder needs architecture.py and preprocess.py"
        )
    package = _package(folder)
    name = f"{package}.{part}"
    if name in sys.modules:
        return sys.modules[name]
    return _execute(name, file)


def _package(folder: Path) -> str:
    """Register an empty package whose submodules are the files of `folder`, and return its name."""
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    name = f"radnode_model_{digest}"
    if name not in sys.modules:
        package = ModuleType(name, f"The model folder {folder}.")
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return name


def _execute(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ModelCardError(f"{file}: Python cannot load this file as a module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
