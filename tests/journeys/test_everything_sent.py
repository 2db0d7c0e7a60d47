"""Whatever is sent, whole or broken: each instance ends in a named state with a reason, and the node lives on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from dcmtk import data_set_bytes
from pydicom import uid
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context
from receiving import ask
from served import ENDED, ServedNode
from site_model import NAME, write_site_model
from waiting import PATIENCE_SECONDS, until

from node.association.contexts import TRANSFER_SYNTAXES, supported_contexts
from node.association.statuses import StoreStatus
from node.database import Database
from node.delivery.scu import echo
from node.demo.pacs import SmallPacs
from node.studies.overview import StudyDetail, describe_study, list_studies
from node.vocabulary import PeerAddress

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
]

ROUTES = f"""
[[rule]]
name = "every radiograph"
model = "chest_dx_lungs"
destination = ["PACS"]

[[rule]]
name = "every CT"
model = "chest_ct_lungs"
destination = ["PACS"]

[[rule]]
name = "every MR"
model = "{NAME}"
destination = ["PACS"]
"""


@dataclass(frozen=True)
class Sent:
    """A file, and how the node answered it: a status, or None when it took no context for it."""

    path: Path
    status: int | None


@dataclass(frozen=True)
class Scene:
    """A node that was sent everything there is, and what it said."""

    node: ServedNode
    sent: list[Sent]
    details: list[StudyDetail]


@pytest.fixture(scope="module")
def scene(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("everything")
    models = write_site_model(folder / "models").parent
    files = sorted((shared / "data" / "dicom_misc").rglob("*.dcm"))
    assert len(files) > 150
    with SmallPacs(folder / "pacs", "PACS") as pacs:
        home = folder / "node"
        home.mkdir()
        node = ServedNode(home, pacs, f'[node]\nmodels = ["{models}"]\n')
        (home / "routes.toml").write_text(ROUTES)
        node.start()
        try:
            sent = [Sent(path, send_as_it_is(node, path)) for path in files]
            database = Database(home / "radnode-data" / "radnode.db")
            until(lambda: {line.state for line in list_studies(database)} <= ENDED, home / "node.log")
            details = [describe_study(database, line.study_instance_uid) for line in list_studies(database)]
            yield Scene(node, sent, details)
        finally:
            node.stop()


def send_as_it_is(node: ServedNode, path: Path) -> int | None:
    """Send a file's bytes under the names it gives itself, or as a CT where it gives none."""
    try:
        meta = read_file_meta_info(path)
        context = (meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
        instance, data_set = meta.MediaStorageSOPInstanceUID, data_set_bytes(path)
    except (InvalidDicomError, AttributeError):
        context, instance, data_set = (uid.CTImageStorage, uid.ExplicitVRLittleEndian), "2.25.99", path.read_bytes()
    entity = AE("PACS")
    entity.acse_timeout = entity.dimse_timeout = PATIENCE_SECONDS
    association = entity.associate("127.0.0.1", node.port, [build_context(*context)])
    if not association.is_established:
        return None
    request = C_STORE()
    request.MessageID, request.Priority = 1, 0
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = context[0], instance
    request.DataSet = BytesIO(data_set)
    response = ask(association, request)
    association.release()
    return int(response.Status)


def test_every_file_is_answered_with_a_status_of_the_standard(scene: Scene) -> None:
    classes = supported_contexts()
    for sent in scene.sent:
        if sent.status is None:
            meta = read_file_meta_info(sent.path)
            is_offered = meta.TransferSyntaxUID in TRANSFER_SYNTAXES
            assert not is_offered or meta.MediaStorageSOPClassUID not in classes, sent.path
        else:
            assert sent.status in set(StoreStatus), sent
    assert sum(sent.status == StoreStatus.SUCCESS for sent in scene.sent) > 120


def test_every_study_ends_in_a_named_state_with_a_reason(scene: Scene) -> None:
    assert len(scene.details) > 50
    for detail in scene.details:
        match detail.study.state:
            case "done":
                assert {job.state for job in detail.jobs} <= {"done", "cancelled"}
            case "unmatched":
                assert detail.decisions
                assert all(decision.reasons for decision in detail.decisions)
            case "attention":
                ended = [job for job in detail.jobs if job.state == "refused"]
                assert ended, detail.jobs
                assert all(len(job.reason) > 20 for job in ended)
            case state:
                assert state == "held"
                assert detail.study.reason


def test_no_job_failed_for_a_reason_nobody_named(scene: Scene) -> None:
    failed = [job for detail in scene.details for job in detail.jobs if job.state == "failed"]
    assert failed == []
    assert "Traceback" not in scene.node.log
    assert "worker died" not in scene.node.log


def test_the_node_still_answers_afterwards(scene: Scene) -> None:
    assert echo("PACS", PeerAddress("RADNODE", "127.0.0.1", scene.node.port), PATIENCE_SECONDS) > 0
