"""dcmtk's programs as peers: what a test says to them, and what they made of it."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from programs import program
from pydicom.filereader import read_file_meta_info
from pynetdicom.dsutils import split_dataset
from waiting import until

from node.vocabulary import PeerAddress

needs_dcmtk = pytest.mark.skipif(shutil.which("storescp") is None, reason="needs the package dcmtk")

PROMPT = os.environ | {"TCP_NODELAY": "1"}

# None of those that Linux gives to whoever asks for any, as other tests do between our choice of one and its use.
_PORTS = range(12_000, 32_000)


@contextmanager
def store_scp(folder: Path, *options: str) -> Iterator[PeerAddress]:
    """Run storescp on loopback until the block ends; it keeps data sets bit for bit in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = ["storescp", "+B", "+xa", *options, "-od", str(folder), str(port)]
    with program(command, PROMPT) as running:
        running.until(lambda: is_listening(port))
        yield PeerAddress("STORESCP", "127.0.0.1", port)


def run(program: str, *arguments: str | Path | int) -> subprocess.CompletedProcess[str]:
    """Run a dcmtk program to its end and return what it said."""
    return subprocess.run(
        [program, *map(str, arguments)], env=PROMPT, capture_output=True, text=True, check=False, timeout=60
    )


def free_port() -> int:
    """Return a port of loopback that nothing listens on, and that nobody else gets while this process lives."""
    return next(port for port in random.sample(_PORTS, len(_PORTS)) if _is_reserved(port) and _is_free(port))


def _is_reserved(port: int) -> bool:
    """Reserve a port among all processes that ask here, by a name that goes with this one; tell whether it is ours."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as name:
        try:
            name.bind(f"\0radnode-test-port-{port}")
        except OSError:
            return False
        name.detach()  # and so left open
    return True


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def wait_for_port(port: int) -> None:
    """Return once something listens there."""
    until(lambda: is_listening(port))


def is_listening(port: int) -> bool:
    """Tell whether anything listens on a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except (ConnectionRefusedError, ConnectionResetError, TimeoutError):
        return False
    return True


def data_set_bytes(path: Path) -> bytes:
    """Return the encoded data set of a Part 10 file, without preamble and file meta."""
    _, start = split_dataset(path)
    return path.read_bytes()[start:]


def transfer_syntax(path: Path) -> str:
    """Return the transfer syntax UID a Part 10 file states."""
    return str(read_file_meta_info(path).TransferSyntaxUID)


def misc_files(shared: Path, *names: str) -> Sequence[Path]:
    """Return the files of dicom_misc whose names contain one of these, which must exist."""
    found = [next((shared / "data" / "dicom_misc").glob(f"*{name}*.dcm")) for name in names]
    assert len(found) == len(names)
    return found
