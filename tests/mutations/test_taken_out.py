"""Each behaviour the node is trusted for has a test that fails once the behaviour is taken out of the code.

A TOML file beside this one lists, for each behaviour, the lines that bring it, what takes it out, and the test; and,
where it is one of those of docs/reliability.md, the row of what can go wrong. The quick tests see that the lists fit
the code and that table; `make long` takes out one behaviour after another, in a copy.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import REPOSITORY
from programs import end_group

COPIED = ("node", "tests", "config", "docs", "deploy", "pyproject.toml", "README.md", "ARCHITECTURE.md")
TEST_FAILED = 1  # the exit code of pytest
CATALOGUE = "\n## What can go wrong\n"


@dataclass(frozen=True)
class Mutation:
    """A behaviour, the text that brings it (once in `file`), what takes its place, and the test that sees it.

    `row` is the first cell of its line in the table "What can go wrong".
    """

    behaviour: str
    file: str
    find: str
    replace: str
    test: str
    row: str = ""


def mutations() -> list[Mutation]:
    files = sorted(Path(__file__).parent.glob("*.toml"))
    return [Mutation(**entry) for file in files for entry in tomllib.loads(file.read_text())["mutation"]]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository that may be spoiled; models are only linked to."""
    folder = tmp_path_factory.mktemp("spoiled")
    for name in COPIED:
        there = REPOSITORY / name
        if there.is_dir():
            shutil.copytree(there, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(there, folder / name)
    (folder / "models").symlink_to(REPOSITORY / "models")
    return folder


@pytest.fixture
def spoiled(copy: Path, mutation: Mutation) -> Iterator[Path]:
    """The copy with one behaviour taken out."""
    file = copy / mutation.file
    whole = file.read_text()
    file.write_text(whole.replace(mutation.find, mutation.replace))
    yield copy
    file.write_text(whole)


@pytest.mark.parametrize("mutation", mutations(), ids=lambda mutation: mutation.behaviour)
def test_a_listed_behaviour_is_where_the_list_says_and_so_is_its_test(mutation: Mutation) -> None:
    assert (REPOSITORY / mutation.file).read_text().count(mutation.find) == 1
    assert mutation.find != mutation.replace
    file, _, name = mutation.test.partition("::")
    if name:
        function = re.sub(r"\[.*", "", name.rpartition("::")[2])
        assert f"def {function}(" in (REPOSITORY / file).read_text()
    else:
        assert (REPOSITORY / file).is_file()


def catalogue() -> dict[str, tuple[set[str], int]]:
    """Return the files with tests and the number of behaviours that docs/reliability.md states for each row."""
    _, _, section = (REPOSITORY / "docs" / "reliability.md").read_text().partition(CATALOGUE)
    lines = re.findall(r"^\| (.+) \| (`.+`) \| (\d+) \|$", section.partition("\n## ")[0], re.MULTILINE)
    return {row: (set(re.findall(r"`(.+?)`", files)), int(count)) for row, files, count in lines}


def test_the_table_of_what_can_go_wrong_is_that_of_the_lists() -> None:
    stated = catalogue()
    listed = {row: [one.test for one in mutations() if one.row == row] for row in stated}
    assert {one.row for one in mutations() if one.row} == set(stated)
    assert {row: count for row, (_, count) in stated.items()} == {row: len(tests) for row, tests in listed.items()}
    for row, (files, _) in stated.items():
        assert files <= {test.partition("::")[0] for test in listed[row]}, row


@pytest.mark.long
@pytest.mark.parametrize("mutation", mutations(), ids=lambda mutation: mutation.behaviour)
def test_a_behaviour_that_is_taken_out_is_missed(mutation: Mutation, spoiled: Path, tmp_path: Path) -> None:
    paths = os.pathsep.join([str(spoiled), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.setdefault("RADNODE_SHARED", str((REPOSITORY / ".." / "shared").resolve()))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--timeout=300", "-m", "", f"--basetemp={tmp_path / 'run'}"]
    with (tmp_path / "output").open("w+") as output:
        where = {"cwd": spoiled, "env": environment, "stdout": output, "stderr": output}
        ran = subprocess.Popen([*command, mutation.test], **where, start_new_session=True)
        try:
            code = ran.wait()
        finally:
            end_group(ran.pid)
        assert code == TEST_FAILED, (tmp_path / "output").read_text()[-4000:]
