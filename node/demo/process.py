"""A radnode of its own for one run of the demonstration: its configuration, its process, its end."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from node.catalog import bundled_config
from node.delivery.scu import echo
from node.errors import DeliveryError, RadnodeError
from node.settings import Settings, load_settings
from node.vocabulary import PeerAddress

START_SECONDS = 60.0
STOP_SECONDS = 60.0
QUIET_SECONDS = 0.5
LOG_LINES = 20


class NodeProcess:
    """`radnode serve` with the default rules and one peer, listening on a free port; a context manager.

    The peer sends the studies and, as the default rules say, gets the results back.
    """

    def __init__(
        self, folder: Path, peer: PeerAddress, artefacts: Path | None = None, workers: int | None = None
    ) -> None:
        """Write the configuration to `folder`, where the node also keeps its data and its log.

        Converted networks lie with the data, or in `artefacts`, which several runs may share; without `workers` the
        node has as many as it chooses.
        """
        self._config = _write_config(folder, peer)
        with self._config.open("a") as config:
            config.write("\n[workers]\n")
            if artefacts is not None:
                config.write(f'artefacts = "{artefacts}"\n')
            if workers is not None:
                config.write(f"count = {workers}\n")
        self._log = folder / "node.log"
        self.settings: Settings = load_settings(self._config, {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> PeerAddress:
        """Return where the node takes studies."""
        return PeerAddress(self.settings.node.ae_title, self.settings.dicom.host, self.settings.dicom.port)

    def __enter__(self) -> NodeProcess:
        command = [sys.executable, "-m", "node", "serve", "--config", str(self._config)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait_until_it_answers()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """Return the number of the process; raises RuntimeError before it is entered."""
        if self._process is None:
            raise RuntimeError("the node does not run; enter it with `with` first")
        return self._process.pid

    def check(self) -> None:
        """Raise RadnodeError, with the end of its log, when the process has ended."""
        if self._process is not None and self._process.poll() is not None:
            tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-LOG_LINES:])
            raise RadnodeError(
                f"the node ended with exit code {self._process.returncode}; {self._log} says:\n{tail}"
            )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            self.check()
            try:
                echo("DEMO", self.address, timeout_seconds=2.0)
            except DeliveryError:
                if time.monotonic() > deadline:
                    self.__exit__(None, None, None)
                    raise
                time.sleep(0.1)
            else:
                return


def _write_config(folder: Path, peer: PeerAddress) -> Path:
    folder.mkdir(parents=True)
    shutil.copyfile(bundled_config() / "routes.toml", folder / "routes.toml")
    (folder / "peers.toml").write_text(
        f'[peer.{peer.ae_title}]\nae_title = "{peer.ae_title}"\nhost = "{peer.host}"\nport = {peer.port}\n'
    )
    config = folder / "node.toml"
    config.write_text(
        f'[node]\ndata = "data"\n\n[dicom]\nport = {_free_port()}\n\n[archive]\nreserve_mb = 64\n\n'
        f"[gathering]\nquiet_seconds = {QUIET_SECONDS}\n"
    )
    return config


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
