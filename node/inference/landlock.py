"""Landlock: the files a worker may read and write, enforced by Linux on the process itself, without privileges."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

# Linux, include/uapi/linux/landlock.h; the numbers of the calls are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_CHAR, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 8
_MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM, _REFER, _TRUNCATE = (1 << bit for bit in range(9, 15))

_READ = _EXECUTE | _READ_FILE | _READ_DIR
_MAKE = _MAKE_DIR | _MAKE_REG | _MAKE_SOCK | _MAKE_FIFO
_CHANGE = _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE | _REFER | _TRUNCATE
_EVERYTHING = _READ | _CHANGE | _MAKE_CHAR | _MAKE_BLOCK | _MAKE_SYM
_OF_A_FILE = _EXECUTE | _READ_FILE | _WRITE_FILE | _TRUNCATE

# The first version that lets a file be renamed into another folder, as finished results are.
_LEAST_VERSION = 2
_VERSION_WITH_TRUNCATE = 3


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64),)


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def is_available() -> bool:
    """Tell whether this kernel offers enough of Landlock (Linux 5.19), and has it switched on."""
    return _version() >= _LEAST_VERSION


def restrict_files(readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """From now on open nothing but these files and folders, and what is in the folders, in this process.

    It cannot be undone, and holds for this thread and those it starts, so call it before there are others.
    Paths that do not exist are left out. Raises OSError where Landlock is not available.
    """
    handled = _EVERYTHING if _version() >= _VERSION_WITH_TRUNCATE else _EVERYTHING & ~_TRUNCATE
    allowed: Mapping[Path, int] = dict.fromkeys(readable, _READ) | dict.fromkeys(writable, _READ | _CHANGE)
    attributes = _Ruleset(handled)
    ruleset = _call(_CREATE_RULESET, ctypes.byref(attributes), ctypes.sizeof(attributes), 0)
    try:
        for path, access in allowed.items():
            if path.exists():
                _allow(ruleset, path, access & handled)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, access: int) -> None:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _Rule(access if path.is_dir() else access & _OF_A_FILE, opened)
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(opened)


def _version() -> int:
    try:
        return _call(_CREATE_RULESET, None, 0, _ASK_VERSION)
    except OSError:
        return 0


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    returned: int = libc.syscall(ctypes.c_long(number), *arguments)
    if returned < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return returned
