"""The systemd unit: systemd understands it, it is sandboxed, and it waits for the node to drain."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

from node.settings import DicomSection

UNIT = REPOSITORY / "deploy" / "radnode.service"
MOST_EXPOSED = 20  # tenths, of the 0 to 100 that systemd-analyze security counts

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs the package systemd")


def service() -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False, comment_prefixes="#")
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT)
    return parser["Service"]


@needs_systemd
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    installed = tmp_path / UNIT.name
    installed.write_text(UNIT.read_text().replace("/opt/radnode/bin/radnode", sys.executable))
    answer = subprocess.run(["systemd-analyze", "verify", installed], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")


@needs_systemd
def test_the_sandbox_leaves_little_exposed() -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", UNIT]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout.splitlines()[-1]


def test_the_data_folder_is_the_one_the_unit_makes() -> None:
    assert service()["Environment"] == f"RADNODE_DATA=/var/lib/{service()['StateDirectory']}"
    assert service()["StateDirectoryMode"] == "0700"


def test_stopping_waits_longer_than_associations_jobs_and_the_delivery_at_hand_may_take() -> None:
    assert int(service()["TimeoutStopSec"]) > 3 * DicomSection().drain_seconds
    assert service()["KillMode"] == "mixed"


def test_workers_may_confine_themselves() -> None:
    allowed = re.findall(r"^SystemCallFilter=(?!~)(.+)$", UNIT.read_text(), re.MULTILINE)
    calls = {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp"}
    assert calls <= {call for line in allowed for call in line.split()}


def test_the_command_is_one_that_radnode_understands() -> None:
    words = service()["ExecStart"].split()
    assert words[:2] == ["/opt/radnode/bin/radnode", "serve"]
    answer = subprocess.run(
        [sys.executable, "-m", "node", *words[1:2], "--help"], capture_output=True, text=True, check=True
    )
    assert set(re.findall(r"--[a-z-]+", " ".join(words))) <= set(re.findall(r"--[a-z-]+", answer.stdout))
