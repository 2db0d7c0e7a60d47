"""What a confined process can still do, and what it cannot: tried out in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from dcmtk import free_port
from pydicom.uid import RLELossless
from rows import gathering, received
from volumes import ct_study

from node.archive import Archive
from node.catalog import Catalog, bundled_models
from node.doctor.check import State
from node.doctor.workers import check_confinement, check_memory
from node.inference.building import build_missing
from node.inference.confinement import Terms, missing_protections
from node.inference.supervisor import builder_terms, worker_terms
from node.settings import NodeSection, Settings, WorkersSection

pytestmark = pytest.mark.skipif(bool(missing_protections()), reason="needs Linux with Landlock and seccomp")

CONFINED = """
import sys
from node.inference.confinement import Terms, confine, limit_memory
terms = Terms.from_json(sys.argv[1])
limit_memory(terms.memory_bytes)
confine(terms)
try:
    print(eval(sys.argv[2]))
except (OSError, MemoryError) as error:
    print(type(error).__name__)
"""


@pytest.fixture
def terms(tmp_path: Path) -> Terms:
    """What a worker of a node in `tmp_path` would get, with all its folders there."""
    data = tmp_path / "data"
    Archive(data)
    side = gathering(data)
    side.bring(received(1))
    side.complete()
    config = tmp_path / "config" / "node.toml"
    config.parent.mkdir()
    config.write_text("[node]\n")
    (tmp_path / "tmp").mkdir()
    (data / "networks").mkdir()
    (data / "networks" / "network.xml").write_text("a graph")
    terms = worker_terms(config, settings_of(tmp_path))
    assert all(Path(path).exists() for path in terms.writable)
    return terms


def settings_of(folder: Path) -> Settings:
    return Settings(node=NodeSection(data=folder / "data"), workers=WorkersSection(memory_mb=2048))


def attempt(terms: Terms, expression: str, folder: Path | None = None) -> str:
    """Evaluate an expression in a confined process; return what it gave, or the name of the error.

    Its temporary files go below `folder`, for a worker that of the node's data.
    """
    folder = folder or Path(terms.writable[0]).parent.parent
    environment = os.environ | {"TMPDIR": str(folder / "tmp")}
    command = [sys.executable, "-P", "-c", CONFINED, terms.to_json(), expression]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET"])
def test_a_worker_gets_no_socket_to_a_network(terms: Terms, family: str) -> None:
    opening = f"__import__('socket').socket(__import__('socket').{family}, __import__('socket').SOCK_DGRAM)"
    assert attempt(terms, opening) == "PermissionError"


def test_a_worker_cannot_reach_the_port_of_the_node(terms: Terms) -> None:
    connect = f"__import__('socket').create_connection(('127.0.0.1', {free_port()}))"
    assert attempt(terms, connect) == "PermissionError"  # and not ConnectionRefusedError, as outside


def test_a_worker_reads_no_file_but_those_it_needs(terms: Terms, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not for workers")
    for path in (secret, Path("/etc/shadow"), Path("/etc/hostname")):
        assert attempt(terms, f"open({str(path)!r}).read()") == "PermissionError"
    assert attempt(terms, f"__import__('os').listdir({str(Path.home())!r})") == "PermissionError"


def test_a_worker_reads_instances_and_settings_but_cannot_change_them(terms: Terms, tmp_path: Path) -> None:
    instance = tmp_path / "data" / "instances" / "00" / "1.dcm"
    instance.write_text("pixels")
    assert attempt(terms, f"open({str(instance)!r}).read()") == "pixels"
    assert attempt(terms, f"open({str(tmp_path / 'config' / 'node.toml')!r}).read()") == "[node]"
    for change in (f"open({str(instance)!r}, 'a')", f"__import__('os').unlink({str(instance)!r})"):
        assert attempt(terms, change) == "PermissionError"
    assert attempt(terms, f"__import__('os').truncate({str(instance)!r}, 0)") == "PermissionError"
    assert attempt(terms, f"open({str(tmp_path / 'data' / 'new')!r}, 'x')") == "PermissionError"
    assert instance.read_text() == "pixels"


def test_a_worker_reads_converted_networks_and_only_the_builder_changes_them(terms: Terms, tmp_path: Path) -> None:
    network = tmp_path / "data" / "networks" / "network.xml"
    builder = builder_terms(tmp_path / "config" / "node.toml", settings_of(tmp_path))
    assert attempt(terms, f"open({str(network)!r}).read()") == "a graph"
    assert attempt(terms, f"open({str(network)!r}, 'w').write('another')") == "PermissionError"
    assert attempt(terms, f"open({str(network.with_name('new'))!r}, 'x')") == "PermissionError"
    assert network.read_text() == "a graph"
    assert attempt(builder, f"open({str(network)!r}, 'w').write('another')", tmp_path) == "7"


def test_the_builder_sees_nothing_of_a_patient_and_no_network(terms: Terms, tmp_path: Path) -> None:
    builder = builder_terms(tmp_path / "config" / "node.toml", settings_of(tmp_path))
    for path in (tmp_path / "data" / "instances", tmp_path / "data" / "results"):
        assert attempt(builder, f"__import__('os').listdir({str(path)!r})", tmp_path) == "PermissionError"
    assert attempt(builder, f"open({terms.writable[2]!r}, 'rb').read()", tmp_path) == "PermissionError"
    connect = f"__import__('socket').create_connection(('127.0.0.1', {free_port()}))"
    assert attempt(builder, connect, tmp_path) == "PermissionError"


def test_a_converted_network_answers_within_the_terms_of_a_worker_and_little_memory(
    terms: Terms, artefacts: Path
) -> None:
    model = Catalog([bundled_models()])["chest_dx_frontal"]
    list(build_missing(artefacts, [model]))
    catalog = "__import__('node.catalog').catalog"
    model_there = f"{catalog}.Catalog([{catalog}.bundled_models()])['chest_dx_frontal']"
    root = f"__import__('pathlib').Path({str(artefacts)!r})"
    serving = "__import__('node.inference.serving').inference.serving"
    network = f"{serving}.load_network({model_there}, {serving}.Serving({root}))"
    within = replace(terms, readable=(*terms.readable, str(artefacts)), memory_bytes=512 << 20)
    answer = f"(lambda network: (type(network).__name__, network.warm_up()))({network})"
    assert attempt(within, answer) == "('OpenVinoNetwork', None)"


def test_threads_decode_within_the_terms_of_a_worker_and_little_memory(terms: Terms, tmp_path: Path) -> None:
    paths = []
    for number, dataset in enumerate(ct_study(slices=20)):
        dataset.compress(RLELossless, generate_instance_uid=False)
        paths.append(str(tmp_path / "data" / "instances" / f"{number}.dcm"))
        dataset.save_as(paths[-1], enforce_file_format=True)
    read = "__import__('node.imaging.series').imaging.series.read_volume"
    volume = f"{read}(list(map(__import__('pydicom').dcmread, {paths})), threads=4)"
    within = replace(terms, memory_bytes=256 << 20)
    assert attempt(within, f"{volume}.grid.shape") == "(20, 24, 30)"


def test_a_worker_keeps_results_durably(terms: Terms, tmp_path: Path) -> None:
    from_archive = f"__import__('node.archive').archive.Archive(__import__('pathlib').Path({str(tmp_path / 'data')!r}))"
    attempt(terms, f"{from_archive}.store_result(b'a result')")
    assert [path.read_text() for path in (tmp_path / "data" / "results").rglob("*.dcm")] == ["a result"]


def test_a_worker_claims_from_the_database(terms: Terms, tmp_path: Path) -> None:
    database = f"__import__('node.database').database.Database(__import__('pathlib').Path({terms.writable[2]!r}))"
    clock = "__import__('node.clock').clock.SystemClock()"
    queue = f"__import__('node.jobs.queue').jobs.queue.JobQueue({database}, {clock}, 30.0, 3)"
    assert attempt(terms, f"{queue}.claim('worker-1').job_id") == "1"


def test_a_worker_has_no_privileges_and_leaves_no_core_file(terms: Terms) -> None:
    status = attempt(terms, "open('/proc/self/status').read()")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {fields[key] for key in ("CapEff", "CapPrm")} == {"0" * 16}
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    assert attempt(terms, "__import__('resource').getrlimit(__import__('resource').RLIMIT_CORE)") == "(0, 0)"


def test_a_worker_cannot_look_into_the_node(terms: Terms) -> None:
    assert attempt(terms, f"open('/proc/{os.getpid()}/mem', 'rb')") == "PermissionError"


def test_the_system_ends_a_worker_before_the_node_when_memory_runs_out(terms: Terms) -> None:
    assert attempt(terms, "open('/proc/self/oom_score_adj').read()") == "500"


@pytest.mark.parametrize(("memory_mb", "is_enough"), [(128, False), (1024, True)])
def test_a_worker_gets_no_more_memory_than_its_terms_say(terms: Terms, memory_mb: int, is_enough: bool) -> None:
    terms = replace(terms, memory_bytes=memory_mb << 20)
    assert attempt(terms, "len(bytearray(256 << 20))") == (str(256 << 20) if is_enough else "MemoryError")


def test_the_doctor_says_what_workers_are_kept_from() -> None:
    assert check_confinement(True).state is State.OK
    assert check_confinement(False).state is State.WARNING


@pytest.mark.parametrize(
    ("count", "memory_mb", "state"), [(1, 0, State.OK), (1, 512, State.WARNING), (1000, 1 << 20, State.WARNING)]
)
def test_the_doctor_judges_the_memory_of_workers(count: int, memory_mb: int, state: State) -> None:
    assert check_memory(WorkersSection(count=count, memory_mb=memory_mb)).state is state
