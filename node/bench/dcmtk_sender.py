"""Sends folders with dcmtk's programs; with storescu, as prompt as it can be, to every receiver alike."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from node.bench.programs import PDU_BYTES, PROMPT, dcmtk_program, environment
from node.errors import BenchFailed
from node.vocabulary import PeerAddress

SEND_SECONDS = 600.0


def send_folders(folders: Sequence[Path], receiver: PeerAddress) -> None:
    """Send each folder over an association of its own, all at once, and return after the last answer.

    Raises BenchFailed when an instance is not answered with success.
    """
    senders = [
        subprocess.Popen(
            storescu_command(folder, receiver),
            env=environment(PROMPT),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for folder in folders
    ]
    said = [sender.communicate(timeout=SEND_SECONDS)[0] for sender in senders]
    for sender, output in zip(senders, said, strict=True):
        if sender.returncode:
            end = output.strip()[-500:]
            raise BenchFailed(f"storescu to {receiver.ae_title}: exit code {sender.returncode}, expected 0: {end}")


def dcmsend_command(folder: Path, receiver: PeerAddress) -> list[str]:
    """Return the same for dcmsend, which reads every file before it asks for an association."""
    options = ["+sd", "+r", "-pdu", str(PDU_BYTES), "-aet", "BENCHSCU", "-aec", receiver.ae_title]
    return [str(dcmtk_program("dcmsend")), *options, receiver.host, str(receiver.port), str(folder)]


def storescu_command(folder: Path, receiver: PeerAddress) -> list[str]:
    """Return the command line that sends every file below a folder and stops at the first that is refused."""
    options = ["-R", "+sd", "+r", "-pdu", str(PDU_BYTES), "-aet", "BENCHSCU", "-aec", receiver.ae_title]
    return [str(dcmtk_program("storescu")), *options, receiver.host, str(receiver.port), str(folder)]
