"""Runs benchmarks one after the other and gathers what came of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from node.bench.comparison import Comparison, Tell, compare
from node.bench.encode import ENCODE
from node.bench.environments import how_to_make
from node.bench.growth import GROWTH
from node.bench.infer import INFER
from node.bench.journey import JOURNEY
from node.bench.machine import Machine, describe_machine
from node.bench.memory import Filler
from node.bench.network import leave_network
from node.bench.plan import Benchmark, Plan
from node.bench.receive import RECEIVE
from node.bench.send import SEND
from node.bench.throughput import THROUGHPUT
from node.bench.train_io import TRAIN_IO
from node.bench.volume import VOLUME
from node.clock import Clock
from node.errors import BenchFailed

BENCHMARKS = (RECEIVE, SEND, VOLUME, ENCODE, INFER, TRAIN_IO, JOURNEY, THROUGHPUT, GROWTH)


@dataclass(frozen=True)
class Wish:
    """What a person asks for: amounts, rounds, where to work, where peers may be, and real files as in `Plan`."""

    is_quick: bool
    rounds: int
    folder: Path | None
    peers: Path
    real: Sequence[Path] = ()
    volumes: Sequence[Path] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of one benchmark, when and on which machine; `missing` took no part, for they are not installed."""

    name: str
    about: str
    made_at: datetime
    machine: Machine
    versions: dict[str, str]
    missing: tuple[str, ...]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Report:
    """What came of a run so far."""

    is_quick: bool
    rounds: int
    outcomes: tuple[Outcome, ...]


def choose_benchmarks(names: Sequence[str]) -> list[Benchmark]:
    """Return the benchmarks of these names, in the order in which they run."""
    return [benchmark for benchmark in BENCHMARKS if benchmark.name in names]


def run_benchmarks(benchmarks: Sequence[Benchmark], wish: Wish, clock: Clock, tell: Tell) -> Iterator[Report]:
    """Run them, those that listen on a network of our own, and yield what has come of them after each.

    Their files lie in a temporary folder. Raises BenchFailed.
    """
    if any(benchmark.has_listeners for benchmark in benchmarks) and not leave_network():
        raise BenchFailed(
            "no right to make a network of our own, and the peers listen on every address; run it as root, or with "
            "`unshare --map-root-user --net` before the command"
        )
    with tempfile.TemporaryDirectory(prefix="radnode-bench-", dir=wish.folder) as name:
        outcomes: tuple[Outcome, ...] = ()
        for benchmark in benchmarks:
            outcomes += (_run(benchmark, wish, Path(name), clock, tell),)
            yield Report(wish.is_quick, wish.rounds, outcomes)


def _run(benchmark: Benchmark, wish: Wish, folder: Path, clock: Clock, tell: Tell) -> Outcome:
    made_at, machine = clock.now(), describe_machine(folder)
    participants = benchmark.participants(wish.peers)
    missing = tuple(name for name, found in participants.items() if not found)
    for name in missing:
        tell(f"{name}: not found, takes no part{how_to_make(name)}")
    with ExitStack() as stack:
        filler = Filler(stack.enter_context(tempfile.TemporaryFile(dir=folder)), tell)
        prepare = (lambda: None) if wish.is_quick else filler.fill_free
        work = folder / benchmark.name
        plan = Plan(wish.is_quick, wish.real, wish.volumes, work, wish.peers, stack, tell)
        comparisons = tuple(compare(task, wish.rounds, tell, prepare) for task in benchmark.tasks(plan))
    versions = {name: found for name, found in participants.items() if found}
    return Outcome(benchmark.name, benchmark.about, made_at, machine, versions, missing, comparisons)
