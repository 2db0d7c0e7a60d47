"""Attack every receiver in turn, and write what came of it; to be run in a network namespace of its own.

Usage: compare.py FOLDER; FOLDER/compared.json and FOLDER/compared.md are written. Orthanc cannot be told to
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

from peers.attacks import ATTACKS, MIB, Outcome, full_disk
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


def attacked(kind: type[Server], folder: Path, attack: Callable[[Server], Outcome]) -> Outcome:
    """Start a server for one attack, and kill it afterwards."""
    server = kind(folder)
    server.start()
    try:
        return attack(server)
    except Exception as error:  # noqa: BLE001 - of a server that nothing can be asked any more
        return Outcome(f"could not be asked afterwards: {type(error).__name__}", 9)
    finally:
        if server.is_alive():
            server.kill()


def compare(folder: Path) -> dict[str, dict[str, Outcome]]:
    """Return what came of every attack on every receiver."""
    found: dict[str, dict[str, Outcome]] = {}
    for number, (what, attack) in enumerate(ATTACKS.items()):
        found[what] = {}
        for kind in SERVERS:
            found[what][kind.name] = attacked(kind, folder / f"{number}" / kind.__name__, attack)
            print(what, kind.name, found[what][kind.name], flush=True)
    found[DISK] = {}
    for kind in SERVERS:
        with small_disk(folder / kind.__name__) as ballast:
            found[DISK][kind.name] = attacked(kind, ballast.parent / "server", partial(full_disk, ballast=ballast))
            print(DISK, kind.name, found[DISK][kind.name], flush=True)
    return found


def as_table(found: dict[str, dict[str, Outcome]]) -> str:
    names = [kind.name for kind in SERVERS]
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    lines += [f"| {what} | " + " | ".join(row[name].said for name in names) + " |" for what, row in found.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    into = Path(sys.argv[1])
    outcomes = compare(into)
    into.joinpath("compared.md").write_text(as_table(outcomes))
    rows = {what: {name: asdict(outcome) for name, outcome in row.items()} for what, row in outcomes.items()}
    into.joinpath("compared.json").write_text(json.dumps(rows, indent=1))
