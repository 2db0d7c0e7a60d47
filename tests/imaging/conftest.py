"""Whole series of real scanners, unpacked once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from volumes import read_all, unpack

SeriesReader = Callable[[str], list[Dataset]]


@pytest.fixture(scope="session")
def series_folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of the real series whose archive begins with a name."""

    @cache
    def folder(name: str) -> Path:
        (archive,) = (shared / "data").glob(f"*/{name}*.tar.xz")
        target = tmp_path_factory.mktemp(name)
        unpack(archive, target)
        return target

    return folder


@pytest.fixture(scope="session")
def real_series(series_folder: Callable[[str], Path]) -> SeriesReader:
    """Return the instances of the real series whose archive begins with a name, in the order of their files."""

    def read(name: str) -> list[Dataset]:
        return read_all(sorted(path for path in series_folder(name).rglob("*") if path.is_file()))

    return read
