"""What a worker gives up before it reads a single image: network, files, privileges, memory without end.

Started as `python -P -m node.inference.confinement TERMS MODULE ARGUMENT...`, where MODULE is the worker, or the
builder, which runs the code of models too. Codecs parse what anyone may have sent; a flaw in one must reach
neither the network nor a file that is not the worker's.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

from node.imports import without_collection
from node.inference import landlock, seccomp

# What the interpreter, the C library and drivers of GPUs read of the system; nothing here is secret.
_SYSTEM = ("/usr", "/lib", "/lib64", "/proc", "/sys", "/etc/ld.so.cache", "/etc/localtime", "/etc/passwd")
_DEVICES = ("null", "zero", "full", "random", "urandom", "shm", "nvidia*", "dri", "kfd")

_FIRST_TO_GO = 500  # of 1000: when the machine runs out of memory, a worker ends and not the node
_CAPABILITIES_VERSION = 0x20080522


@dataclass(frozen=True)
class Terms:
    """What a worker may read and change, as paths, and how many bytes of memory of its own it may take."""

    readable: tuple[str, ...]
    writable: tuple[str, ...]
    memory_bytes: int
    is_confined: bool

    def to_json(self) -> str:
        """Return the terms as one word of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Terms:
        """Return the terms that `to_json` wrote."""
        return cls(**json.loads(text))


def missing_protections() -> list[str]:
    """Return, as sentences, what this machine cannot keep a worker from."""
    missing = []
    if not landlock.is_available():
        missing.append("no Landlock (Linux 5.19 or later): a worker can read and write every file of its user")
    if not seccomp.is_available():
        missing.append("no seccomp filter for this system: a worker can reach the network")
    return missing


def limit_memory(memory_bytes: int) -> None:
    """Let this process take so much memory of its own; beyond that it gets MemoryError.

    RLIMIT_DATA counts what it may write and shares with nobody. RLIMIT_AS would count addresses too, of which
    CUDA reserves more than any machine has memory. A core file would hold a patient's images: there is none.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # where the system does not let it be read or set, nothing else depends on it
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_GO))


def confine(terms: Terms) -> None:
    """Give up network, files and privileges as far as this machine can take them; see `missing_protections`."""
    drop_capabilities()
    seccomp.forbid_new_privileges()
    if landlock.is_available():
        system = [Path(path) for path in (*_SYSTEM, *sys.path, sys.prefix, sys.base_prefix)]
        devices = [device for name in _DEVICES for device in Path("/dev").glob(name)]
        readable = [*system, *map(Path, terms.readable)]
        landlock.restrict_files(readable, [*map(Path, terms.writable), *devices, Path(tempfile.gettempdir())])
    if seccomp.is_available():
        seccomp.forbid_network()


def drop_capabilities() -> None:
    """Give up what root may do beyond any other user, who has nothing to give up.

    A service manager that forbids the call has taken the capabilities itself.
    """
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    none = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(header, none) != 0 and ctypes.get_errno() != errno.EPERM:
        raise OSError(ctypes.get_errno(), f"capset: {os.strerror(ctypes.get_errno())}")


def confined_command(terms: Terms, module: str, *arguments: str) -> list[str]:
    """Return the command that runs `main` of a module of this package in a process of its own, on these terms."""
    # -P: the folder the node was started in is none of that process's business.
    return [sys.executable, "-P", "-m", "node.inference.confinement", terms.to_json(), module, *arguments]


def _main(terms: Terms, module: str, arguments: list[str]) -> None:
    limit_memory(terms.memory_bytes)
    if terms.is_confined:
        confine(terms)
    # Not before: what these import starts threads, which would go on unconfined.
    with without_collection():
        main = import_module(f"node.inference.{module}").main
    main(*arguments)


if __name__ == "__main__":
    _main(Terms.from_json(sys.argv[1]), sys.argv[2], sys.argv[3:])
