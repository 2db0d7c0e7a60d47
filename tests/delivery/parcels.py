"""A finished job whose results wait to be sent, and peers that answer, refuse or never do."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from builders import chest_dx, shaded_picture
from ending import end_entity
from pynetdicom import AE, AllStoragePresentationContexts, evt
from rows import Gathering, gathering
from sqlalchemy import select
from waiting import PATIENCE_SECONDS

from node.archive import AnnouncedInstance, Archive
from node.card import code_of
from node.database import Delivery
from node.delivery.outbox import Outbox
from node.jobs.queue import StoredResult
from node.peers import Peer
from node.results.encode import encode_results
from node.results.request import NodeDevice, ResultObject, ResultRequest
from node.settings import Settings
from node.states import DeliveryState
from node.studies.overview import describe_study, list_deliveries
from node.vocabulary import Finding, ModelIdentity

MODEL = ModelIdentity("chest_dx_lungs", "Chest X-ray lung segmentation", "1", "0" * 64)


def peer(port: int, ae_title: str = "PACS") -> Peer:
    return Peer(ae_title=ae_title, host="127.0.0.1", port=port)


@dataclass
class Scene:
    """A finished job whose results wait in the outbox for the peer PACS."""

    side: Gathering
    archive: Archive
    source: Path
    study_uid: str

    def settings(self, peers: Mapping[str, Peer], **limits: float) -> Settings:
        delivery = self.side.settings.delivery.model_copy(update={"timeout_seconds": PATIENCE_SECONDS, **limits})
        return self.side.settings.model_copy(update={"delivery": delivery, "peers": peers})

    def outbox(self, port: int, **limits: float) -> Outbox:
        return self.outbox_to({"PACS": peer(port)}, **limits)

    def outbox_to(self, peers: Mapping[str, Peer], **limits: float) -> Outbox:
        settings = self.settings(peers, **limits)
        return Outbox(self.side.database, self.archive, settings, self.side.clock, random.Random(1))

    def also_to(self, destination: str) -> None:
        """Let every result go to one more destination."""
        with self.side.database.writing() as session:
            for delivery in session.scalars(select(Delivery).where(Delivery.destination == "PACS")).all():
                session.add(
                    Delivery(
                        result_id=delivery.result_id,
                        destination=destination,
                        state=DeliveryState.PENDING,
                        due_at=self.side.clock.now(),
                    )
                )

    def keep_one(self) -> None:
        """Leave one delivery only."""
        with self.side.database.writing() as session:
            for delivery in session.scalars(select(Delivery).offset(1)).all():
                delivery.state = DeliveryState.SENT

    def states(self, destination: str = "PACS") -> set[str]:
        return {line.state for line in list_deliveries(self.side.database) if line.destination == destination}

    def study_state(self) -> str:
        return describe_study(self.side.database, self.study_uid).study.state


def make_scene(folder: Path) -> Scene:
    side = gathering(folder)
    archive = Archive(folder)
    dataset = chest_dx(shaded_picture())
    announced = AnnouncedInstance(dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.file_meta.TransferSyntaxUID)
    kept = archive.keep(announced, encoded(dataset, folder))
    side.bring(kept)
    archive.settle(kept)
    side.complete()
    claim = side.queue.claim("worker-1")
    assert claim is not None
    results = [
        StoredResult(str(r.kind), r.sop_class_uid, r.sop_instance_uid, r.series_instance_uid,
                     *archive.store_result(r.encoded))
        for r in _results()
    ]  # fmt: skip
    side.queue.finish(claim, results)
    return Scene(side, archive, archive.path_of(kept.path), dataset.StudyInstanceUID)


@cache
def _results() -> tuple[ResultObject, ...]:
    """Encode the results of the one dataset that every scene is about."""
    dataset = chest_dx(shaded_picture())
    mask = np.zeros((dataset.Rows, dataset.Columns), bool)
    mask[10:30, 10:20] = True
    finding = Finding("lung", "Lung", code_of("AnatomicalStructure"), code_of("Lung"), None, (230, 120, 60), mask)
    request = ResultRequest(
        sources=(dataset,), findings=(finding,), remarks=(), model=MODEL, inputs_digest="1" * 64,
        pinned_at=datetime(2026, 1, 2, tzinfo=UTC), device=NodeDevice("RADNODE", "0"),
    )  # fmt: skip
    return encode_results(request)


def encoded(dataset: Any, folder: Path) -> bytes:
    path = folder / "source.dcm"
    dataset.save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    meta_length = int.from_bytes(content[140:144], "little")
    return content[144 + meta_length :]


@contextmanager
def scp(
    answer: int | Callable[[evt.Event], int] = 0x0000, port: int = 0, contexts: Any = AllStoragePresentationContexts
) -> Iterator[int]:
    """Run a peer that answers every C-STORE with one status; give its port."""
    entity = AE("PACS")
    entity.supported_contexts = list(contexts)
    entity.add_supported_context("1.2.840.10008.1.1")
    handler = answer if callable(answer) else lambda _event: answer
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, handler)])
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        end_entity(entity)


@contextmanager
def replying_peer(reply: bytes) -> Iterator[int]:
    """Answer every association request with these bytes; give the port."""

    def answer(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)
                    while connection.recv(65536):  # until the other side has closed
                        continue

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@contextmanager
def silent_peer() -> Iterator[int]:
    """Take connections and never say a word; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
