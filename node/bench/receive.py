"""Receiving: the node beside other receivers, which all get the same instances from the same sender."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from node.bench.comparison import Task
from node.bench.cost import Cost, Gauge
from node.bench.dcmtk_sender import send_folders
from node.bench.echo_client import echo_at_once, echo_in_turn
from node.bench.material import PARTS, Material, copied, made_up_ct, made_up_frames, made_up_mr
from node.bench.plan import Benchmark, Plan
from node.bench.programs import (
    Program,
    ai_router,
    dcmtk_version,
    documented,
    documented_strictly,
    orthanc,
    radnode,
    radnode_for_process,
    storescp,
)
from node.bench.running import Running, empty_files, start

SENDER = "storescu"
FLOOR = "plain write and fdatasync"


@dataclass(frozen=True)
class Amounts:
    """How much is received: slices of one CT series, small MR instances, frames of one instance, associations."""

    slices: int = 300
    side: int = 512
    small: int = 2000
    frames: int = 1000
    echoes: int = 1000
    crowd: int = 200


QUICK = Amounts(slices=12, side=128, small=20, frames=20, echoes=20, crowd=10)


def receivers(peers: Path) -> list[Program]:
    """Return who receives, the node first; one without a version is not installed, nor in the folder of peers."""
    ours = [radnode(), radnode_for_process()]
    return [*ours, storescp(), orthanc(), documented(), documented_strictly(), ai_router(peers)]


def receive_tasks(plan: Plan) -> Iterator[Task]:
    """Yield what is received, one task after the other, by receivers that run as long as the plan's stack is open."""
    amounts = QUICK if plan.is_quick else Amounts()
    receiving = start(receivers(plan.peers), plan.folder, plan)
    if dcmtk_version(SENDER):
        yield from _store_tasks(amounts, plan, receiving)
    yield _echo_task("associations with a C-ECHO, one after the other", amounts.echoes, echo_in_turn, receiving)
    yield _echo_task("associations open at the same time", amounts.crowd, echo_at_once, receiving)


def _store_tasks(amounts: Amounts, plan: Plan, receiving: Sequence[Running]) -> Iterator[Task]:
    folder = plan.folder
    slices = copied(plan.real) if plan.real else made_up_ct(amounts.slices, amounts.side)
    series = Material(folder / "series", slices, 1)
    for associations in (1, PARTS):
        yield _store_task(f"{series.described}, {_associations(associations)}", series, associations, receiving)
    small = Material(folder / "small", made_up_mr(amounts.small), 2)
    yield _store_task(f"{small.described}, {_associations(1)}", small, 1, receiving)
    whole = Material(folder / "whole", made_up_frames(amounts.frames, amounts.side), 3)
    yield _store_task(f"{whole.described}, {_associations(1)}", whole, 1, receiving)


def _associations(count: int) -> str:
    return f"{count} association{'s' * (count > 1)}"


def _store_task(title: str, material: Material, associations: int, receiving: Sequence[Running]) -> Task:
    folders = [material.folder] if associations == 1 else material.parts
    ways: dict[str, Callable[[], Cost]] = {
        receiver.program.name: partial(_store, material, folders, receiver) for receiver in receiving
    }
    ways[FLOOR] = partial(_write_plainly, material, associations)
    return Task(f"receive {title}", len(material.paths), "instances", ways)


def _store(material: Material, folders: Sequence[Path], receiver: Running) -> Cost:
    receiver.forget()
    material.renew()
    with Gauge(receiver.pid) as gauge:
        send_folders(folders, receiver.address)
    cost = gauge.cost()
    return gauge.cost(cpu_seconds_per_gb=cost.cpu_seconds / material.size_bytes * 1e9)


def _write_plainly(material: Material, threads: int) -> Cost:
    """Write the same bytes to new files and flush each, in so many threads: what strictness must cost."""
    folder = material.folder.with_name("floor")
    folder.mkdir(exist_ok=True)
    empty_files(folder)
    earlier = len(list(folder.iterdir()))
    contents = [(folder / f"{earlier}-{path.name}", path.read_bytes()) for path in material.paths]
    os.sync()
    wall, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(_write_and_flush, contents):
            pass
    cpu_seconds = time.process_time() - cpu
    facts = {"cpu_seconds_per_gb": cpu_seconds / material.size_bytes * 1e9}
    return Cost(time.perf_counter() - wall, cpu_seconds, 0.0, facts)


def _write_and_flush(file: tuple[Path, bytes]) -> None:
    path, content = file
    with path.open("wb", buffering=0) as opened:
        opened.write(content)
        os.fdatasync(opened.fileno())


def _echo_task(title: str, count: int, echo: Callable[..., int], receiving: Sequence[Running]) -> Task:
    answering = [receiver for receiver in receiving if receiver.program.echoes]
    ways = {receiver.program.name: partial(_echo, receiver, count, echo) for receiver in answering}
    return Task(f"{count} {title}", count, "associations", ways)


def _echo(receiver: Running, count: int, echo: Callable[..., int]) -> Cost:
    with Gauge(receiver.pid) as gauge:
        served = echo(receiver.address, count)
    return gauge.cost(served=served)


RECEIVE = Benchmark(
    "receive",
    "The same instances from the same sender, storescu with TCP_NODELAY=1 and PDUs of 128 KiB, until the last answer. "
    "dicom-ai-router only keeps what it gets, for it has no rules and waits for ever for more; it answers no C-ECHO.",
    lambda peers: {program.name: program.described for program in receivers(peers)} | {SENDER: dcmtk_version(SENDER)},
    receive_tasks,
    has_listeners=True,
)
