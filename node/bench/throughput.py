"""How many studies a minute: a backlog through the node as it is shipped, and with other numbers of workers."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import version

from node.bench.comparison import OURS, Task
from node.bench.cost import Cost, Gauge
from node.bench.passage import STEPS_MS, Passage, steps_ms
from node.bench.plan import Benchmark, Plan
from node.bench.programs import storescp
from node.bench.running import Running, start, wait_until_idle
from node.demo.process import NodeProcess

STUDIES, QUICK_STUDIES = 20, 2
COUNTS, QUICK_COUNTS = (1, 2, 3), (1,)


def throughput_tasks(plan: Plan) -> Iterator[Task]:
    """Yield one task, of the node with each number of workers, unless there is no PACS to send to."""
    studies, counts = (QUICK_STUDIES, QUICK_COUNTS) if plan.is_quick else (STUDIES, COUNTS)
    for pacs in start([storescp()], plan.folder, plan):
        ways = {OURS: _way(plan, pacs, studies, None)}
        for count in counts:
            ways[f"{OURS}, {count} worker{'s' * (count > 1)}"] = _way(plan, pacs, studies, count)
        yield Task(f"a backlog of {studies} radiographs to results in the PACS", studies, "studies", ways)


def _way(plan: Plan, pacs: Running, studies: int, count: int | None) -> partial[Cost]:
    """Start a node with so many workers, None for as many as it chooses, and return what it does in its turn."""
    plan.tell(f"starting radnode, [workers] count = {count or 'its own choice'}")
    folder = plan.folder / f"node{count or ''}"
    node = NodeProcess(folder, pacs.address, artefacts=plan.folder / "networks", workers=count)
    plan.stack.enter_context(node)
    wait_until_idle(node.pid)
    return partial(_perform, Passage(folder / "studies", node, pacs.address.ae_title), studies, node.pid)


def _perform(passage: Passage, studies: int, pid: int) -> Cost:
    """Send all studies over one association, which makes them a backlog as it ends, and wait for all results."""
    written = [passage.write() for _ in range(studies)]
    with Gauge(pid) as gauge:
        passage.send(written)
        details = [passage.wait(study) for study in written]
    cost = gauge.cost()
    steps = [steps_ms(detail) for detail in details]
    facts = {"studies_per_minute": 60 * studies / cost.seconds}
    facts |= {step: statistics.median(took[step] for took in steps) for step in STEPS_MS}
    return replace(cost, facts=facts)


THROUGHPUT = Benchmark(
    "throughput",
    "Twenty studies of one radiograph, complete at the same moment, through a node with the bundled rules: seconds "
    "from the first image sent to the last result in storescp. Each way is a node of its own, which idles while it is "
    "not its turn; the first has as many workers as it chooses. The milliseconds are medians of a job's steps.",
    lambda _: {OURS: version("radnode"), storescp().name: storescp().version},
    throughput_tasks,
    has_listeners=True,
)
