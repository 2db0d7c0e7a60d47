"""A process of its own for one way of doing something, which does it again and again when it is told to.

So that no way finds the libraries, the threads or the memory of another, and each keeps what it has loaded. One whose
libraries are not the node's has a Python of its own, so this imports nothing but the standard library.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

from node.bench.cost import Cost, Facts
from node.bench.programs import PROMPT, environment
from node.errors import BenchFailed

END_SECONDS = 10.0
OUR_PYTHON = Path(sys.executable)
_FORGET_PEAK = "5"  # written to clear_refs of proc(5)


@dataclass(frozen=True)
class Performance:
    """What a way does in its turn, with everything prepared, and which numbers state what came of it.

    `perform` takes the words that the turn is asked for with. `facts` is asked when the time has stopped, so that it
    may compare and count.
    """

    perform: Callable[..., Any]
    facts: Callable[[Any], Facts]


class Performer:
    """A process that prepares `maker`, "module:function" that returns a Performance, and performs it on request."""

    def __init__(self, maker: str, arguments: tuple[str, ...], log: Path, python: Path = OUR_PYTHON) -> None:
        """Start it, with our Python or another."""
        self._maker = maker
        self._log = log
        variables = PROMPT if python == OUR_PYTHON else PROMPT | {"PYTHONPATH": str(_path_to_node(log.parent))}
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [str(python), "-m", "node.bench.performing", maker, *arguments],
                env=environment(variables),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def wait(self) -> None:
        """Return when it is prepared, or has ended, as its first turn will tell."""
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def __enter__(self) -> Performer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process, which ends by itself when nobody can tell it anything any more."""
        try:
            self._process.communicate(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def perform(self, *words: str) -> Cost:
        """Let it have its turn, at what the words say; raises BenchFailed when it ends instead."""
        assert self._process.stdin is not None
        try:
            print(json.dumps(words), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._failure() from None
        return Cost(**self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._failure()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failure(self) -> BenchFailed:
        said = self._log.read_text(errors="replace").strip().splitlines() or ["nothing"]
        return BenchFailed(f"{self._maker}: its process has ended, expected an answer; it said {said[-1]}")


def performers(
    ways: Mapping[str, str], arguments: tuple[str, ...], folder: Path, stack: ExitStack, python: Path = OUR_PYTHON
) -> dict[str, Performer]:
    """Start a performer for each way, given as name and maker, until the stack closes; logs go to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    started = {
        name: stack.enter_context(Performer(maker, arguments, folder / f"{number}.log", python))
        for number, (name, maker) in enumerate(ways.items())
    }
    for performer in started.values():
        performer.wait()
    return started


def measure(performance: Performance, words: Sequence[str]) -> Cost:
    """Perform once and return what it cost this process and its children, with the facts."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text(_FORGET_PEAK)
    memory, cpu, wall = _status_mib("VmRSS"), _cpu_seconds(), time.perf_counter()
    outcome = performance.perform(*words)
    seconds, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
    growth = _status_mib("VmHWM") - memory
    return Cost(seconds, cpu, growth, performance.facts(outcome))


def main(maker: str, arguments: list[str]) -> None:
    """Prepare, say so, and answer every line with what one performance cost."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    module, _, function = maker.partition(":")
    performance: Performance = getattr(import_module(module), function)(*arguments)
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(asdict(measure(performance, json.loads(line)))), file=answers, flush=True)


def _path_to_node(folder: Path) -> Path:
    """Return a folder with a link to `node` and nothing else, so that another Python finds none of our libraries."""
    alone = folder / "path"
    alone.mkdir(exist_ok=True)
    if not (alone / "node").is_symlink():
        (alone / "node").symlink_to(Path(__file__).resolve().parents[1])
    return alone


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _status_mib(key: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
