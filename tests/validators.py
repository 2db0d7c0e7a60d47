"""Every validator of `check_objects`, over the objects of a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LONGEST_SECONDS = 800
_ONE_IS_MISSING = 3


def findings(shared: Path, folder: Path) -> list[list[str]]:
    """Return what the validators say, all of which must be there: file, validator, severity, text."""
    return _findings(_validate(shared, folder))


def findings_or_skip(shared: Path, folder: Path) -> list[list[str]]:
    """Return the same, and skip the test where a validator is missing."""
    answer = _validate(shared, folder)
    if answer.returncode == _ONE_IS_MISSING:
        pytest.skip(f"needs every validator of check_objects:\n{answer.stdout}")
    return _findings(answer)


def _validate(shared: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(shared / "tools" / "check_objects"), str(folder), "--all"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS)


def _findings(answer: subprocess.CompletedProcess[str]) -> list[list[str]]:
    assert "RESULT" in answer.stdout, answer.stderr
    assert "not run: none" in answer.stdout, answer.stdout[-2000:] + answer.stderr[-2000:]
    return [line.split("\t", 3) for line in answer.stdout.splitlines() if line.count("\t") >= 3]
