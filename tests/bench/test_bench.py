"""The benchmarks run, with every peer that is installed; how long anything takes is no matter of a test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from dcmtk import free_port, needs_dcmtk
from pydicom import dcmread

from node.bench.comparison import Task, compare
from node.bench.cost import Cost, Gauge, command_cost
from node.bench.echo_client import echo_at_once, echo_in_turn
from node.bench.environments import AI_ROUTER, MONAI
from node.bench.material import Material, made_up_mr
from node.bench.page import write_page
from node.bench.passage import STEPS_MS
from node.bench.performing import Performer
from node.bench.plan import Benchmark
from node.bench.plots import draw_report
from node.bench.programs import dcmtk_program, dcmtk_version
from node.bench.run import Wish, run_benchmarks
from node.bench.train_io import make_up_volumes
from node.cli import main
from node.clock import SystemClock
from node.demo.pacs import SmallPacs
from node.errors import BenchFailed
from node.vocabulary import PeerAddress

REPORT_SECONDS = 800
BURN = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `radnode bench all --quick` writes; a process of its own, for it leaves this machine's network."""
    folder = tmp_path_factory.mktemp("bench")
    command = [sys.executable, "-m", "node", "bench", "all", "--quick", "--folder", str(folder)]
    command += ["--json", str(folder / "report.json"), "--peers", str(folder / "none")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=REPORT_SECONDS)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "report.json").read_text())


def results_of(report: dict[str, Any], name: str) -> list[list[dict[str, Any]]]:
    """Return what each way of each task of one benchmark came to."""
    (outcome,) = [outcome for outcome in report["outcomes"] if outcome["name"] == name]
    return [comparison["results"] for comparison in outcome["comparisons"]]


@needs_dcmtk
def test_every_benchmark_compares_the_node_with_its_peers(report: dict[str, Any]) -> None:
    names = [outcome["name"] for outcome in report["outcomes"]]
    assert names == ["receive", "send", "volume", "encode", "infer", "train-io", "journey", "throughput", "growth"]
    for outcome in report["outcomes"]:
        assert outcome["comparisons"]
        for comparison in outcome["comparisons"]:
            assert comparison["results"][0]["way"] == "radnode"
            assert all(result["seconds"]["median"] > 0 for result in comparison["results"])


@needs_dcmtk
@pytest.mark.parametrize(
    ("name", "fact"),
    [("volume", "checksum"), ("encode", "pixel_checksum"), ("infer", "mean_answer"), ("train-io", "mean")],
)
def test_all_ways_of_a_benchmark_come_to_the_same(report: dict[str, Any], name: str, fact: str) -> None:
    compared = [results for results in results_of(report, name) if fact in results[0]["facts"]]
    assert compared
    for results in compared:
        assert len(results) > 1
        assert len({result["facts"][fact] for result in results}) == 1


@needs_dcmtk
def test_a_worker_and_a_script_both_come_to_their_first_results(report: dict[str, Any]) -> None:
    answers, first_results = results_of(report, "infer")
    assert [len(results) for results in (answers, first_results)] == [2, 2]
    assert {result["memory_mib"] > 0 for result in first_results} == {True}


@needs_dcmtk
def test_every_sender_has_all_its_instances_taken(report: dict[str, Any]) -> None:
    every = [result["facts"] for results in results_of(report, "send") for result in results]
    taken = [facts["taken"] for facts in every if "taken" in facts]
    assert taken
    assert set(taken) == {8}


@needs_dcmtk
def test_peers_that_were_not_made_are_missed_where_they_would_take_part(report: dict[str, Any]) -> None:
    missing = {outcome["name"]: set(outcome["missing"]) for outcome in report["outcomes"]}
    assert {name for name, peers in missing.items() if MONAI.peer in peers} == {"volume", "encode"}
    assert {name for name, peers in missing.items() if AI_ROUTER.peer in peers} == {"receive"}


