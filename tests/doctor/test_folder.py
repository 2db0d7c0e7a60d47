"""What the doctor says of the data folder and its disk."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_disk import fill, tiny_disk

from node.doctor.check import Check, State, carry_out
from node.doctor.folder import check_file_system, check_folder, check_owner, check_space, check_write
from node.doctor.mounts import mount_of

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user or to mount")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    with tiny_disk(tmp_path / "tiny") as folder:
        yield folder


def state_of(look: object) -> State:
    (result,) = carry_out([Check("x", look)])
    return result.state


def test_a_folder_of_our_own_is_in_order(data: Path) -> None:
    assert check_folder(data).state is State.OK
    assert check_owner(data, os.geteuid()).state is State.OK
    assert check_write(data).state is State.OK
    assert check_file_system(data).state is State.OK
    assert check_space(data, 0).state is State.OK
    assert list(data.iterdir()) == []


def test_a_folder_that_serve_will_make_is_only_a_warning(data: Path) -> None:
    absent = data / "not" / "yet"
    assert check_folder(absent).state is State.WARNING
    assert check_write(absent).state is State.OK
    assert not absent.exists()


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    assert check_folder(tmp_path / "data").state is State.ERROR


def test_a_folder_others_can_read_is_a_warning_with_the_command(data: Path) -> None:
    data.chmod(0o750)
    outcome = check_folder(data)
    assert (outcome.state, outcome.advice) == (State.WARNING, f"chmod 700 {data}")


def test_a_doctor_that_is_not_the_owner_says_so(data: Path) -> None:
    outcome = check_owner(data, os.geteuid() + 1)
    assert outcome.state is State.WARNING
    assert f"sudo -u '#{os.geteuid()}'" in outcome.advice


@needs_root
def test_a_folder_that_cannot_be_written_to_is_an_error(tiny: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", tiny], check=True)
    assert state_of(lambda: check_write(tiny)) is State.ERROR


@needs_root
def test_a_full_disk_is_an_error_for_the_write_and_for_the_space(tiny: Path) -> None:
    fill(tiny, leave_bytes=0)
    assert state_of(lambda: check_write(tiny)) is State.ERROR
    assert state_of(lambda: check_space(tiny, 1)) is State.ERROR
    assert [path.name for path in tiny.iterdir()] == ["ballast"]


@needs_root
def test_a_disk_near_its_reserve_is_a_warning(tiny: Path) -> None:
    fill(tiny, leave_bytes=1_500_000)
    assert state_of(lambda: check_space(tiny, 1_000_000)) is State.WARNING
    assert state_of(lambda: check_space(tiny, 2_000_000)) is State.ERROR
    assert state_of(lambda: check_space(tiny, 100_000)) is State.OK


@needs_root
def test_a_folder_in_memory_is_a_warning(tiny: Path) -> None:
    assert (found := mount_of(tiny)) is not None
    assert (found.kind, found.place) == ("tmpfs", tiny)
    assert check_file_system(tiny).state is State.WARNING


@needs_root
def test_incoming_on_another_disk_than_instances_is_an_error(data: Path) -> None:
    (data / "instances").mkdir()
    with tiny_disk(data / "incoming"):
        outcome = check_file_system(data)
    assert outcome.state is State.ERROR
    assert "2 file systems" in outcome.found
