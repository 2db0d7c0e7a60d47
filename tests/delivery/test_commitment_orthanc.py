"""A real Orthanc is asked to commit to what it was sent, and reports on an association of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dcmtk import free_port
from delivery.parcels import Scene
from orthanc import HTTP_PORT, PORT, Namespace, Orthanc, namespace, orthanc, require_orthanc
from sqlalchemy import update

from node.database import Delivery
from node.studies.overview import list_deliveries

ASKING = """
import random, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from delivery.committing import our_listener
from node.archive import Archive
from node.clock import SystemClock
from node.commitment.pledges import Pledges
from node.commitment.questions import Questions
from node.database import Database
from node.delivery.inquiries import Inquiries
from node.delivery.outbox import Outbox
from node.peers import Peer
from node.settings import Settings
root, verb, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
peer = Peer(ae_title="ORTHANC", host="127.0.0.1", port=int(sys.argv[5]), commitment=True)
settings, clock, database = Settings(peers={"PACS": peer}), SystemClock(), Database(root / "radnode.db")
pledges, questions = Pledges(database, settings.delivery, clock), Questions(database, settings, clock)
if verb == "send":
    assert Outbox(database, Archive(root), settings, clock, random.Random(1)).send_due("PACS")
else:
    with our_listener(pledges, port) as (_, heard):
        assert Inquiries(questions, pledges, settings, clock, random.Random(1)).send_due("PACS")
        deadline = time.monotonic() + 30
        while not heard and time.monotonic() < deadline:
            time.sleep(0.1)
        assert heard, "Orthanc did not report"
database.close()
"""


@pytest.fixture
def node_port() -> int:
    return free_port()


@pytest.fixture
def archive(tmp_path: Path, node_port: int) -> Iterator[tuple[Namespace, Orthanc]]:
    require_orthanc()
    with namespace() as network, orthanc(network, tmp_path / "orthanc", node_port) as running:
        yield network, running


def test_orthanc_commits_to_what_it_has_and_gets_again_what_it_lost(
    scene: Scene, archive: tuple[Namespace, Orthanc], tmp_path: Path, node_port: int
) -> None:
    network, running = archive

    def take(verb: str) -> list[tuple[str, str]]:
        tests = Path(__file__).resolve().parent.parent
        done = network.run(sys.executable, "-c", ASKING, tmp_path, verb, node_port, tests, PORT)
        assert done.returncode == 0, done.stderr.decode()
        return [(line.state, line.answer) for line in list_deliveries(scene.side.database)]

    assert take("send") == [("sent", "0000")] * 4
    lost = json.loads(running.get("/instances"))[0]
    network.run("curl", "--fail", "--noproxy", "*", "-X", "DELETE", f"http://127.0.0.1:{HTTP_PORT}/instances/{lost}")
    assert sorted(take("ask")) == [("committed", "committed")] * 3 + [
        ("retrying", "not committed: 0112 no such object instance")
    ]
    wait_until_due(scene)
    assert [state for state, _ in take("send")].count("sent") == 1
    assert take("ask") == [("committed", "committed")] * 4


def wait_until_due(scene: Scene) -> None:
    """Let what is to be sent again be due at once."""
    with scene.side.database.writing() as session:
        session.execute(update(Delivery).values(due_at=scene.side.clock.now()))