@needs_dcmtk
def test_a_backlog_is_counted_in_studies_a_minute_with_each_number_of_workers(report: dict[str, Any]) -> None:
    ((shipped, one),) = results_of(report, "throughput")
    assert (shipped["way"], one["way"]) == ("radnode", "radnode, 1 worker")
    for result in (shipped, one):
        assert result["facts"]["studies_per_minute"] == pytest.approx(60 * result["rate"])
        assert all(result["facts"][step] > 0 for step in STEPS_MS)


@needs_dcmtk
def test_what_has_grown_does_the_same_work(report: dict[str, Any]) -> None:
    recorded, looked, claimed, read = results_of(report, "growth")
    assert [len(results) for results in (recorded, looked, claimed, read)] == [2] * 4
    assert {result["facts"]["found"] for result in looked} == {0}
    assert {result["facts"]["claimed"] for result in claimed} == {3}
    assert [result["way"] for result in read] == ["radnode", "radnode, 12 slices"]


def test_rounds_are_interleaved_and_the_first_is_not_counted() -> None:
    turns: list[str] = []
    times = {"radnode": iter((9.0, 1.0, 2.0, 4.0)), "peer": iter((9.0, 3.0, 4.0, 4.0))}

    def perform(name: str) -> Cost:
        turns.append(name)
        return Cost(next(times[name]), 0.0, 0.0)

    task = Task("a task", 10, "things", {name: lambda name=name: perform(name) for name in times})
    ours, peer = compare(task, 3, lambda _: None).results
    assert turns == ["radnode", "peer"] * 4
    assert (ours.seconds.median, ours.rate, ours.advantage) == (2.0, 5.0, None)
    assert peer.advantage is not None
    assert (peer.advantage.least, peer.advantage.median, peer.advantage.greatest) == (1.0, 2.0, 3.0)
    assert peer.verdict == "faster"


@pytest.mark.parametrize(("theirs", "verdict"), [(1.49, "parity"), (1.5, "faster"), (0.67, "parity"), (0.66, "slower")])
def test_less_than_one_and_a_half_times_is_parity(theirs: float, verdict: str) -> None:
    task = Task("t", 1, "u", {"radnode": lambda: Cost(1.0, 0, 0), "peer": lambda: Cost(theirs, 0, 0)})
    assert compare(task, 1, lambda _: None).results[1].verdict == verdict


def test_a_peer_that_fails_is_left_out_and_the_node_may_not() -> None:
    def fail() -> Cost:
        raise BenchFailed("it fell over")

    def well() -> Cost:
        return Cost(1.0, 0.0, 0.0)

    made = compare(Task("t", 1, "u", {"radnode": well, "one": fail, "two": well}), 3, lambda _: None)
    assert [result.way for result in made.results] == ["radnode", "two"]
    assert made.failures == ("one: it fell over",)
    with pytest.raises(BenchFailed, match="it fell over"):
        compare(Task("t", 1, "u", {"radnode": fail, "two": well}), 1, lambda _: None)


def test_the_cpu_time_of_a_process_counts_what_its_children_used() -> None:
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])\nprint(flush=True)\ninput()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", parent], **pipes) as process, Gauge(process.pid) as gauge:
        process.stdout.readline()
    assert gauge.cost().cpu_seconds >= 0.3


def test_a_command_costs_what_it_used_and_must_end_well() -> None:
    cost = command_cost([sys.executable, "-c", BURN], {})
    assert cost.cpu_seconds >= 0.3
    assert cost.seconds >= 0.3
    with pytest.raises(BenchFailed, match="exit code 3"):
        command_cost([sys.executable, "-c", "raise SystemExit(3)"], {})


def test_a_performer_that_dies_says_what_it_said(tmp_path: Path) -> None:
    performer = Performer("node.bench.nowhere:nothing", (), tmp_path / "log")
    with performer:
        performer.wait()
        with pytest.raises(BenchFailed, match=r"No module named 'node\.bench\.nowhere'"):
            performer.perform()


def test_a_peer_that_is_not_installed_is_named_and_the_others_are_compared(tmp_path: Path) -> None:
    told: list[str] = []
    (report,) = run_benchmarks([made_benchmark()], Wish(False, 2, tmp_path, tmp_path), SystemClock(), told.append)
    (outcome,) = report.outcomes
    assert outcome.missing == ("ghost",)
    assert outcome.versions == {"radnode": "1", "peer": "2"}
    assert "ghost: not found, takes no part" in told
    assert [result.way for result in outcome.comparisons[0].results] == ["radnode", "peer"]


