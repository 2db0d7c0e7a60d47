"""Copies of a bundled model, for tests that spoil one or give it another name."""

from __future__ import annotations

import shutil
from pathlib import Path

from node.catalog import bundled_models


def copy_model(name: str, folder: Path) -> Path:
    """Copy a bundled model to this folder, without its gate, which is another model; return the folder."""
    shutil.copytree(bundled_models() / name, folder)
    card = folder / "model.toml"
    lines = card.read_text().splitlines(keepends=True)
    card.write_text("".join(line for line in lines if not line.startswith("gate = ")))
    return folder
