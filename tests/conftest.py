"""Fixtures every test may use, and the rule that our own test run skips nothing."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pynetdicom.transport import AssociationSocket

from node.settings import variable_name

REPOSITORY = Path(__file__).resolve().parent.parent

# What takes longest begins first, so that no core has to wait for it in the end.
FIRST = ("journeys", "bench", "inference", "results", "models", "training")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the folders of tests."""
    places = {folder: place for place, folder in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.path.parent.name, len(FIRST)))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images and validators beside our own checkouts."""
    root = Path(os.environ.get("RADNODE_SHARED", REPOSITORY.parent / "shared")).resolve()
    if not (root / "data").is_dir():
        pytest.skip(f"needs real images: no data/ in {root}; set RADNODE_SHARED to the folder that has them")
    return root


@pytest.fixture(scope="session", autouse=True)
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that every node of this session keeps converted networks in: the first that needs one converts it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = Path(os.environ.setdefault(variable_name("workers", "artefacts"), str(base / "networks")))
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def closed_sockets() -> Iterator[None]:
    """Let pynetdicom close the socket of a peer that has gone.

    It cannot shut that down, and leaves it to the collector, whose warning fails whichever test runs by then.
    """

    def close(self: AssociationSocket) -> None:
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AssociationSocket, "_shutdown_socket", close)
        yield


@pytest.fixture
def note_figures(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Add what a long test counted to dist/figures.jsonl, with the date, for docs/reliability.md."""

    def note(**figures: float | str) -> None:
        record = REPOSITORY / "dist" / "figures.jsonl"
        record.parent.mkdir(exist_ok=True)
        line = {"when": f"{datetime.now(UTC):%Y-%m-%d %H:%M}", "test": request.node.name} | figures
        with record.open("a") as file:
            file.write(json.dumps(line) + "\n")

    return note


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Turn a skip into a failure where RADNODE_NO_SKIPS is set."""
    report = yield
    if report.skipped and os.environ.get("RADNODE_NO_SKIPS"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped, and RADNODE_NO_SKIPS is set: {report.longrepr}"
    return report
