"""A receiving node for tests, and peers that say what no honest peer would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from dcmtk import data_set_bytes
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.association import Association as Requested
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_context
from sqlalchemy import select
from waiting import PATIENCE_SECONDS, until

from node.archive import Archive
from node.archive.journal import Journal
from node.association import CommitmentService, Listener, ListenerSettings
from node.clock import SystemClock
from node.commitment.pledges import Pledges
from node.commitment.requests import RequestBook
from node.database import Association, Database, Instance
from node.delivery.scu import StoreAnswer, send_instances
from node.settings import Settings
from node.studies.index import InstanceIndex
from node.vocabulary import PeerAddress

# A node that receives, in a process of its own: its argument is its folder, its first line its port.
SERVE = """
import sys
from pathlib import Path
from node.archive import Archive
from node.archive.journal import Journal
from node.association import CommitmentService, Listener, ListenerSettings
from node.clock import SystemClock
from node.commitment.pledges import Pledges
from node.commitment.requests import RequestBook
from node.database import Database
from node.settings import Settings
from node.studies.index import InstanceIndex
root, clock = Path(sys.argv[1]), SystemClock()
database = Database(root / "node.db")
database.migrate()
journal = Journal(root / "archive", clock.boot_id, database.sync, is_flushed="process" not in sys.argv)
archive = Archive(root / "archive", durability=journal)
journal.replay(archive.put_back)
journal.start()
index = InstanceIndex(database, clock, flushes_instances=False)
settings = Settings()
commitment = CommitmentService(RequestBook(database, settings, clock), Pledges(database, settings.delivery, clock))
listener = Listener(ListenerSettings("RADNODE", "127.0.0.1", 0), archive, index, commitment)
listener.start()
print(listener.port, flush=True)
sys.stdin.read()
listener.stop()
"""


@dataclass
class Node:
    """What receives: a listener with a real archive and a real database behind it."""

    listener: Listener
    archive: Archive
    database: Database

    @property
    def address(self) -> PeerAddress:
        return PeerAddress("RADNODE", "127.0.0.1", self.listener.port)

    @property
    def instances(self) -> dict[str, Path]:
        """Where each instance in the index lies, by its SOP Instance UID."""
        with self.database.reading() as session:
            return {row.sop_instance_uid: self.archive.path_of(row.path) for row in session.scalars(select(Instance))}

    def associations(self) -> list[Association]:
        with self.database.reading() as session:
            return list(session.scalars(select(Association).order_by(Association.id)))

    def endings(self) -> list[str]:
        """How each association ended, once all have."""
        until(lambda: all(row.closed_at is not None for row in self.associations()))
        return [row.closed_how for row in self.associations()]

    def files(self, folder: str) -> list[Path]:
        """Every file of a folder of the archive, without those that the journal keeps to write to."""
        found = self.archive.path_of(folder).rglob("*")
        return [path for path in found if path.is_file() and path.parent.name != "journal"]


@contextmanager
def running(
    root: Path,
    reserve_bytes: int = 0,
    archive_root: Path | None = None,
    busy_seconds: float = 30.0,
    is_journaled: bool = True,
    **settings: Any,
) -> Iterator[Node]:
    """Run what receives, as the node does; a disk too small for a journal has each file flushed."""
    database, clock = Database(root / "node.db", busy_seconds), SystemClock()
    database.migrate()
    folder = archive_root or root / "archive"
    journal = Journal(folder, clock.boot_id, database.sync)
    archive = Archive(folder, reserve_bytes, journal if is_journaled else None)
    journal.replay(archive.put_back)
    journal.start(is_used=is_journaled)
    index = InstanceIndex(database, clock, flushes_instances=not is_journaled)
    listening = ListenerSettings("RADNODE", "127.0.0.1", 0, **settings)
    known = Settings(peers={peer.ae_title: peer for peer in listening.peers})
    commitment = CommitmentService(RequestBook(database, known, clock), Pledges(database, known.delivery, clock))
    node = Node(Listener(listening, archive, index, commitment), archive, database)
    node.listener.start()
    try:
        yield node
    finally:
        node.listener.stop()
        journal.close()
        database.close()


@contextmanager
def served(root: Path) -> Iterator[tuple[int, int]]:
    """Run a node in a process of its own; give its process id and its port."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        yield process.pid, int(process.stdout.readline())
        process.stdin.close()


def send(node: Node, *paths: Path) -> list[StoreAnswer]:
    return list(send_instances("MODALITY", node.address, paths, PATIENCE_SECONDS))


@contextmanager
def associated(node: Node, path: Path) -> Iterator[Requested]:
    """Associate as a peer that may say anything afterwards."""
    ae = AE("MODALITY")
    dataset = dcmread(path)
    ae.requested_contexts = [build_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)]
    ae.acse_timeout = ae.dimse_timeout = PATIENCE_SECONDS
    association = ae.associate(node.address.host, node.address.port)
    assert association.is_established
    raw = association.dul.socket.socket
    try:
        yield association
    finally:
        association.abort()
        raw.close()  # which pynetdicom leaves to the collector when the connection is gone already


def request_of(path: Path, **changes: str) -> C_STORE:
    """Return a C-STORE request for the file, with a command set that may say something else."""
    meta = dcmread(path, stop_before_pixels=True).file_meta
    request = C_STORE()
    request.MessageID, request.Priority = 1, 0
    request.AffectedSOPClassUID = meta.MediaStorageSOPClassUID
    request.AffectedSOPInstanceUID = meta.MediaStorageSOPInstanceUID
    request.DataSet = BytesIO(data_set_bytes(path))
    for keyword, value in changes.items():
        setattr(request, keyword, value)
    return request


def ask(association: Requested, request: C_STORE) -> Any:
    """Send a request as it is and return the response."""
    association._reactor_checkpoint.clear()
    until(lambda: association._is_paused)
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return response


def answer_to(node: Node, path: Path, data_set: bytes | None = None, **changes: str) -> tuple[int, str]:
    """Return status and comment for a request that need not be what the file says."""
    request = request_of(path, **changes)
    if data_set is not None:
        request.DataSet = BytesIO(data_set)
    with associated(node, path) as association:
        response = ask(association, request)
        return response.Status, response.ErrorComment or ""


def start_of_store(path: Path, context_id: int, keep_bytes: int) -> bytes:
    """Return the PDUs of a C-STORE request of which only so many bytes of the data set ever come."""
    message = C_STORE_RQ()
    message.primitive_to_message(request_of(path))
    pdus = b"".join(P_DATA_TF(piece).encode() for piece in message.encode_msg(context_id, 4096))
    return pdus[:keep_bytes]
