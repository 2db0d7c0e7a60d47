"""What the doctor says of encryption on the disk.

fscrypt is the kernel's own, on an ext4 made for the test. The kernels here have no device mapper: what sysfs shows of
dm-crypt is written as kernels with one show it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from node.clock import SystemClock
from node.doctor.check import Outcome, State
from node.doctor.encryption import Kernel, check_encryption
from node.doctor.examination import Examination, Visit

LUKS = "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-radnode"
LVM = "LVM-0123456789abcdef0123456789abcdef"
_ADD_KEY, _SET_POLICY = 0xC0506617, 0x800C6613  # FS_IOC_ADD_ENCRYPTION_KEY, FS_IOC_SET_ENCRYPTION_POLICY


class MadeUpKernel:
    """A made-up /sys and mountinfo; a device is (its dm/uuid, the devices below it)."""

    def __init__(self, root: Path, devices: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
        self.root = root
        for number, (name, (identifier, below)) in enumerate(devices.items()):
            device = root / "sys/devices" / name
            (device / "slaves").mkdir(parents=True)
            if identifier:
                (device / "dm").mkdir()
                (device / "dm/uuid").write_text(identifier + "\n")
            for other in below:
                (device / "slaves" / other).symlink_to(root / "sys/devices" / other)
            for place in (f"dev/block/254:{number}", f"class/block/{name}"):
                link = root / "sys" / place
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(device)

    def judge(self, kind: str = "ext4", device: str = "254:0", source: str = "/dev/sda1") -> Outcome:
        """Judge a folder on a mount of this kind, over a mount of another kind at the root."""
        data = self.root / "data"
        data.mkdir()
        listed = self.root / "mountinfo"
        listed.write_text(
            "27 1 99:9 / / rw shared:1 - xfs /dev/vda rw\n"
            f"35 27 {device} / {data} rw,relatime shared:20 - {kind} {source} rw\n"
        )
        return check_encryption(data, Kernel(listed, self.root / "sys"))


@pytest.mark.parametrize(
    ("devices", "is_encrypted"),
    [
        ({"dm-0": (LUKS, ("sda",)), "sda": ("", ())}, True),
        ({"dm-1": (LVM, ("dm-0",)), "dm-0": (LUKS, ("sda",)), "sda": ("", ())}, True),
        ({"sda": ("", ())}, False),
        ({"dm-1": (LVM, ("sda",)), "sda": ("", ())}, False),
        ({"md0": ("", ("dm-0", "sdb")), "dm-0": (LUKS, ("sda",)), "sda": ("", ()), "sdb": ("", ())}, False),
        ({"md0": ("", ("dm-0", "dm-1")), "dm-0": (LUKS, ()), "dm-1": (LUKS, ())}, True),
    ],
    ids=["LUKS", "LVM on LUKS", "bare disk", "LVM on a bare disk", "half a mirror", "both halves"],
)
def test_a_device_is_followed_down_to_what_dm_crypt_maps(
    tmp_path: Path, devices: Mapping[str, tuple[str, tuple[str, ...]]], is_encrypted: bool
) -> None:
    outcome = MadeUpKernel(tmp_path, devices).judge()
    assert outcome.state is (State.OK if is_encrypted else State.WARNING)
    assert ("dm-crypt" in outcome.found) is is_encrypted
    assert ("luksFormat" in outcome.advice) is not is_encrypted


def test_a_partition_is_encrypted_as_its_disk_is(tmp_path: Path) -> None:
    made = MadeUpKernel(tmp_path, {"dm-0": (LUKS, ())})
    partition = tmp_path / "sys/devices/dm-0/dm-0p1"
    partition.mkdir()
    (partition / "partition").write_text("1\n")
    (tmp_path / "sys/dev/block/254:7").symlink_to(partition)
    assert made.judge(device="254:7").state is State.OK


def test_a_file_system_with_a_number_of_its_own_is_known_by_its_source(tmp_path: Path) -> None:
    made = MadeUpKernel(tmp_path, {"dm-0": (LUKS, ())})
    assert made.judge("btrfs", "0:31", "/dev/dm-0").state is State.OK


@pytest.mark.parametrize(
    ("kind", "state"), [("ecryptfs", State.OK), ("overlay", State.WARNING), ("nfs4", State.WARNING)]
)
def test_without_a_device_the_kind_of_the_mount_counts(tmp_path: Path, kind: str, state: State) -> None:
    assert MadeUpKernel(tmp_path, {}).judge(kind, "0:40", "somewhere").state is state


def test_this_very_machine_can_be_looked_at_and_what_is_found_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text("")
    (tmp_path / "peers.toml").write_text("")
    (tmp_path / "routes.toml").write_text("")
    examination = Examination(Visit(tmp_path / "node.toml", {}, SystemClock()))
    (check,) = [check for check in examination.checks() if check.name == "data folder: encryption"]
    outcome = check.look()
    assert outcome.state in {State.OK, State.WARNING}
    assert str(tmp_path) in outcome.found


@pytest.fixture
def encrypting_disk(tmp_path: Path) -> Iterator[Path]:
    """An ext4 of 16 MB that can encrypt folders; only root may mount it, so others skip the test."""
    image, place = tmp_path / "image", tmp_path / "disk"
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("needs root and mkfs.ext4, to make a disk")
    image.write_bytes(bytes(16 << 20))
    place.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-O", "encrypt", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a loop device")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def encrypt(disk: Path, folder: Path) -> None:
    """Let the kernel encrypt what will be in a folder, with a key made up here (Linux fscrypt, policy version 2)."""
    disk_at, folder_at = os.open(disk, os.O_RDONLY), os.open(folder, os.O_RDONLY)
    try:
        key = bytearray(struct.pack("<II32sII32s", 2, 0, b"", 64, 0, b"") + os.urandom(64))
        fcntl.ioctl(disk_at, _ADD_KEY, key)
        fcntl.ioctl(folder_at, _SET_POLICY, struct.pack("<BBBB4s16s", 2, 1, 4, 0, b"", bytes(key[8:24])))
    except OSError as error:
        pytest.skip(f"needs a kernel with fscrypt ({error.strerror})")
    finally:
        os.close(disk_at)
        os.close(folder_at)


def test_a_folder_that_the_kernel_encrypts_is_seen_to_be(encrypting_disk: Path) -> None:
    plain, secret = encrypting_disk / "plain", encrypting_disk / "secret"
    plain.mkdir()
    secret.mkdir()
    encrypt(encrypting_disk, secret)
    assert check_encryption(plain, Kernel()).state is State.WARNING
    outcome = check_encryption(secret / "not there yet", Kernel())
    assert (outcome.state, "fscrypt" in outcome.found) == (State.OK, True)
