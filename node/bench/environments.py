"""Peers that need Python packages of their own: for each an environment, made on request, apart from the node's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.bench.comparison import Tell
from node.errors import BenchFailed

_MADE_OF = "made-of.txt"  # written last, so that an environment that was interrupted is not taken for one


@dataclass(frozen=True)
class Environment:
    """One peer's environment: its name, which is that of its folder too, the peer as tables call it, and its size."""

    name: str
    peer: str
    size_mb: int

    @property
    def packages(self) -> Path:
        """Return the list of what it is made of, the peer first, each in one version."""
        return Path(__file__).with_name(f"{self.name}.txt")

    def python(self, folder: Path) -> Path:
        """Return its Python, below the folder of all environments."""
        return folder / self.name / "bin" / "python"

    def version(self, folder: Path) -> str:
        """Return the peer's version, "" unless all of the packages that are listed now were installed."""
        packages, made_of = _pins(self.packages), folder / self.name / _MADE_OF
        if not self.python(folder).exists() or not made_of.is_file() or _pins(made_of) != packages:
            return ""
        return packages[0].partition("==")[2]

    def make(self, folder: Path, tell: Tell) -> None:
        """Make it, in place of the one that is there, from the registry that pip is set up for.

        Raises BenchFailed with what went wrong, also where something else has its name.
        """
        place = folder / self.name
        if place.exists() and not (place / "pyvenv.cfg").is_file():
            raise BenchFailed(f"{place}: exists and is no Python environment, expected neither; name another folder")
        tell(f"making {place}, about {self.size_mb} MB")
        _run([sys.executable, "-I", "-m", "venv", "--clear", str(place)])
        pip = [str(self.python(folder)), "-I", "-m", "pip", "install", "--quiet", "--no-cache-dir"]
        _run([*pip, "--no-deps", "--only-binary=:all:", "--requirement", str(self.packages)])
        (place / _MADE_OF).write_text(self.packages.read_text())


MONAI = Environment("monai-deploy", "MONAI Deploy App SDK operators", 350)
AI_ROUTER = Environment("dicom-ai-router", "dicom-ai-router", 155)
ENVIRONMENTS = {environment.name: environment for environment in (MONAI, AI_ROUTER)}


def how_to_make(peer: str) -> str:
    """Return how to come by a peer that was not found, as the end of a sentence; "" where it is no Python package."""
    names = [environment.name for environment in ENVIRONMENTS.values() if environment.peer == peer]
    return f"; `radnode bench peers --install {names[0]}` makes its environment" if names else ""


def _pins(packages: Path) -> list[str]:
    """Return what a list of packages holds without its comments."""
    lines = (line.partition("#")[0].strip() for line in packages.read_text().splitlines())
    return [line for line in lines if line]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-500:]
        raise BenchFailed(f"{' '.join(command[2:5])}: exit code {done.returncode}, expected 0; it said: {said}")
