"""The whole way: from the last image received by an idle node to its SEG acknowledged by a PACS."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version

from node.bench.comparison import OURS, Task
from node.bench.cost import Cost, Gauge
from node.bench.passage import Passage, steps_ms
from node.bench.plan import Benchmark, Plan
from node.bench.programs import storescp
from node.bench.running import start, wait_until_idle
from node.demo.process import NodeProcess
from node.errors import BenchFailed

STUDIES, QUICK_STUDIES = 10, 1
SEGMENTATION = "segmentation"
INFERENCE = ("network_ms", "gate_ms")


def journey_tasks(plan: Plan) -> Iterator[Task]:
    """Yield one task, of the node alone, unless there is no PACS to send to."""
    studies = QUICK_STUDIES if plan.is_quick else STUDIES
    for pacs in start([storescp()], plan.folder, plan):
        plan.tell("starting radnode and its workers")
        node = plan.stack.enter_context(NodeProcess(plan.folder / "node", pacs.address))
        wait_until_idle(node.pid)
        passage = Passage(plan.folder / "studies", node, pacs.address.ae_title)
        ways = {OURS: partial(_perform, passage, studies, node.pid)}
        yield Task("from the last image received to its SEG in the PACS", 1, "studies", ways)


def _perform(passage: Passage, studies: int, pid: int) -> Cost:
    """Send so many studies, each when the one before has come back; the seconds are the median of a study's."""
    with Gauge(pid) as gauge:
        times = [_travel(passage) for _ in range(studies)]
    whole = gauge.cost()
    seconds, beyond = (statistics.median(column) for column in zip(*times, strict=True))
    return Cost(seconds, whole.cpu_seconds / studies, whole.memory_mib, {"seconds_beyond_inference": beyond})


def _travel(passage: Passage) -> tuple[float, float]:
    """Send one study; return the seconds from its last answer to its SEG's, and the same without inference."""
    study = passage.write()
    answered_at = passage.send([study])
    detail = passage.wait(study)
    sent_at = next((line.sent_at for line in detail.deliveries if line.kind == SEGMENTATION), None)
    if sent_at is None:
        raise BenchFailed(f"radnode: delivered {len(detail.deliveries)} results, expected a segmentation among them")
    seconds = (sent_at - answered_at).total_seconds()
    took = steps_ms(detail)
    return seconds, seconds - sum(took[step] for step in INFERENCE) / 1000


JOURNEY = Benchmark(
    "journey",
    "One radiograph, of a study that states it has no more, through an idle node with the bundled rules: seconds from "
    "the answer to its C-STORE to that of storescp to the SEG, the median of ten studies in each round.",
    lambda _: {OURS: version("radnode"), storescp().name: storescp().version},
    journey_tasks,
    has_listeners=True,
)
