"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images and validators beside our own checkouts."""
    root = Path(os.environ.get("RADNODE_SHARED", REPOSITORY.parent / "shared")).resolve()
    if not (root / "data").is_dir():
        pytest.skip(f"needs real images: no data/ in {root}; set RADNODE_SHARED to the folder that has them")
    return root
