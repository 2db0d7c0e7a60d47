"""Sending: the node's SCU beside dcmtk's and pynetdicom, to receivers as they are found in hospitals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.metadata import version
from itertools import product

from node.bench.comparison import OURS, Task
from node.bench.cost import Cost, command_cost
from node.bench.dcmtk_sender import dcmsend_command, storescu_command
from node.bench.material import Material, copied, made_up_ct, made_up_mr
from node.bench.performing import Performer, performers
from node.bench.plan import Benchmark, Plan
from node.bench.programs import PROMPT, Program, dcmtk_version, environment, orthanc, storescp
from node.bench.running import Running, start

SLICES, SIDE, SMALL = 300, 512, 500
QUICK_SLICES, QUICK_SIDE, QUICK_SMALL = 8, 128, 8

DCMTK = {"storescu": storescu_command, "dcmsend": dcmsend_command}
DELAYS: Mapping[str, Mapping[str, str]] = {" (nodelay)": PROMPT, "": {}}
WAYS = {OURS: "node.bench.send_ways:with_radnode", "pynetdicom as documented": "node.bench.send_ways:with_pynetdicom"}


def receivers() -> list[Program]:
    """Return who is sent to: storescp at its promptest, and both receivers as they come."""
    return [storescp(), storescp(is_prompt=False), orthanc(is_prompt=False)]


def send_tasks(plan: Plan) -> Iterator[Task]:
    """Yield a series to each receiver, and small instances to the promptest."""
    slices, side = (QUICK_SLICES, QUICK_SIDE) if plan.is_quick else (SLICES, SIDE)
    receiving = start(receivers(), plan.folder, plan)
    series = Material(plan.folder / "series", copied(plan.real) if plan.real else made_up_ct(slices, side), 1)
    small = Material(plan.folder / "small", made_up_mr(QUICK_SMALL if plan.is_quick else SMALL), 2)
    started = performers(WAYS, (), plan.folder / "logs", plan.stack)
    for receiver in receiving:
        yield _task(series, receiver, started)
    for receiver in receiving[:1]:
        yield _task(small, receiver, started)


def _task(material: Material, receiver: Running, started: Mapping[str, Performer]) -> Task:
    title = f"send {material.described} to {receiver.program.name}"
    address = receiver.address
    words = (str(material.folder), address.ae_title, address.host, str(address.port))
    senders: dict[str, Callable[[], Cost]] = {
        name: partial(performer.perform, *words) for name, performer in started.items()
    }
    for (program, command), (suffix, variables) in product(DCMTK.items(), DELAYS.items()):
        if dcmtk_version(program):
            send = partial(command_cost, command(material.folder, address), environment(variables))
            senders[program + suffix] = send
    ways = {name: partial(_send, send, material, receiver) for name, send in senders.items()}
    return Task(title, len(material.paths), "instances", ways)


def _send(send: Callable[[], Cost], material: Material, receiver: Running) -> Cost:
    receiver.forget()
    material.renew()
    return send()


def _participants() -> dict[str, str]:
    senders = {OURS: version("radnode"), "pynetdicom": version("pynetdicom")}
    senders |= {program: dcmtk_version(program) for program in DCMTK}
    return senders | {program.name: program.version for program in receivers()}


SEND = Benchmark(
    "send",
    "From files on disk to the last answer, over one association with PDUs as long as the receiver takes; storescu and "
    "dcmsend with TCP_NODELAY=1, and as they come. Their time includes their start, and their memory is all they have.",
    lambda _: _participants(),
    send_tasks,
    has_listeners=True,
)
