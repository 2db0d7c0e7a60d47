"""Checks what workers are kept from on this machine, and how much memory each may take."""

from __future__ import annotations

from functools import partial

from node.doctor.check import Check, Outcome, fine, warning
from node.inference.confinement import missing_protections
from node.inference.limits import count_of, machine_bytes, memory_bytes_of
from node.settings import WorkersSection

_MIB = 1 << 20
_LEAST_BYTES = 1 << 31  # TensorFlow and a small network alone take half of it


def worker_checks(workers: WorkersSection) -> list[Check]:
    """Return the checks of what confines the workers."""
    return [
        Check("workers: confinement", partial(check_confinement, workers.confined)),
        Check("workers: memory", partial(check_memory, workers)),
    ]


def check_confinement(is_wanted: bool) -> Outcome:
    """Find out whether a worker reaches the network or files that are not its own."""
    if not is_wanted:
        return warning("switched off: a flaw in a codec reaches the network and every file", "set confined = true")
    missing = missing_protections()
    if missing:
        return warning("; ".join(missing), "run the node on Linux 5.19 or later, on x86_64 or aarch64")
    return fine("no network, no files but their own, no privileges")


def check_memory(workers: WorkersSection) -> Outcome:
    """Find workers that may take more memory than there is, or less than TensorFlow needs."""
    count, each = count_of(workers), memory_bytes_of(workers)
    found = f"{count} of {each // _MIB} MB each, of {machine_bytes() // _MIB} MB"
    if each * count > machine_bytes():
        return warning(found, "set a lower memory_mb or count in [workers], or the system may end the node instead")
    if each < _LEAST_BYTES:
        return warning(found, f"give each at least {_LEAST_BYTES // _MIB} MB: set memory_mb or fewer workers")
    return fine(found)
