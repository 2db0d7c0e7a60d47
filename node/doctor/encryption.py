"""Checks whether what lies on the disk is encrypted there: by the folder, the file system or the device below it."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from node.doctor.check import Check, Outcome, fine, warning
from node.doctor.mounts import MOUNTS, Mount, mount_of, nearest

_ENCRYPTING = frozenset(("ecryptfs", "fuse.gocryptfs", "fuse.encfs", "fuse.cryfs"))
_CRYPT = "CRYPT-"  # with this the identifier of a device begins that dm-crypt maps (LUKS, plain, VeraCrypt, BitLocker)
_GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS of linux/fs.h
_FLAGS_BYTES = 8
_ENCRYPTED_FLAG = 0x800  # FS_ENCRYPT_FL: fscrypt encrypts what is in this folder
_ADVICE = (
    "put `data` on an encrypted volume, such as cryptsetup luksFormat makes, and the swap too; nothing, if the disk or "
    "the storage below this machine encrypts, which cannot be seen from here"
)


@dataclass(frozen=True)
class Kernel:
    """Where the kernel tells of mounts and devices."""

    mounts: Path = field(default=MOUNTS)
    devices: Path = field(default=Path("/sys"))


def encryption_checks(data: Path) -> list[Check]:
    """Return the check of the folder that holds images, results and the database."""
    return [Check("data folder: encryption", partial(check_encryption, data, Kernel()))]


def check_encryption(data: Path, kernel: Kernel) -> Outcome:
    """Remark on a folder that is not seen to be encrypted; what hardware does is not seen."""
    folder = nearest(data)
    if _has_policy(folder):
        return fine(f"{data}: encrypted by its file system (fscrypt)")
    mount = mount_of(folder, kernel.mounts)
    if mount is not None and mount.kind in _ENCRYPTING:
        return fine(f"{data}: on an encrypting file system ({mount.kind})")
    device = None if mount is None else _device_of(mount, kernel.devices)
    if device is not None and _is_encrypted(device):
        return fine(f"{data}: on an encrypted device ({device.name}, dm-crypt)")
    return warning(f"{data}: not seen to be encrypted", _ADVICE)


def _has_policy(folder: Path) -> bool:
    flags = bytearray(_FLAGS_BYTES)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, _GET_FLAGS, flags)
    except OSError:  # a file system without flags
        return False
    finally:
        os.close(descriptor)
    return bool(int.from_bytes(flags[:4], "little") & _ENCRYPTED_FLAG)


def _device_of(mount: Mount, devices: Path) -> Path | None:
    """Return a mount's block device in sysfs; of a file system with a number of its own, such as btrfs, its source."""
    places = [devices / "dev/block" / mount.device]
    if mount.source.startswith("/dev/"):
        places.append(devices / "class/block" / Path(mount.source).resolve().name)
    return next((place.resolve() for place in places if place.exists()), None)


def _is_encrypted(device: Path) -> bool:
    """Tell whether dm-crypt maps a device, or every one that it is made of (LVM, RAID, a partition)."""
    identifier = device / "dm/uuid"
    if identifier.is_file() and identifier.read_text().startswith(_CRYPT):
        return True
    if (device / "partition").is_file():
        return _is_encrypted(device.parent)
    below = list((device / "slaves").glob("*"))
    return bool(below) and all(_is_encrypted(each.resolve()) for each in below)
