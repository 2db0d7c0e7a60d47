"""Seccomp: a worker may open no socket to a network, enforced by Linux on the process itself, without privileges."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
from pathlib import Path

_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER_MODE = 38, 22, 2  # prctl(2)

# Architecture as audit names it, and the number of socket(2); io_uring_setup(2) could open sockets too.
_ARCHITECTURES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_IO_URING_SETUP = 425
_X32_CALLS = 0x40000000

# Berkeley Packet Filter over struct seccomp_data: the call's number, the architecture, its first argument.
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENT_AT = 0, 4, 16
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("if_true", ctypes.c_ubyte),
        ("if_false", ctypes.c_ubyte),
        ("k", ctypes.c_uint),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(_Instruction)))


def is_available() -> bool:
    """Tell whether this is Linux with seccomp filters on a processor whose calls we know."""
    return platform.machine() in _ARCHITECTURES and Path("/proc/sys/kernel/seccomp/actions_avail").exists()


def forbid_new_privileges() -> None:
    """Give up setuid programs, for good; what an unprivileged process confines itself with asks for that first."""
    _prctl(_NO_NEW_PRIVILEGES, 1)


def forbid_network() -> None:
    """From now on open no socket but those that reach this machine only (AF_UNIX), in this process.

    It cannot be undone, and holds for this thread and those it starts, so call it before there are others.
    Raises OSError where the kernel refuses, KeyError on another processor.
    """
    rules = _rules(*_ARCHITECTURES[platform.machine()])
    instructions = (_Instruction * len(rules))(*(_Instruction(*rule) for rule in rules))
    program = _Program(len(rules), instructions)
    _prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program))


def _rules(architecture: int, socket_call: int) -> list[tuple[int, int, int, int]]:
    """Return the filter: refuse calls of another architecture, io_uring, and sockets other than AF_UNIX."""
    return [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_IF_EQUAL, 0, 7, architecture),  # otherwise refuse
        (_LOAD, 0, 0, _NUMBER_AT),
        (_IF_AT_LEAST, 5, 0, _X32_CALLS),  # refuse
        (_IF_EQUAL, 4, 0, _IO_URING_SETUP),  # refuse
        (_IF_EQUAL, 0, 2, socket_call),  # otherwise allow
        (_LOAD, 0, 0, _ARGUMENT_AT),
        (_IF_EQUAL, 0, 1, socket.AF_UNIX),  # otherwise refuse
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]


def _prctl(option: int, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    filled = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments]
    if libc.prctl(option, *filled, *[ctypes.c_ulong(0)] * (4 - len(filled))) != 0:
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")
