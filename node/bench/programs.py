"""The receivers that take part in a benchmark: how each is started, and its version or that it is not there."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

from node.bench.comparison import OURS
from node.bench.environments import AI_ROUTER
from node.bench.network import LOOPBACK

PDU_BYTES = 131072  # the longest that dcmtk and Orthanc take
PROMPT = {"TCP_NODELAY": "1"}  # dcmtk and what is built on it, Orthanc too, leave Nagle's algorithm on without it
MOST_ASSOCIATIONS = 256
ENDLESS_SECONDS = 1e6
KEPT = "kept"
_TITLE = "BENCH"


@dataclass(frozen=True)
class Program:
    """A storage SCP: its name, its version ("" where it is not installed), and what starts it.

    `safe` says what lies on disk for certain when it answers success. `command` writes a configuration to a folder and
    returns the command line to listen on a port. What it receives goes below `KEPT` of that folder; `forgets` says
    that those files may be emptied while it runs, and `echoes` that it answers C-ECHO.
    """

    name: str
    version: str
    safe: str
    command: Callable[[Path, int], list[str]]
    variables: Mapping[str, str] = field(default_factory=dict)
    ae_title: str = _TITLE
    forgets: bool = False
    echoes: bool = True

    @property
    def described(self) -> str:
        """Return version and safety, "" where it is not installed."""
        return self.version and f"{self.version}; on disk at the answer: {self.safe}"


def radnode() -> Program:
    """Return the node as `radnode serve` runs it, without a spare worker, and with limits that let a crowd in."""
    safe = "instance and row, in a journal that is flushed"
    return Program(OURS, version("radnode"), safe, partial(_radnode_command, "machine"), ae_title="RADNODE")


def radnode_for_process() -> Program:
    """Return the node at its weaker durability, which survives the death of the process alone."""
    command = partial(_radnode_command, "process")
    return Program(f"{OURS}, durability = process", version("radnode"), "nothing", command, ae_title="RADNODE")


def storescp(*, is_prompt: bool = True) -> Program:
    """Return dcmtk's receiver with a process for each association; it syncs nothing."""
    variables = PROMPT if is_prompt else {}
    name = "storescp --fork" + (" (nodelay)" if is_prompt else "")
    return Program(name, dcmtk_version("storescp"), "nothing", _storescp_command, variables, forgets=True)


def orthanc(*, is_prompt: bool = True) -> Program:
    """Return Orthanc, with SQLite as index and an fdatasync for each file, as it comes."""
    name = "Orthanc" + (" (nodelay)" if is_prompt else "")
    return Program(name, _orthanc_version(), "file (fdatasync)", _orthanc_command, PROMPT if is_prompt else {})


def documented() -> Program:
    """Return the receiver of pynetdicom's documentation."""
    found = version("pynetdicom")
    return Program("pynetdicom as documented", found, "nothing", _documented_command, forgets=True)


def documented_strictly() -> Program:
    """Return the same with what the node promises, file by file: both flushes, and a row that is committed."""
    name = "pynetdicom, file by file as durable"
    return Program(name, version("pynetdicom"), "as the node, one by one", _strict_command, forgets=True)


def ai_router(peers: Path) -> Program:
    """Return dicom-ai-router's service, which does nothing with a study but to wait for more of it.

    Its table has a row a study, which SQLite commits with a flush at each instance; the files are not flushed.
    """
    found, command = AI_ROUTER.version(peers), partial(_ai_router_command, AI_ROUTER.python(peers))
    return Program(AI_ROUTER.peer, found, "row of the study, not the file", command, echoes=False)


def environment(variables: Mapping[str, str] = PROMPT) -> dict[str, str]:
    """Return our environment without what would change a node's settings, and with these variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RADNODE_")}
    return kept | dict(variables)


def dcmtk_program(name: str) -> str | None:
    """Return where one of dcmtk's programs is, None where it is not installed.

    Not beside our Python, where pynetdicom has put programs with the same names.
    """
    ours = str(Path(sys.executable).parent)
    return shutil.which(name, path=os.pathsep.join(place for place in os.get_exec_path() if place != ours))


def dcmtk_version(name: str) -> str:
    """Return the version of one of dcmtk's programs, "" where it is not installed."""
    return _stated_version(dcmtk_program(name), word=2)


def _orthanc_version() -> str:
    return _stated_version(_orthanc_program(), word=1)


def _stated_version(program: str | None, word: int) -> str:
    if program is None:
        return ""
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return answer.stdout.splitlines()[0].split()[word]


def _orthanc_program() -> str | None:
    return shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")


def _radnode_command(durability: str, folder: Path, port: int) -> list[str]:
    config = folder / "node.toml"
    config.write_text(
        f'[node]\ndata = "{KEPT}"\n\n[workers]\ncount = 1\nspare = false\n\n'
        f'[archive]\nreserve_mb = 64\ndurability = "{durability}"\n\n[dicom]\n'
        f"port = {port}\n"
        f"max_associations = {MOST_ASSOCIATIONS}\nmax_associations_per_peer = {MOST_ASSOCIATIONS}\n"
    )
    for name in ("peers.toml", "routes.toml"):
        (folder / name).touch()
    return [sys.executable, "-m", "node", "serve", "--config", str(config)]


def _storescp_command(folder: Path, port: int) -> list[str]:
    pdu = ["-pdu", str(PDU_BYTES)]
    options = ["--fork", "+B", "+xa", *pdu, "-aet", _TITLE, "-od", str(folder / KEPT)]
    return [str(dcmtk_program("storescp")), *options, str(port)]


def _orthanc_command(folder: Path, port: int) -> list[str]:
    configuration = {
        "StorageDirectory": str(folder / KEPT),
        "IndexDirectory": str(folder / KEPT),
        "DicomAet": _TITLE,
        "DicomPort": port,
        "MaximumPduLength": PDU_BYTES,
        "HttpServerEnabled": False,
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration))
    return [str(_orthanc_program()), str(file)]


def _documented_command(folder: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "node.bench.documented_scp", str(port), str(folder / KEPT)]


def _ai_router_command(python: Path, folder: Path, port: int) -> list[str]:
    nowhere = {"ae_title": "NOBODY", "host": LOOPBACK, "port": 1}
    configuration = {
        "router": {
            "ae_title": _TITLE,
            "port": port,
            "bind_address": LOOPBACK,
            "workdir": str(folder / KEPT),
            "study_quiet_seconds": ENDLESS_SECONDS,
        },
        "pacs": nowhere,
        "ai_endpoints": {},
        "rules": [],
        "deid": {"salt": secrets.token_hex(32)},
    }
    file = folder / "router.yaml"
    file.write_text(json.dumps(configuration))  # JSON is YAML
    return [str(python), "-P", "-m", "airouter", "serve", "--config", str(file)]


def _strict_command(folder: Path, port: int) -> list[str]:
    return [*_documented_command(folder, port), str(folder / "rows.db")]
