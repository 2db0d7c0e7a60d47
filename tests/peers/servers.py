"""Four receivers that are started, killed and looked into in the same way: radnode, storescp, pynetdicom, Orthanc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from urllib.request import urlopen

from dcmtk import PROMPT, free_port, is_listening
from orthanc import PROGRAM
from programs import end_group
from pydicom import dcmread
from waiting import until

# A node without workers: nothing is analysed here.
RADNODE = """
import signal, sys
from pathlib import Path
from node.clock import SystemClock
from node.logs import configure_logs
from node.service import Node
from node.settings import load_settings
configure_logs()
config = Path(sys.argv[1])
settings = load_settings(config)
none = settings.workers.model_copy(update={"count": -1, "memory_mb": 1024})
node = Node(config, settings.model_copy(update={"workers": none}), SystemClock())
node.start()
signal.pause()
"""

# The storage SCP of pynetdicom's documentation ("Storage SCP" under "Examples").
DOCUMENTED = """
import sys
from pynetdicom import AE, AllStoragePresentationContexts, evt
def handle_store(event):
    ds = event.dataset
    ds.file_meta = event.file_meta
    ds.save_as(ds.SOPInstanceUID, enforce_file_format=True)
    return 0x0000
ae = AE()
ae.supported_contexts = AllStoragePresentationContexts
ae.start_server(("127.0.0.1", int(sys.argv[1])), evt_handlers=[(evt.EVT_C_STORE, handle_store)])
"""


@dataclass
class Server:
    """A receiver in a folder; what it says goes to a log beside the folder."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    name = ""
    kept_as = "*"

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepare()

    def prepare(self) -> None:
        """Write what the server is configured with."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        self.kill()
        with self.folder.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, stdout=log, stderr=log, env=PROMPT, start_new_session=True
            )
        until(self._is_listening)

    def _is_listening(self) -> bool:
        assert self.is_alive(), f"{self.name} ended at once: {self.folder.with_suffix('.log').read_text()[-3000:]}"
        return is_listening(self.port)

    def kill(self) -> None:
        """Kill it and all it forked, which may have outlived it and hold its port."""
        if self.process is not None:
            end_group(self.process.pid)
            self.process.wait()
            self.process = None

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def resident_bytes(self) -> int:
        """Return the memory in RAM, of its own, of all its processes."""
        assert self.process is not None
        total = 0
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                if os.getpgid(int(status.parent.name)) == self.process.pid:
                    total += 1024 * int(status.read_text().split("RssAnon:")[1].split()[0])
            except (OSError, IndexError):
                continue
        return total

    def contents(self) -> Iterator[bytes]:
        """Give the content of everything under a final name."""
        for path in self.folder.glob(self.kept_as):
            if path.is_file():
                yield path.read_bytes()

    def holds(self) -> tuple[dict[str, set[str]], int]:
        """Return the UIDs of whole instances, each with its patients, and how many cannot be read to their end."""
        whole: dict[str, set[str]] = defaultdict(set)
        torn = 0
        for content in self.contents():
            try:
                dataset = dcmread(BytesIO(content))
                assert len(dataset.PixelData) == dataset.Rows * dataset.Columns
                whole[str(dataset.SOPInstanceUID)].add(str(dataset.PatientID))
            except Exception:  # noqa: BLE001 - whatever is torn may fail in any way
                torn += 1
        return whole, torn


class Radnode(Server):
    """This node, as it is configured for a machine of its own."""

    name = "radnode"
    kept_as = "radnode-data/instances/*/*"

    def prepare(self) -> None:
        (self.folder / "node.toml").write_text(f"[dicom]\nport = {self.port}\n[archive]\nreserve_mb = 2\n")
        (self.folder / "peers.toml").write_text("")
        (self.folder / "routes.toml").write_text("")

    def command(self) -> list[str]:
        return [sys.executable, "-c", RADNODE, str(self.folder / "node.toml")]


class StoreScp(Server):
    """dcmtk's storescp with its defaults, one association at a time."""

    name = "storescp"
    kept_as = "CT.*"
    options: tuple[str, ...] = ()

    def command(self) -> list[str]:
        return ["storescp", *self.options, "-od", str(self.folder), str(self.port)]


class ForkingStoreScp(StoreScp):
    """The same with a process for each association."""

    name = "storescp --fork"
    options = ("--fork",)


class DocumentedScp(Server):
    """The storage SCP that pynetdicom documents."""

    name = "pynetdicom"

    def command(self) -> list[str]:
        return [sys.executable, "-c", DOCUMENTED, str(self.port)]


class OrthancServer(Server):
    """Orthanc with its defaults."""

    name = "Orthanc"

    def prepare(self) -> None:
        self._http_port = free_port()
        storage = str(self.folder / "storage")
        settings = {
            "StorageDirectory": storage, "IndexDirectory": storage, "DicomPort": self.port, "DicomAet": "RADNODE",
            "HttpPort": self._http_port, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        }  # fmt: skip
        self._configuration = self.folder.with_suffix(".json")
        self._configuration.write_text(json.dumps(settings))

    def command(self) -> list[str]:
        return [PROGRAM, str(self._configuration)]

    def start(self) -> None:
        super().start()
        for _ in range(600):
            try:
                self._get("/system")
            except OSError:
                time.sleep(0.1)
            else:
                return

    def contents(self) -> Iterator[bytes]:
        """Give every instance as its REST interface does; one that was killed is started for that."""
        for instance in json.loads(self._get("/instances")):
            yield self._get(f"/instances/{instance}/file")

    def _get(self, path: str) -> bytes:
        with urlopen(f"http://127.0.0.1:{self._http_port}{path}", timeout=60) as answer:
            return answer.read()


SERVERS: tuple[type[Server], ...] = (Radnode, StoreScp, ForkingStoreScp, DocumentedScp, OrthancServer)
