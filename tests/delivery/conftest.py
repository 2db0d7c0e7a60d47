"""What every test of the outbox starts from."""

from __future__ import annotations

from pathlib import Path

import pytest
from dcmtk import free_port
from delivery.parcels import Scene, make_scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path)


@pytest.fixture
def closed_port() -> int:
    return free_port()
