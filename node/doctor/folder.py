"""Checks the data folder: that it is ours alone, that writes in it last, and that there is room."""

from __future__ import annotations

import os
import secrets
import stat
import time
from functools import partial
from pathlib import Path

from node.archive.disk import create_file, require_space, sync_file
from node.doctor.check import Check, Outcome, fault, fine, warning
from node.doctor.mounts import mount_of, nearest
from node.settings import Settings

_INNER = ("incoming", "instances", "results", "quarantine")
_REMOTE = frozenset(("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "fuse.glusterfs"))
_FLEETING = frozenset(("tmpfs", "ramfs"))
_PROBE_BYTES = 4096
_GIB = 1 << 30


def folder_checks(settings: Settings) -> list[Check]:
    """Return the checks of the folder that holds everything the node keeps."""
    data = settings.node.data
    return [
        Check("data folder", partial(check_folder, data)),
        Check("data folder: owner", partial(check_owner, data, os.geteuid())),
        Check("data folder: durable write", partial(check_write, data)),
        Check("data folder: file system", partial(check_file_system, data)),
        Check("disk space", partial(check_space, data, settings.archive.reserve_bytes)),
    ]


def check_folder(data: Path) -> Outcome:
    """Find a folder that is missing, is none, or that others can look into."""
    if not data.exists():
        return warning(f"{data}: not there yet", "nothing, if this node is new: `radnode serve` makes it")
    if not data.is_dir():
        return fault(f"{data}: not a folder", "remove it, or set `data` in node.toml to another path")
    mode = stat.S_IMODE(data.stat().st_mode)
    if mode & 0o077:
        return warning(f"{data}: mode {mode:04o}, so others can read patients' images", f"chmod 700 {data}")
    return fine(f"{data}: mode {mode:04o}")


def check_owner(data: Path, user_id: int) -> Outcome:
    """Find a folder that belongs to another user than the one who asks."""
    owner = nearest(data).stat().st_uid
    if data.exists() and owner != user_id:
        return warning(
            f"{data} belongs to user {owner}, the doctor runs as user {user_id}",
            f"run it as the node does, for example: sudo -u '#{owner}' radnode doctor",
        )
    return fine(f"user {user_id}")


def check_write(data: Path) -> Outcome:
    """Find a folder that cannot be written to, by writing a little file durably and removing it."""
    folder = nearest(data)
    if not os.access(folder, os.W_OK | os.X_OK):
        return fault(f"{folder}: not writable by user {os.geteuid()}", f"chown {os.geteuid()} {folder}")
    if not data.exists():
        return fine(f"{folder}: writable, the data folder can be made in it")
    started = time.perf_counter()
    probe = data / f".doctor-{secrets.token_hex(8)}"
    try:
        with create_file(probe) as file:
            file.write(bytes(_PROBE_BYTES))
            sync_file(file)
    finally:
        probe.unlink(missing_ok=True)
    return fine(f"took {1000 * (time.perf_counter() - started):.1f} ms")


def check_file_system(data: Path) -> Outcome:
    """Find folders that no rename can cross, and disks that no SQLite database or no result outlives."""
    folders = [folder for folder in (data, *(data / name for name in _INNER)) if folder.is_dir()]
    devices = {folder.stat().st_dev for folder in folders}
    if len(devices) > 1:
        return fault(
            f"{data}: its folders are on {len(devices)} file systems; an instance is kept by a rename within one",
            f"mount one file system at {data}, and none inside it",
        )
    mount = mount_of(nearest(data))
    kind = mount.kind if mount is not None else ""
    if kind in _REMOTE:
        return fault(
            f"{data}: on a network file system ({kind}), where SQLite's write-ahead log does not work",
            "set `data` in node.toml to a folder on a disk of this machine",
        )
    if kind in _FLEETING:
        return warning(f"{data}: in memory ({kind}), so a reboot loses everything", "set `data` to a folder on a disk")
    return fine(f"one file system ({kind or 'unknown kind'})")


def check_space(data: Path, reserve_bytes: int) -> Outcome:
    """Find a disk that is below its reserve, where instances are refused, or soon will be."""
    folder = nearest(data)
    require_space(folder, 0, reserve_bytes)
    state = os.statvfs(folder)
    free, total = state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize
    found = f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB free, {reserve_bytes / _GIB:.1f} GiB of it in reserve"
    if state.f_files and not state.f_favail:
        return fault(f"{folder}: no inode is free", "remove files, or set `data` to another disk")
    if free < 2 * reserve_bytes:
        return warning(found, "free some space soon; below the reserve every instance is refused (A700)")
    return fine(found)
