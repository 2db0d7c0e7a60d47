"""The mutation score: of the small faults put into a module one at a time, how many its quick tests notice.

`make mutants` runs it; arguments are modules, without any all are judged. Each fault is tried in a process of its own,
forked from one that has imported every library, and never touches a file. Survivors are printed as they are found.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import resource
import signal
import sys
import tempfile
import time
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import Phase, settings
from mutations.mutants import Mutant, mutants_of

REPOSITORY = Path(__file__).resolve().parents[2]
LIBRARIES = (
    "alembic.command", "click.testing", "highdicom", "PIL.Image", "pydantic", "pydicom", "pynetdicom", "rich.console",
    "SimpleITK",
)  # fmt: skip
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "--timeout=0", "-W", "ignore::pytest.PytestAssertRewriteWarning")
LEAST_SCORE = 0.9
LARGEST_BYTES = 8 << 30

# Each module that decides who comes in, what is kept under which name, whose it is and what may become of it, and the
# quick tests that hold it.
JUDGED = {
    "node/states.py": ("tests/test_states.py",),
    "node/archive/identity.py": ("tests/archive/test_identity.py",),
    "node/archive/keep.py": (
        "tests/archive/test_keep.py",
        "tests/archive/test_removal.py",
        "tests/archive/test_journal.py",
        # It runs another process, which no fault that is put in here reaches.
        "--deselect=tests/archive/test_keep.py::test_the_file_is_flushed_then_renamed_then_its_name_is_flushed_before_anyone_hears",
    ),
    "node/archive/outline.py": ("tests/archive/test_outline.py",),
    "node/archive/part.py": (
        "tests/archive/test_part.py",
        "tests/archive/test_walk_fuzz.py",
        "tests/archive/test_keep.py",
    ),
    "node/archive/walk.py": (
        "tests/archive/test_walk_elements.py",
        "tests/archive/test_walk.py",
        "tests/archive/test_walk_real.py",
        "tests/archive/test_header.py",
        "tests/archive/test_outline.py",
    ),
    "node/association/allowlist.py": ("tests/association/test_allowlist.py",),
    "node/association/doorkeeper.py": ("tests/association/test_allowlist.py",),
    "node/association/incoming.py": ("tests/association/test_incoming.py",),
    "node/association/statuses.py": ("tests/association/test_incoming.py",),
    "node/association/negotiation.py": ("tests/association/test_proposal.py",),
    "node/association/proposal.py": ("tests/association/test_proposal.py",),
    "node/results/identity.py": ("tests/results/test_references.py",),
    "node/results/items.py": ("tests/results/test_items.py", "tests/results/test_references.py"),
    "node/results/placement.py": ("tests/results/test_placement.py",),
    "node/results/predecessors.py": ("tests/results/test_references.py",),
    "node/studies/admission.py": ("tests/studies/test_admission.py",),
    "node/studies/arrival.py": ("tests/studies/test_arrival.py", "tests/studies/test_index.py"),
    "node/studies/association_rows.py": ("tests/studies/test_association_rows.py", "tests/studies/test_index.py"),
    "node/studies/claims.py": ("tests/studies/test_claims.py",),
    "node/studies/index.py": (
        "tests/studies/test_index.py",
        "tests/studies/test_association_rows.py",
        "tests/studies/test_admission.py",
        "tests/studies/test_intake.py",
    ),
    "node/studies/intake.py": ("tests/studies/test_intake.py",),
}


@dataclass
class Score:
    """How a module fared."""

    file: str
    killed: int = 0
    survivors: list[Mutant] = field(default_factory=list)

    @property
    def share(self) -> float:
        return self.killed / (self.killed + len(self.survivors))


class _Spoiled(SourceFileLoader):
    """Loads one module from a tree instead of its file."""

    def __init__(self, name: str, file: Path, tree: object) -> None:
        super().__init__(name, str(file))
        self._tree = tree

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, _name: str) -> types.CodeType:
        return compile(self._tree, self.path, "exec", dont_inherit=True)


@dataclass(frozen=True)
class Run:
    """How tests ended (0: they passed), and the seconds that took, of time and of a processor."""

    code: int
    seconds: float
    cpu_seconds: float


WHOLE = Run(0, 60.0, 60.0)  # until it is known how long a module's tests take


def run_tests(tests: Sequence[str], usual: Run, spoiled: _Spoiled | None = None) -> Run:
    """Run the tests in a process of their own, with a module spoiled, far longer than they take as it is.

    A fault without end costs processor time, which a busy machine does not lengthen.
    """
    # The parent's, for a process that is stopped in the middle tidies nothing up.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        began = time.monotonic()
        process = os.fork()
        if process == 0:
            _run_in_this_process(tests, usual, spoiled, folder)
        _, code, used = os.wait4(process, 0)
        return Run(code, time.monotonic() - began, used.ru_utime + used.ru_stime)


def _run_in_this_process(tests: Sequence[str], usual: Run, spoiled: _Spoiled | None, folder: str) -> NoReturn:
    signal.alarm(20 + 10 * int(usual.seconds))
    most_cpu_seconds = 10 + 3 * int(usual.cpu_seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (most_cpu_seconds, most_cpu_seconds))
    resource.setrlimit(resource.RLIMIT_AS, (LARGEST_BYTES, LARGEST_BYTES))
    if spoiled is not None:
        sys.meta_path.insert(0, spoiled)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder
    try:
        os._exit(pytest.main([*OPTIONS, f"--basetemp={folder}/run", *tests]))
    finally:
        os._exit(1)  # pytest itself fell


def judge(file: str, tests: Sequence[str]) -> Score:
    """Try every fault in a module."""
    usual = run_tests(tests, WHOLE)
    if usual.code != 0:
        raise SystemExit(f"{file}: its tests fail as it is: {' '.join(tests)}")
    score = Score(file)
    name = file.removesuffix(".py").replace("/", ".")
    for mutant in mutants_of((REPOSITORY / file).read_text()):
        if run_tests(tests, usual, _Spoiled(name, REPOSITORY / file, mutant.tree)).code != 0:
            score.killed += 1
            continue
        score.survivors.append(mutant)
        print(f"{file}:{mutant.line}: {mutant.before!r} became {mutant.after!r}", flush=True)
    print(f"{file}: {score.killed} of {score.killed + len(score.survivors)} noticed", flush=True)
    return score


def table(scores: Sequence[Score]) -> Iterator[str]:
    """Give the lines of a Markdown table."""
    yield from ("| Module | Faults | Noticed | Score |", "| --- | --- | --- | --- |")
    for score in scores:
        faults = score.killed + len(score.survivors)
        yield f"| `{score.file}` | {faults} | {score.killed} | {score.share:.1%} |"


def main(files: Sequence[str]) -> int:
    """Judge modules; return 1 if one is below the least score."""
    os.chdir(REPOSITORY)
    settings.register_profile("noticing", phases=[Phase.explicit, Phase.generate])  # a failure need not be made small
    settings.load_profile("noticing")
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()
    scores = [judge(file, JUDGED[file]) for file in files or JUDGED]
    print("\n".join(table(scores)))
    return int(any(score.share < LEAST_SCORE for score in scores))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
