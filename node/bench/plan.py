"""What a benchmark is asked to do, and what each benchmark is: who takes part, and its tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from node.bench.comparison import Task, Tell


@dataclass(frozen=True)
class Plan:
    """One run: small amounts if it `is_quick`, real files to use or none, where to work, and where peers may be.

    `real` are the files of one CT series, `volumes` files of one volume each; `peers` holds the environments of peers.
    What a benchmark starts runs until `stack` closes. `tell` hears of every step.
    """

    is_quick: bool
    real: Sequence[Path]
    volumes: Sequence[Path]
    folder: Path
    peers: Path
    stack: ExitStack
    tell: Tell


@dataclass(frozen=True)
class Benchmark:
    """One part of the data path, measured: its name, who takes part with which version ("" is not found), its tasks.

    `participants` is given the folder of the peers' environments. One that `has_listeners` starts programs that listen
    on every address, and needs a network of its own.
    """

    name: str
    about: str
    participants: Callable[[Path], Mapping[str, str]]
    tasks: Callable[[Plan], Iterator[Task]]
    has_listeners: bool = False
