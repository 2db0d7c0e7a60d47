"""Runs benchmarks one after the other and gathers what came of them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from node.bench.comparison import Comparison, Tell, compare
from node.bench.encode import ENCODE
from node.bench.infer import INFER
from node.bench.journey import JOURNEY
from node.bench.machine import Machine, describe_machine
from node.bench.network import leave_network
from node.bench.plan import Benchmark, Plan
from node.bench.receive import RECEIVE
from node.bench.send import SEND
from node.bench.volume import VOLUME
from node.clock import Clock
from node.errors import BenchFailed

BENCHMARKS = (RECEIVE, SEND, VOLUME, ENCODE, INFER, JOURNEY)


@dataclass(frozen=True)
class Wish:
    """What a person asks for: amounts, rounds, the files of a real series or none, and where to work."""

    is_quick: bool
    rounds: int
    real: Sequence[Path]
    folder: Path | None


@dataclass(frozen=True)
class Outcome:
    """What came of one benchmark; `missing` took no part because they are not installed."""

    name: str
    about: str
    versions: dict[str, str]
    missing: tuple[str, ...]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Report:
    """What came of a run, on which machine and when."""

    made_at: datetime
    machine: Machine
    is_quick: bool
    rounds: int
    outcomes: tuple[Outcome, ...]


def choose_benchmarks(names: Sequence[str]) -> list[Benchmark]:
    """Return the benchmarks of these names, in the order in which they run."""
    return [benchmark for benchmark in BENCHMARKS if benchmark.name in names]


def run_benchmarks(benchmarks: Sequence[Benchmark], wish: Wish, clock: Clock, tell: Tell) -> Report:
    """Run them in a temporary folder, where they listen on a network of our own; raises BenchFailed."""
    if any(benchmark.has_listeners for benchmark in benchmarks) and not leave_network():
        raise BenchFailed(
            "no right to make a network of our own, and the peers listen on every address; run it as root, or with "
            "`unshare --map-root-user --net` before the command"
        )
    with tempfile.TemporaryDirectory(prefix="radnode-bench-", dir=wish.folder) as name:
        machine = describe_machine(Path(name))
        outcomes = tuple(_run(benchmark, wish, Path(name), tell) for benchmark in benchmarks)
    return Report(clock.now(), machine, wish.is_quick, wish.rounds, outcomes)


def _run(benchmark: Benchmark, wish: Wish, folder: Path, tell: Tell) -> Outcome:
    participants = benchmark.participants()
    missing = tuple(name for name, found in participants.items() if not found)
    for name in missing:
        tell(f"{name}: not found, takes no part")
    with ExitStack() as stack:
        plan = Plan(wish.is_quick, wish.real, folder / benchmark.name, stack, tell)
        comparisons = tuple(compare(task, wish.rounds, tell) for task in benchmark.tasks(plan))
    versions = {name: found for name, found in participants.items() if found}
    return Outcome(benchmark.name, benchmark.about, versions, missing, comparisons)
