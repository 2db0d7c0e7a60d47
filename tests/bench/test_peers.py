"""Peers in environments of their own: found, not found, made, and run apart from the node's libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from node.bench.environments import AI_ROUTER, ENVIRONMENTS, MONAI, Environment
from node.bench.performing import Performer
from node.bench.plan import Benchmark
from node.bench.run import Wish, run_benchmarks
from node.cli import main
from node.clock import SystemClock
from node.errors import BenchFailed

MAKE_SECONDS = 1200
ECHOING = """\
from node.bench.performing import Performance


def make(greeting):
    return Performance(lambda name: f"{greeting} {name}", lambda said: {"said": said})
"""


def radnode(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A Python without any library, but for a module that performs."""
    place = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "echoing.py").write_text(ECHOING)
    return place / "bin" / "python"


def test_another_python_performs_as_ours_does(bare: Path, tmp_path: Path) -> None:
    with Performer("echoing:make", ("good day",), tmp_path / "log", bare) as performer:
        performer.wait()
        cost = performer.perform("node")
    assert cost.facts == {"said": "good day node"}
    assert cost.seconds > 0


def test_another_python_finds_none_of_our_libraries(bare: Path, tmp_path: Path) -> None:
    with Performer("node.bench.facts:volume_facts", (), tmp_path / "log", bare) as performer:
        performer.wait()
        with pytest.raises(BenchFailed, match="No module named 'numpy'"):
            performer.perform()


def test_a_peer_without_its_environment_is_named_with_how_to_make_it(tmp_path: Path) -> None:
    told: list[str] = []
    needy = Benchmark("needy", "For a test.", lambda peers: {MONAI.peer: MONAI.version(peers)}, lambda _: iter(()))
    (report,) = run_benchmarks([needy], Wish(True, 1, tmp_path, tmp_path / "none"), SystemClock(), told.append)
    assert report.outcomes[0].missing == (MONAI.peer,)
    assert told == [
        f"{MONAI.peer}: not found, takes no part; `radnode bench peers --install monai-deploy` makes its environment"
    ]


def complete(environment: Environment, folder: Path) -> Path:
    """Make what an environment is known by, and return the list of what it is made of."""
    python = environment.python(folder)
    python.parent.mkdir(parents=True)
    python.touch()
    made_of = folder / environment.name / "made-of.txt"
    made_of.write_text(environment.packages.read_text())
    return made_of


@pytest.mark.parametrize(("environment", "expected"), [(MONAI, "4.0.0"), (AI_ROUTER, "0.3.0")])
def test_an_environment_counts_when_all_that_is_listed_now_was_installed(
    environment: Environment, expected: str, tmp_path: Path
) -> None:
    assert environment.version(tmp_path) == ""
    made_of = complete(environment, tmp_path)
    assert environment.version(tmp_path) == expected
    made_of.write_text("of something else\n")
    assert environment.version(tmp_path) == ""
    made_of.unlink()
    assert environment.version(tmp_path) == ""


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_a_peer_is_pinned_with_all_it_needs_and_to_the_libraries_that_the_node_has(environment: Environment) -> None:
    lines = [line.partition("#")[0].strip() for line in environment.packages.read_text().splitlines()]
    pins = dict(line.split("==") for line in lines if line)
    shared = {"highdicom", "pydicom", "pynetdicom"} & set(pins)
    assert shared
    assert {name: pins[name] for name in shared} == {name: version(name) for name in shared}


def test_the_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / MONAI.name / "precious"
    precious.parent.mkdir()
    precious.touch()
    with pytest.raises(BenchFailed, match="is no Python environment"):
        MONAI.make(tmp_path, lambda _: None)
    assert precious.exists()


def test_an_environment_that_could_not_be_made_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.setenv(name, "file:///nowhere")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(BenchFailed, match="exit code 1, expected 0; it said"):
        AI_ROUTER.make(tmp_path, lambda _: None)
    assert AI_ROUTER.python(tmp_path).exists()
    assert AI_ROUTER.version(tmp_path) == ""


def test_the_verb_says_which_are_there(tmp_path: Path) -> None:
    complete(AI_ROUTER, tmp_path)
    told = radnode("bench", "peers", "--peers", tmp_path, "--json")
    assert told.exit_code == 0, told.output
    found = {row["name"]: row["version"] for row in json.loads(told.stdout)}
    assert found == {"monai-deploy": "not there", "dicom-ai-router": "0.3.0"}
    refused = radnode("bench", "peers", "niftynet", "--peers", tmp_path)
    assert refused.exit_code == 2
    assert "no peer is called niftynet; there are monai-deploy, dicom-ai-router" in refused.output


@pytest.mark.long
@pytest.mark.timeout(2 * MAKE_SECONDS)
def test_peers_from_the_registry_do_the_same_work(tmp_path: Path) -> None:
    peers, written = tmp_path / "peers", tmp_path / "report.json"
    command = [sys.executable, "-m", "node", "bench"]
    subprocess.run([*command, "peers", "--install", "--peers", str(peers)], check=True, timeout=MAKE_SECONDS)
    for verb, peer, fact in (
        ("volume", MONAI.peer, "checksum"),
        ("encode", MONAI.peer, "pixel_checksum"),
        ("receive", AI_ROUTER.peer, ""),
    ):
        words = ["--quick", "--peers", str(peers), "--json", str(written)]
        subprocess.run([*command, verb, *words], check=True, timeout=MAKE_SECONDS)
        (outcome,) = json.loads(written.read_text())["outcomes"]
        assert not [failure for comparison in outcome["comparisons"] for failure in comparison["failures"]]
        results = {result["way"]: result["facts"] for result in outcome["comparisons"][0]["results"]}
        assert peer in results
        assert not fact or results[peer][fact] == results["radnode"][fact]
