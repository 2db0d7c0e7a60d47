"""The same work done in several ways, in interleaved rounds, and how the others compare with the node."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from node.bench.cost import Cost, Facts
from node.errors import BenchFailed

Tell = Callable[[str], None]

OURS = "radnode"
PARITY = 1.5  # smaller differences come and go on a machine that is not quiet


@dataclass(frozen=True)
class Task:
    """Work of so many `units`, such as instances, and the ways to do it once, by name; one is called radnode."""

    title: str
    amount: float
    unit: str
    ways: Mapping[str, Callable[[], Cost]]


@dataclass(frozen=True)
class Spread:
    """The median of several rounds, and the least and the greatest."""

    median: float
    least: float
    greatest: float


@dataclass(frozen=True)
class Result:
    """What one way took: seconds, units a second, CPU seconds, growth of memory, and the node's advantage over it.

    `advantage` is how many times longer than the node it took, round by round; None is the node itself.
    """

    way: str
    seconds: Spread
    rate: float
    cpu_seconds: float
    memory_mib: float
    advantage: Spread | None
    facts: Facts

    @property
    def verdict(self) -> str:
        """Return the advantage in a word; what is less than 1.5 times either way is parity."""
        if self.advantage is None:
            return ""
        if self.advantage.median >= PARITY:
            return "faster"
        return "slower" if self.advantage.median <= 1 / PARITY else "parity"


@dataclass(frozen=True)
class Comparison:
    """All ways of one task, in the order of their turns; `failures` says why a peer is not among them."""

    title: str
    amount: float
    unit: str
    rounds: int
    results: tuple[Result, ...]
    failures: tuple[str, ...]


def compare(task: Task, rounds: int, tell: Tell, prepare: Callable[[], None] = lambda: None) -> Comparison:
    """Let every way have its turn in each of so many rounds; `prepare` goes before each turn, `tell` hears of it.

    Of several rounds, one more goes before them and is not counted: what is done once is done then. A peer that
    fails is left out from then on; raises BenchFailed when the node does.
    """
    turns = _Turns(task, tell, prepare)
    if rounds > 1:
        turns.have("not counted")
        turns.costs = {name: [] for name in turns.costs}
    for number in range(1, rounds + 1):
        turns.have(f"round {number} of {rounds}")
    results = tuple(_result(name, turns.costs, task.amount) for name in turns.costs)
    return Comparison(task.title, task.amount, task.unit, rounds, results, tuple(turns.failures))


class _Turns:
    """The costs of all turns so far, of the ways that have not failed."""

    def __init__(self, task: Task, tell: Tell, prepare: Callable[[], None]) -> None:
        self._task = task
        self._tell = tell
        self._prepare = prepare
        self.costs: dict[str, list[Cost]] = {name: [] for name in task.ways}
        self.failures: list[str] = []

    def have(self, which: str) -> None:
        """Let every way have a turn."""
        for name in list(self.costs):
            self._prepare()
            try:
                cost = self._task.ways[name]()
            except BenchFailed as failure:
                if name == OURS:
                    raise
                self.failures.append(f"{name}: {failure}")
                del self.costs[name]
                self._tell(f"{self._task.title}, {which}: {self.failures[-1]}")
                continue
            self.costs[name].append(cost)
            self._tell(f"{self._task.title}, {which}: {name} {cost.seconds:.3f} s")


def _result(name: str, costs: Mapping[str, list[Cost]], amount: float) -> Result:
    own = costs[name]
    seconds = _spread([cost.seconds for cost in own])
    advantage = None
    if name != OURS:
        advantage = _spread([cost.seconds / ours.seconds for cost, ours in zip(own, costs[OURS], strict=True)])
    return Result(
        way=name,
        seconds=seconds,
        rate=amount / seconds.median,
        cpu_seconds=statistics.median(cost.cpu_seconds for cost in own),
        memory_mib=max(cost.memory_mib for cost in own),
        advantage=advantage,
        facts={key: _middle([cost.facts[key] for cost in own]) for key in own[0].facts},
    )


def _middle(values: list[float | str]) -> float | str:
    """Return the median of numbers; of texts the one they all are, or all that there are."""
    numbers = [value for value in values if not isinstance(value, str)]
    return statistics.median(numbers) if numbers else " or ".join(sorted(set(map(str, values))))


def _spread(values: list[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))
