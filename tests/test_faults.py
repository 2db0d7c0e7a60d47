"""Fault points: a test may let the process die, fail or hang at each; in service they do nothing."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

from node import faults
from node.faults import FAULT_VARIABLE, MARK_VARIABLE, FaultPoint

REACH_THREE_TIMES = """
from node import faults
for number in range(3):
    print(number, flush=True)
    try:
        faults.reach("rows written")
        faults.reach("part flushed")
    except OSError as error:
        print(error.strerror, flush=True)
"""


def reach(fault: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {FAULT_VARIABLE: fault, MARK_VARIABLE: str(folder / "mark"), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", REACH_THREE_TIMES]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_process_dies_at_the_point_and_time_asked_for_and_says_that_it_was_there(tmp_path: Path) -> None:
    died = reach("part flushed:kill:2", tmp_path)
    assert died.returncode == -signal.SIGKILL
    assert died.stdout.split() == ["0", "1"]
    assert (tmp_path / "mark").exists()


def test_a_fault_acts_once_also_when_another_process_begins_anew(tmp_path: Path) -> None:
    assert reach("part flushed:kill", tmp_path).returncode == -signal.SIGKILL
    again = reach("part flushed:kill", tmp_path)
    assert (again.returncode, again.stdout.split()) == (0, ["0", "1", "2"])


def test_a_point_fails_as_a_disk_does(tmp_path: Path) -> None:
    failed = reach("part flushed:raise:3", tmp_path)
    assert failed.stdout.splitlines() == ["0", "1", "2", "fault point 'part flushed'"]


def test_a_point_hangs_until_the_process_is_killed(tmp_path: Path) -> None:
    environment = {FAULT_VARIABLE: "part flushed:hang", "PYTHONPATH": str(REPOSITORY)}
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", REACH_THREE_TIMES], env=environment, timeout=2, check=False)


def test_no_point_does_anything_in_service() -> None:
    assert faults.reach is faults._pass


def test_every_point_of_the_table_is_reached_somewhere_and_every_one_reached_is_in_the_table() -> None:
    calls = [
        found
        for module in (REPOSITORY / "node").rglob("*.py")
        for found in re.findall(r"faults\.reach\((.*)\)", module.read_text())
    ]
    named = {call.removeprefix("FaultPoint.") for call in calls if call.startswith("FaultPoint.")}
    assert named == set(FaultPoint.__members__)
    assert {call for call in calls if not call.startswith("FaultPoint.")} == {"name", 'f"{event_name} committed"'}
