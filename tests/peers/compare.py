"""Attack every receiver in turn, and write what came of it; to be run in a network namespace of its own.

Usage: compare.py FOLDER [CLASS...], where the classes are those of `servers.py`, or else all. FOLDER/compared.json
and FOLDER/compared.md are written. Orthanc cannot be told to
listen on loopback only, hence the namespace.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from peers.attacks import ATTACKS, HONEST_SECONDS, MIB, Outcome, full_disk, instance, try_store
from peers.servers import SERVERS, Server

DISK = "a disk of 24 MB that fills up"


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of 24 MB, a third of which a file takes that can go; gives that file."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], check=True)
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(8 * MIB))
    try:
        yield ballast
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def attacked(server: Server, attack: Callable[[Server], Outcome]) -> Outcome:
    """Attack a server, which is started anew if it does not run or still suffers from the attack before."""
    try:
        uid = "1.2.77.1"
        if not server.is_alive() or try_store(server, uid, instance(uid), HONEST_SECONDS) != 0x0000:
            server.kill()
            server.start()
        return attack(server)
    except Exception as error:  # noqa: BLE001 - of a server that nothing can be asked any more
        return Outcome(f"cannot be asked afterwards: {type(error).__name__}", 9)


def all_attacks(kind: type[Server], folder: Path) -> dict[str, Outcome]:
    """Return what came of every attack on one receiver, one after another."""
    server = kind(folder / kind.__name__)
    found = {}
    for what, attack in ATTACKS.items():
        found[what] = attacked(server, attack)
        print(kind.name, what, found[what], sep=" | ", flush=True)
    server.kill()
    with small_disk(folder / f"{kind.__name__}-disk") as ballast:
        server = kind(ballast.parent / "server")
        found[DISK] = attacked(server, partial(full_disk, ballast=ballast))
        print(kind.name, DISK, found[DISK], sep=" | ", flush=True)
        server.kill()
    return found


def as_table(found: dict[str, dict[str, Outcome]]) -> str:
    """Return a Markdown table with a column for each receiver and a row for each attack."""
    rows = [["", *found], ["---"] * (len(found) + 1)]
    rows += [[what, *(column[what].said for column in found.values())] for what in (*ATTACKS, DISK)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    into, *wanted = sys.argv[1:]
    outcomes = {
        kind.name: all_attacks(kind, Path(into)) for kind in SERVERS if not wanted or kind.__name__ in wanted
    }
    Path(into, "compared.md").write_text(as_table(outcomes))
    columns = {name: {what: asdict(one) for what, one in column.items()} for name, column in outcomes.items()}
    Path(into, "compared.json").write_text(json.dumps(columns, indent=1))
