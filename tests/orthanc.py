"""A real Orthanc in a network namespace of its own, where everything that talks to it runs too.

Orthanc cannot be told to listen on loopback only, so it gets a network that has nothing else.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from waiting import until

PROGRAM = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
TITLE, PORT, HTTP_PORT = "ORTHANC", 4242, 8042
FORWARD_EVERYTHING = "function OnStoredInstance(instanceId) SendToModality(instanceId, 'radnode') end\n"


def require_orthanc() -> None:
    """Skip where there is no Orthanc or no right to make a network namespace."""
    if not Path(PROGRAM).exists():
        pytest.skip("needs the package orthanc")
    if os.geteuid() != 0:
        pytest.skip("needs root, to give Orthanc a network namespace of its own")


@dataclass(frozen=True)
class Namespace:
    """A network namespace with nothing but its loopback."""

    name: str

    def command(self, *words: str | Path | int) -> list[str]:
        return ["ip", "netns", "exec", self.name, *map(str, words)]

    def run(self, *words: str | Path | int, **options: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self.command(*words), capture_output=True, timeout=120, check=False, **options)


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Make a namespace and take it away at the end."""
    made = Namespace(f"radnode-{secrets.token_hex(4)}")
    subprocess.run(["ip", "netns", "add", made.name], check=True)
    try:
        subprocess.run(made.command("ip", "link", "set", "lo", "up"), check=True)
        yield made
    finally:
        subprocess.run(["ip", "netns", "delete", made.name], check=True)


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc, asked over its REST interface from inside its namespace."""

    network: Namespace

    def get(self, path: str) -> bytes:
        answer = self.network.run("curl", "--fail", "--silent", "--noproxy", "*", f"http://127.0.0.1:{HTTP_PORT}{path}")
        assert answer.returncode == 0, f"{path}: curl ended with {answer.returncode}"
        return answer.stdout

    def instances(self) -> list[str]:
        """Return Orthanc's names of all its instances."""
        return json.loads(self.get("/instances"))

    def fetch(self, folder: Path) -> list[Path]:
        """Write every instance to the folder as Orthanc gives it back."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for name in self.instances():
            path = folder / f"{name}.dcm"
            path.write_bytes(self.get(f"/instances/{name}/file"))
            paths.append(path)
        return paths

    def jobs_ended(self) -> bool:
        """Tell whether Orthanc has nothing more to forward."""
        jobs = json.loads(self.get("/jobs?expand"))
        return all(job["State"] in {"Success", "Failure"} for job in jobs)


@contextmanager
def orthanc(network: Namespace, folder: Path, node_port: int) -> Iterator[Orthanc]:
    """Run an Orthanc that forwards every instance it stores to the node."""
    folder.mkdir(parents=True)
    (folder / "forward.lua").write_text(FORWARD_EVERYTHING)
    (folder / "orthanc.json").write_text(json.dumps(_configuration(folder, node_port)))
    command = network.command(PROGRAM, folder / "orthanc.json")
    with (
        (folder / "orthanc.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"TCP_NODELAY": "1"}) as process,
    ):
        try:
            running = Orthanc(network)
            _wait_until_ready(running, process)
            yield running
        finally:
            process.terminate()


def _configuration(folder: Path, node_port: int) -> dict[str, Any]:
    return {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": TITLE,
        "DicomPort": PORT,
        "HttpPort": HTTP_PORT,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomModalities": {"radnode": ["RADNODE", "127.0.0.1", node_port]},
        "LuaScripts": [str(folder / "forward.lua")],
        "OverwriteInstances": False,
    }


def _wait_until_ready(running: Orthanc, process: subprocess.Popen[bytes]) -> None:
    words = ("curl", "--fail", "--silent", "--noproxy", "*", f"http://127.0.0.1:{HTTP_PORT}/system")

    def answers() -> bool:
        assert process.poll() is None, "Orthanc ended at once; see orthanc.log"
        return running.network.run(*words).returncode == 0

    until(answers)

