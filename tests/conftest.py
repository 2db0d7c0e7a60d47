"""Fixtures every test may use, and the rule that our own test run skips nothing."""

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Turn a skip into a failure where RADNODE_NO_SKIPS is set."""
    report = yield
    if report.skipped and os.environ.get("RADNODE_NO_SKIPS"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped, and RADNODE_NO_SKIPS is set: {report.longrepr}"
    return report
