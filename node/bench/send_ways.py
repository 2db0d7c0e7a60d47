"""The ways of sending a folder over C-STORE: the node's SCU, and pynetdicom's as documented."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread
from pynetdicom import AE

from node.bench.performing import Performance
from node.delivery.scu import Fate, classify, send_instances
from node.vocabulary import PeerAddress

TITLE = "BENCHSCU"
TIMEOUT_SECONDS = 60.0
SUCCESS = 0x0000
ATTEMPTS = 3


def with_radnode() -> Performance:
    """Send as the outbox does."""

    def perform(folder: str, ae_title: str, host: str, port: str) -> int:
        peer = PeerAddress(ae_title, host, int(port))
        answers = send_instances(TITLE, peer, _files(folder), TIMEOUT_SECONDS)
        return sum(classify(answer.status) is Fate.SENT for answer in answers)

    return Performance(perform, _facts)


def with_pynetdicom() -> Performance:
    """Send as the documentation shows it: each file is read and handed to `send_c_store`.

    pynetdicom sometimes misses an answer and loses the association; as a script must, it then opens another.
    """

    def perform(folder: str, ae_title: str, host: str, port: str) -> int:
        paths = _files(folder)
        first = dcmread(paths[0], stop_before_pixels=True)
        entity = AE(TITLE)
        entity.add_requested_context(first.SOPClassUID, first.file_meta.TransferSyntaxUID)
        association = entity.associate(host, int(port), ae_title=ae_title)
        taken = 0
        for path in paths:
            for _ in range(ATTEMPTS):
                if not association.is_established:
                    association = entity.associate(host, int(port), ae_title=ae_title)
                if association.send_c_store(dcmread(path)).get("Status") == SUCCESS:
                    taken += 1
                    break
        association.release()
        return taken

    return Performance(perform, _facts)


def _files(folder: str) -> list[Path]:
    return sorted(Path(folder).rglob("*.dcm"))


def _facts(taken: int) -> dict[str, float | str]:
    return {"taken": taken}
