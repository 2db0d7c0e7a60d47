"""What the same work costs with ten and a hundred times as much already there: no more, if all is well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version

from node.archive import Archive
from node.bench.comparison import OURS, Task
from node.bench.cost import Cost
from node.bench.growth_ways import claiming, filled, looking, recording
from node.bench.material import Material, made_up_ct
from node.bench.performing import Performer, measure, performers
from node.bench.plan import Benchmark, Plan
from node.bench.volume import WAYS
from node.database import Database
from node.states import JobState


@dataclass(frozen=True)
class Amounts:
    """How many studies and slices there are, from few to many, how large these are, and how often each work is done."""

    studies: tuple[int, ...] = (10, 100, 1000)
    instances: int = 100
    queued: tuple[int, ...] = (100, 1000, 10000)
    slices: tuple[int, ...] = (30, 300, 1500)
    side: int = 256
    recorded: int = 200
    claimed: int = 20
    looks: int = 200


QUICK = Amounts(studies=(1, 10), queued=(5, 50), slices=(3, 12), side=64, recorded=5, claimed=3, looks=5)


def growth_tasks(plan: Plan) -> Iterator[Task]:
    """Yield what must not depend on how much the node has had to do so far, and a series, whose slices must not."""
    amounts = QUICK if plan.is_quick else Amounts()
    kept = _databases(plan, amounts.studies, amounts.instances, JobState.DONE)
    yield Task(
        f"record the rows of {amounts.recorded} instances",
        amounts.recorded,
        "instances",
        _ways({words: partial(measure, recording(one, amounts.recorded), ()) for words, one in kept.items()}),
    )
    archive = Archive(plan.folder / "archive")
    yield Task(
        f"look {amounts.looks} times for anything that is due",
        amounts.looks,
        "looks",
        _ways({words: partial(measure, looking(one, archive, amounts.looks), ()) for words, one in kept.items()}),
    )
    queued = _databases(plan, amounts.queued, 1, JobState.QUEUED)
    yield Task(
        f"claim {amounts.claimed} jobs",
        amounts.claimed,
        "jobs",
        _ways({words: partial(measure, claiming(one, amounts.claimed), ()) for words, one in queued.items()}),
    )
    yield _series_task(plan, amounts)


def _databases(plan: Plan, sizes: Sequence[int], instances: int, state: JobState) -> dict[str, Database]:
    """Return databases with each of these numbers of studies, by what they hold in words."""
    databases = {}
    for size in sizes:
        words = f"{size:,} studies queued" if state == JobState.QUEUED else f"{size * instances:,} instances kept"
        plan.tell(f"filling a database: {words}")
        databases[words] = plan.stack.enter_context(filled(plan.folder / f"{state}{size}", size, instances, state))
    return databases


def _ways(turns: Mapping[str, Callable[[], Cost]]) -> dict[str, Callable[[], Cost]]:
    """Return turns, given by what there is in words, by name; the others are compared with the first."""
    names = [f"{OURS}, {words}" if place else OURS for place, words in enumerate(turns)]
    return dict(zip(names, turns.values(), strict=True))


def _series_task(plan: Plan, amounts: Amounts) -> Task:
    """Compare what ten slices of a series take, in series of several lengths."""
    (reader,) = performers({OURS: WAYS[OURS]}, (str(plan.folder),), plan.folder / "logs", plan.stack).values()
    turns = {}
    for count in amounts.slices:
        series = Material(plan.folder / "series" / str(count), made_up_ct(count, amounts.side), 1)
        turns[f"{count:,} slices"] = partial(_per_ten, reader, series)
    return Task("read ten slices of a series to a volume of HU", 10, "slices", _ways(turns))


def _per_ten(reader: Performer, series: Material) -> Cost:
    cost = reader.perform(str(series.folder))
    share = 10 / len(series.paths)
    return replace(cost, seconds=cost.seconds * share, cpu_seconds=cost.cpu_seconds * share)


GROWTH = Benchmark(
    "growth",
    "The node's own work with little in its database, ten times and a hundred times as much; and the slices of a short "
    "series and of long ones. The first row has the least. What is said of the others is how many times longer the "
    "same takes them: 1 is what it should be.",
    lambda _: {OURS: version("radnode")},
    growth_tasks,
)