def test_a_benchmark_replaces_its_own_section_of_the_page_and_nothing_else(tmp_path: Path) -> None:
    both = [made_benchmark("made"), made_benchmark("other")]
    reports = list(run_benchmarks(both, Wish(False, 1, tmp_path, tmp_path), SystemClock(), lambda _: None))
    report = reports[0]
    page = tmp_path / "performance.md"
    plots = draw_report(report, tmp_path / "plots")
    write_page(report, page, plots)
    first = page.read_text()
    page.write_text(f"Before.\n{first}After.\n")
    write_page(report, page, plots)
    assert page.read_text() == f"Before.\n{first}After.\n"
    write_page(reports[1], page, plots)
    assert page.read_text().startswith(f"Before.\n{first}After.\n")
    assert "## Other" in page.read_text()
    assert "| peer | 3.000 (3.000-3.000) |" in first
    assert "3.00x (3.00-3.00), faster" in first
    assert "- ghost: not found" in first
    assert "](plots/made-1.svg)" in first
    assert "a &lt;task&gt;" in (tmp_path / "plots" / "made-1.svg").read_text()


def made_benchmark(name: str = "made") -> Benchmark:
    """A benchmark whose node is three times as fast as its peer, and another peer is not there."""
    ways = {"radnode": lambda: Cost(1.0, 0.5, 2.0), "peer": lambda: Cost(3.0, 0.5, 2.0)}
    versions = {"radnode": "1", "peer": "2", "ghost": ""}
    return Benchmark(name, "For a test.", lambda _: versions, lambda _: iter([Task("a <task>", 1, "u", ways)]))


def test_material_has_new_uids_each_time_and_the_same_pixels(tmp_path: Path) -> None:
    material = Material(tmp_path, made_up_mr(2), 1)
    seen, pixels = set(), set()
    for _ in range(2):
        material.renew()
        for path in material.paths:
            dataset = dcmread(path)
            assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
            seen.add(dataset.SOPInstanceUID)
            pixels.add(dataset.PixelData)
    assert len(seen) == 4
    assert len(pixels) == 2


def test_dcmtk_is_not_taken_for_what_stands_beside_our_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "bin" / "storescp"
    theirs.parent.mkdir()
    theirs.write_text("#!/bin/sh\necho '$dcmtk: storescp v1.2.3 2026-01-01 $'\n")
    theirs.chmod(0o755)
    ours = Path(sys.executable).with_name("storescp")
    assert ours.exists()  # pynetdicom brings one, which knows no --version
    monkeypatch.setenv("PATH", f"{ours.parent}:{theirs.parent}")
    assert dcmtk_program("storescp") == str(theirs)
    assert dcmtk_version("storescp") == "v1.2.3"
    monkeypatch.setenv("PATH", str(ours.parent))
    assert dcmtk_version("storescp") == ""


def test_a_training_is_fed_whole_batches_of_the_volumes_of_a_person(tmp_path: Path) -> None:
    volumes = make_up_volumes(2, tmp_path / "t1")
    table = "".join(f"{volume.name.partition('.')[0]},train\n" for volume in volumes)
    (tmp_path / "subjects.csv").write_text(f"subject,split\n{table}")
    refused = CliRunner().invoke(main, ["bench", "train-io", "--quick", "--data", str(tmp_path)])
    assert refused.exit_code == 1
    assert "holds 2 volumes, expected 4 or more, one batch" in refused.output


def test_a_crowd_of_echoes_is_counted_by_who_was_served(tmp_path: Path) -> None:
    with SmallPacs(tmp_path, port=free_port()) as pacs:
        peer = PeerAddress(pacs.ae_title, "127.0.0.1", pacs.port)
        assert echo_in_turn(peer, 3) == 3
        assert echo_at_once(peer, 3) == 3
    assert echo_at_once(peer, 3) == 0
