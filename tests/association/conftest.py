"""What every test of the SCP starts from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dcmtk import misc_files
from receiving import Node, running


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with running(tmp_path) as started:
        yield started


@pytest.fixture
def ct(shared: Path) -> Path:
    return misc_files(shared, "CT_d7ed60")[0]
