"""Studies of one made-up radiograph each, sent to a node that is running, until their results are with the PACS."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset

from node.clock import SystemClock
from node.database import Database
from node.delivery.scu import Fate, classify, send_instances
from node.demo.beam import BITS
from node.demo.phantoms import SPACING_MM, draw_phantom
from node.demo.process import NodeProcess
from node.demo.wrapping import ChestHeader, wrap_chest, write_instance
from node.errors import BenchFailed
from node.states import DeliveryState
from node.studies.overview import StudyDetail, describe_study

PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.05
STEPS_MS = ("read_ms", "gate_ms", "prepare_ms", "network_ms", "interpret_ms", "encode_ms")


@dataclass(frozen=True)
class WrittenStudy:
    """A study that lies on disk and is to be sent."""

    path: Path
    study_uid: str


class Passage:
    """The way through a node whose default rules send results back to the sender."""

    def __init__(self, folder: Path, node: NodeProcess, sender: str) -> None:
        """Write studies to `folder`, and send them as the AE title `sender`."""
        self._folder = folder
        self._node = node
        self._sender = sender
        self._database = Database(node.settings.database_file)
        self._written = 0
        self._clock = SystemClock()

    def write(self) -> WrittenStudy:
        """Write a study of one radiograph."""
        self._written += 1
        dataset = make_up_radiograph(self._written)
        return WrittenStudy(write_instance(dataset, self._folder), str(dataset.StudyInstanceUID))

    def send(self, studies: Sequence[WrittenStudy]) -> datetime:
        """Send studies over one association and return when the last was answered; raises BenchFailed."""
        paths = [study.path for study in studies]
        for answer in send_instances(self._sender, self._node.address, paths, PATIENCE_SECONDS):
            answered_at = self._clock.now()
            if classify(answer.status) is not Fate.SENT:
                raise BenchFailed(f"radnode: answered {answer.text} to an instance, expected success")
        return answered_at

    def wait(self, study: WrittenStudy) -> StudyDetail:
        """Return what became of a study once all its results are with the PACS; raises BenchFailed when none come."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self._node.check()
            detail = describe_study(self._database, study.study_uid)
            if detail.deliveries and all(line.state == DeliveryState.SENT for line in detail.deliveries):
                return detail
            time.sleep(POLL_SECONDS)
        raise BenchFailed(f"radnode: results not delivered within {PATIENCE_SECONDS:.0f} s, expected a SEG and more")


def make_up_radiograph(number: int) -> Dataset:
    """Return a radiograph of a study of its own, which states that it is all, as a modality worklist lets it."""
    word = f"BENCH-{number}"
    header = ChestHeader(patient_id=word, accession_number=word, bits=BITS, spacing=SPACING_MM)
    dataset = wrap_chest(draw_phantom(number).picture, header)
    dataset.NumberOfStudyRelatedInstances = 1
    return dataset


def steps_ms(detail: StudyDetail) -> dict[str, float]:
    """Return how many milliseconds each step of a study's jobs took."""
    done = [event.detail for event in detail.events if event.name == "job done"]
    return {step: sum(float(event.get(step, 0)) for event in done) for step in STEPS_MS}
