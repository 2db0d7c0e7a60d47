"""The system calls of a process as strace records them, with all data, and a disk that they are played to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from forgetful_disk import ForgetfulDisk
from pydicom.filereader import read_dataset

_CALLS = (
    "openat,creat,write,pwrite64,writev,pwritev,pwritev2,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,"
    "mkdirat,rmdir,fsync,fdatasync,sync_file_range,ftruncate,truncate,fallocate,sendto,sendmsg,sendfile,copy_file_range"
)
_LINE = re.compile(r"(\d+) +(.*)")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)", re.DOTALL)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"\d+<([^>]*)>")
_FLUSHES = ("fsync(", "fdatasync(")

_COMMAND_BEGINS = bytes.fromhex("0000000004000000")  # (0000,0000), whose value is the length of what follows
_PDV_HEADER = 12  # bytes before a command set: of the PDU (PS3.8 9.3.5) and of its first PDV, if they go with it


def recorded(trace: Path) -> list[str]:
    """Return the command that runs another and records its system calls."""
    return ["strace", "-f", "-y", "-xx", "-s", "4000000", "--seccomp-bpf", "-e", f"trace={_CALLS}", "-o", str(trace)]


@dataclass(frozen=True)
class Sent:
    """A DIMSE message that went to a socket: its Command Field, the instance it is about, its status."""

    command: int
    sop_instance_uid: str
    status: int


@dataclass(frozen=True)
class _Call:
    name: str
    arguments: str
    result: int

    @property
    def texts(self) -> list[bytes]:
        return [_bytes(text) for text in _TEXT.findall(self.arguments)]

    @property
    def data(self) -> bytes:
        return b"".join(self.texts)

    @property
    def path(self) -> str:
        """The path of the descriptor that comes first."""
        found = _DESCRIPTOR.match(self.arguments)
        return _decoded(found[1]) if found else ""

    @property
    def number(self) -> int:
        """The number that comes last: an offset, a length."""
        return int(self.arguments.rpartition(",")[2])


def play(trace: Path, disk: ForgetfulDisk) -> Iterator[Sent | None]:
    """Let the disk see one call after another; give each message sent, and None after each change of the disk."""
    begun: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        found = _LINE.fullmatch(line)
        if not found or found[2].startswith(("+++", "---")):
            continue
        process, text = found.groups()
        is_resumed = bool(_RESUMED.match(text))
        if is_resumed:
            text = begun.pop(process) + _RESUMED.sub("", text, count=1)
        elif text.startswith(_FLUSHES):
            path = _decoded(_DESCRIPTOR.search(text)[1])
            if disk.holds(path):
                disk.begin_flush(process, path)
        if text.endswith("<unfinished ...>"):
            begun[process] = text.removesuffix("<unfinished ...>").rstrip()
            continue
        call = _CALL.match(text)
        if call and int(call[3]) >= 0:
            yield from _apply(_Call(call[1], call[2], int(call[3])), process, disk)


def _apply(call: _Call, process: str, disk: ForgetfulDisk) -> Iterator[Sent | None]:
    if call.name in {"sendto", "sendmsg"} or (call.name == "write" and call.path.startswith("socket:")):
        sent = _message(call.data)
        if sent is not None:
            yield sent
    elif _change(call, process, disk):
        yield None


def _change(call: _Call, process: str, disk: ForgetfulDisk) -> bool:
    """Do to the disk what the call did; tell whether it concerned the disk."""
    match call.name:
        case "fsync" | "fdatasync" if disk.holds(call.path):
            disk.end_flush(process)
        case "write" if disk.holds(call.path):
            disk.file(call.path).write(call.data[: call.result])
        case "pwrite64" if disk.holds(call.path):
            disk.file(call.path).write(call.data[: call.result], call.number)
        case "pwritev2" if disk.holds(call.path):  # as Python's os.pwritev; behind the offset are flags
            disk.file(call.path).write(call.data[: call.result], int(call.arguments.split(",")[-2]))
        case "ftruncate" if disk.holds(call.path):
            disk.file(call.path).truncate(call.number)
        case "openat" if "O_CREAT" in call.arguments and disk.holds(_path_in(call)):
            options = call.arguments
            disk.create(_path_in(call), is_emptied="O_TRUNC" in options, appends="O_APPEND" in options)
        case "mkdir" if disk.holds(_path_in(call)):
            disk.make_folder(_path_in(call))
        case "unlink" if disk.holds(_path_in(call)):
            disk.remove(_path_in(call))
        case "rename" if disk.holds(_path_in(call)):
            disk.rename(*(path.decode() for path in call.texts))
        case _:
            # What this model does not know must not pass unseen.
            assert not any(disk.holds(path) for path in _paths(call)) or call.name == "openat", call.name
            return False
    return True


def _path_in(call: _Call) -> str:
    return call.texts[0].decode()


def _paths(call: _Call) -> list[str]:
    return [_decoded(path) for path in _DESCRIPTOR.findall(call.arguments)]


def _message(data: bytes) -> Sent | None:
    """Return the DIMSE message whose command set comes first, if it is about an instance."""
    begin = data.find(_COMMAND_BEGINS, 0, _PDV_HEADER + len(_COMMAND_BEGINS))
    if begin < 0:
        return None
    value = begin + len(_COMMAND_BEGINS)
    end = value + 4 + int.from_bytes(data[value : value + 4], "little")
    command = read_dataset(BytesIO(data[begin:end]), is_implicit_VR=True, is_little_endian=True)
    instance = command.get("AffectedSOPInstanceUID")
    return Sent(command.CommandField, str(instance), command.get("Status", 0)) if instance else None


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _decoded(path: str) -> str:
    return _bytes(path).decode(errors="replace") if path.startswith("\\x") else path
