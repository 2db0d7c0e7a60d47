"""The whole way: from the last image received by an idle node to its SEG acknowledged by a PACS."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from node.bench.comparison import OURS, Task
from node.bench.cost import Cost, Gauge
from node.bench.plan import Benchmark, Plan
from node.bench.programs import storescp
from node.bench.running import start, wait_until_idle
from node.clock import SystemClock
from node.database import Database
from node.delivery.scu import Fate, classify, send_instances
from node.demo.beam import BITS
from node.demo.phantoms import SPACING_MM, draw_phantom
from node.demo.process import NodeProcess
from node.demo.wrapping import ChestHeader, wrap_chest, write_instance
from node.errors import BenchFailed
from node.states import DeliveryState
from node.studies.overview import DeliveryLine, StudyDetail, describe_study

STUDIES, QUICK_STUDIES = 10, 1
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.05
SEGMENTATION = "segmentation"


class Journey:
    """An idle node whose default rules send results back to the sender, and studies that are sent one by one."""

    def __init__(self, folder: Path, node: NodeProcess, sender: str) -> None:
        """Write studies to `folder`, and send them as the AE title `sender`."""
        self._folder = folder
        self._node = node
        self._sender = sender
        self._database = Database(node.settings.database_file)
        self._sent = 0
        self._clock = SystemClock()

    def perform(self, studies: int, pid: int) -> Cost:
        """Send so many studies, each when the one before has come back; the seconds are the median of a study's."""
        with Gauge(pid) as gauge:
            times = [self._travel() for _ in range(studies)]
        whole = gauge.cost()
        seconds, beyond = (statistics.median(column) for column in zip(*times, strict=True))
        return Cost(seconds, whole.cpu_seconds / studies, whole.memory_mib, {"seconds_beyond_inference": beyond})

    def _travel(self) -> tuple[float, float]:
        """Send one study; return the seconds from its last answer to its SEG's, and the same without inference."""
        path, study_uid = self._write_study()
        for answer in send_instances(self._sender, self._node.address, [path], PATIENCE_SECONDS):
            answered_at = self._clock.now()
            if classify(answer.status) is not Fate.SENT:
                raise BenchFailed(f"radnode: answered {answer.text} to an instance, expected success")
        detail, segmentation = self._wait(study_uid)
        assert segmentation.sent_at is not None
        seconds = (segmentation.sent_at - answered_at).total_seconds()
        return seconds, seconds - _inference_seconds(detail)

    def _write_study(self) -> tuple[Path, str]:
        """Write a study of one radiograph, which states that it is all, as a modality worklist lets it."""
        self._sent += 1
        header = ChestHeader(accession_number=f"BENCH-{self._sent}", bits=BITS, spacing=SPACING_MM)
        dataset = wrap_chest(draw_phantom(self._sent).picture, replace(header, patient_id=f"BENCH-{self._sent}"))
        dataset.NumberOfStudyRelatedInstances = 1
        return write_instance(dataset, self._folder), str(dataset.StudyInstanceUID)

    def _wait(self, study_uid: str) -> tuple[StudyDetail, DeliveryLine]:
        """Return what became of a study once all its results are with the PACS; raises BenchFailed when none come."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self._node.check()
            detail = describe_study(self._database, study_uid)
            lines = {line.kind: line for line in detail.deliveries}
            if lines and all(line.state == DeliveryState.SENT for line in detail.deliveries) and SEGMENTATION in lines:
                return detail, lines[SEGMENTATION]
            time.sleep(POLL_SECONDS)
        raise BenchFailed(f"radnode: no segmentation delivered within {PATIENCE_SECONDS:.0f} s, expected one")


def journey_tasks(plan: Plan) -> Iterator[Task]:
    """Yield one task, of the node alone, unless there is no PACS to send to."""
    studies = QUICK_STUDIES if plan.is_quick else STUDIES
    for pacs in start([storescp()], plan.folder, plan):
        plan.tell("starting radnode and its worker")
        node = plan.stack.enter_context(NodeProcess(plan.folder / "node", pacs.address))
        wait_until_idle(node.pid)
        journey = Journey(plan.folder / "studies", node, pacs.address.ae_title)
        ways = {OURS: partial(journey.perform, studies, node.pid)}
        yield Task("from the last image received to its SEG in the PACS", 1, "studies", ways)


def _inference_seconds(detail: StudyDetail) -> float:
    """Return how long the networks of a study's jobs ran, the gate's included."""
    done = [event.detail for event in detail.events if event.name == "job done"]
    return sum(float(event.get(name, 0)) for event in done for name in ("network_ms", "gate_ms")) / 1000


JOURNEY = Benchmark(
    "journey",
    "One radiograph, of a study that states it has no more, through an idle node with the bundled rules: seconds from "
    "the answer to its C-STORE to that of storescp to the SEG, the median of ten studies in each round.",
    lambda _: {OURS: version("radnode"), storescp().name: storescp().version},
    journey_tasks,
    has_listeners=True,
)
