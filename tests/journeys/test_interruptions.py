"""Journeys that something interrupts: each study still ends with exactly one set of results."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import chest_dx, shaded_picture, write
from pydicom.dataset import Dataset
from served import SPARE, ServedNode, are_gone, failing_model, hanging_model
from waiting import PATIENCE_SECONDS, until

from node.demo.pacs import SmallPacs
from node.demo.phantoms import draw_phantom

# After so long a stopped worker is replaced, and a job of one that died is claimed again; one that only waits for a
# core is not silent for that long.
LEASE_SECONDS = 10.0


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[SmallPacs]:
    with SmallPacs(tmp_path / "pacs", "PACS") as pacs:
        yield pacs


@pytest.fixture(scope="module")
def chest() -> Dataset:
    return chest_dx(draw_phantom(1).picture, bits=12)


def node_with(folder: Path, pacs: SmallPacs, settings: str = "", **facts: Any) -> ServedNode:
    home = folder / "node"
    home.mkdir()
    return ServedNode(home, pacs, settings, **facts)


def assert_one_set_of_results(node: ServedNode, chest: Dataset) -> None:
    uids = [dataset.SOPInstanceUID for dataset in node.returned()]
    assert len(uids) == len(set(uids)) == 5
    assert {dataset.PatientID for dataset in node.returned()} == {chest.PatientID}


def test_a_worker_killed_in_the_middle_of_a_job_costs_one_attempt_and_the_spare_takes_its_post(
    tmp_path: Path, pacs: SmallPacs, chest: Dataset
) -> None:
    model = hanging_model(tmp_path)
    settings = f'[node]\nmodels = ["{model.parent}"]\n[workers]\nlease_seconds = {LEASE_SECONDS}\n'
    node = node_with(tmp_path, pacs, settings, model="chest_dx_hanging", environment={SPARE: "true"})
    node.start()
    try:
        (worker,) = node.workers()
        node.send(write(chest, tmp_path / "sent"))
        until((model / "begun").exists, node.folder / "node.log")
        until(lambda: len(node.workers()) > 1, node.folder / "node.log")
        (spare,) = {*node.workers()} - {worker}
        (model / "hang").unlink()
        os.kill(worker, signal.SIGKILL)
        detail = node.finished(chest)
    finally:
        node.stop()
    assert are_gone([worker, spare])
    assert f"worker takes its post worker=worker-1 pid={spare}" in node.log
    assert detail.study.state == "done"
    assert [job.attempts for job in detail.jobs] == [2]
    assert_one_set_of_results(node, chest)


def test_a_worker_that_is_stopped_in_a_job_or_between_two_is_replaced(
    tmp_path: Path, pacs: SmallPacs, chest: Dataset
) -> None:
    model = hanging_model(tmp_path)
    settings = f'[node]\nmodels = ["{model.parent}"]\n[workers]\nlease_seconds = {LEASE_SECONDS}\n'
    other = chest_dx(draw_phantom(2).picture, bits=12, patient_id="OTHER")
    node = node_with(tmp_path, pacs, settings, model="chest_dx_hanging")
    node.start()
    try:
        node.send(write(chest, tmp_path / "sent"))
        until((model / "begun").exists, node.folder / "node.log")
        (worker,) = node.workers()
        os.kill(worker, signal.SIGSTOP)
        (model / "hang").unlink()
        detail = node.finished(chest)
        (second,) = node.workers()
        os.kill(second, signal.SIGSTOP)
        node.send(write(other, tmp_path / "sent"))
        after = node.finished(other)
    finally:
        node.stop()
    assert (detail.study.state, [job.attempts for job in detail.jobs]) == ("done", [2])
    assert (after.study.state, [job.attempts for job in after.jobs]) == ("done", [1])
    assert node.log.count("worker hangs") == 2
    assert worker != second


def test_a_study_that_kills_its_worker_each_time_is_given_up_and_the_others_go_on(
    tmp_path: Path, pacs: SmallPacs, chest: Dataset
) -> None:
    model = failing_model(tmp_path)
    black = np.full((61, 47), 0, np.uint8)
    black[30, 20] = 255
    poison = chest_dx(black, patient_id="POISON")
    settings = f'[node]\nmodels = ["{model.parent}"]\n[workers]\nlease_seconds = {LEASE_SECONDS}\n'
    node = node_with(tmp_path, pacs, settings, model="chest_dx_failing")
    node.start()
    try:
        node.send(write(poison, tmp_path / "sent"))
        node.send(write(chest, tmp_path / "sent"))
        healthy, ended = node.finished(chest), node.finished(poison)
    finally:
        node.stop()
    (job,) = ended.jobs
    (done,) = [event.at for event in healthy.events if event.name == "job done"]
    claims = [event.at for event in ended.events if event.name == "job claimed"]
    assert healthy.study.state == "done"
    assert done < claims[1]
    assert (ended.study.state, job.state, job.attempts) == ("attention", "failed", 3)
    assert job.reason == "worker worker-1 died (SIGABRT) (attempt 3, the last)"
    assert " error job failed " in node.log
    assert_one_set_of_results(node, chest)


def test_workers_are_confined_and_hold_no_more_memory_than_they_may(tmp_path: Path, pacs: SmallPacs) -> None:
    node = node_with(tmp_path, pacs, "[workers]\nmemory_mb = 3000\n")
    node.start()
    try:
        (worker,) = node.workers()
        until(lambda: "Seccomp:\t2" in process_file(worker, "status"), node.folder / "node.log")
        limits = process_file(worker, "limits")
    finally:
        node.stop()
    assert f"Max data size             {3000 << 20}" in limits
    assert "not confined" not in node.log


def process_file(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def test_a_job_that_hangs_beyond_its_deadline_fails_after_its_attempts_and_says_so(
    tmp_path: Path, pacs: SmallPacs, chest: Dataset
) -> None:
    model = hanging_model(tmp_path)
    settings = f'[node]\nmodels = ["{model.parent}"]\n[workers]\ndeadline_seconds = 1.0\nattempts = 2\n'
    node = node_with(tmp_path, pacs, settings, model="chest_dx_hanging")
    node.start()
    try:
        node.send(write(chest, tmp_path / "sent"))
        detail = node.finished(chest)
    finally:
        node.stop()
    (job,) = detail.jobs
    assert (detail.study.state, job.state, job.attempts) == ("attention", "failed", 2)
    assert "deadline" in job.reason
    assert node.returned() == []


def test_a_node_killed_after_it_answered_continues_where_it_stopped(
    tmp_path: Path, pacs: SmallPacs, chest: Dataset
) -> None:
    node = node_with(tmp_path, pacs)
    node.start()
    node.send(write(chest, tmp_path / "sent"))
    workers = node.workers()
    node.stop(signal.SIGKILL)
    until(lambda: are_gone(workers), node.folder / "node.log")
    node.start()
    try:
        detail = node.finished(chest)
    finally:
        node.stop()
    assert detail.study.state == "done"
    assert_one_set_of_results(node, chest)


def test_sigterm_ends_the_node_and_its_workers_without_a_trace_of_error(
    tmp_path: Path, pacs: SmallPacs, chest: Dataset
) -> None:
    node = node_with(tmp_path, pacs)
    node.start()
    node.send(write(chest, tmp_path / "sent"))
    node.finished(chest)
    workers = node.workers()
    assert workers
    assert node.stop() == 0
    assert are_gone(workers)
    assert "Traceback" not in node.log
    assert " error " not in node.log


SIGNAL_WHILE_BEGINNING_TO_WAIT = """
import os, signal, sys
from node import signals
from node.cli import main

def trace(frame, event, _):
    if frame.f_code.co_filename == signals.__file__ and frame.f_code.co_name == "<lambda>" and event == "line":
        sys.settrace(None)
        os.kill(os.getpid(), signal.SIGTERM)
    return trace

sys.settrace(trace)
main(["serve", "--config", sys.argv[1]])
"""


def test_a_signal_that_comes_just_as_the_node_begins_to_wait_for_one_ends_it(tmp_path: Path, pacs: SmallPacs) -> None:
    node = node_with(tmp_path, pacs)
    command = [sys.executable, "-c", SIGNAL_WHILE_BEGINNING_TO_WAIT, str(node.config)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0
    assert "node stopped" in ended.stderr


def test_a_signal_that_lands_in_any_of_its_threads_ends_the_node(tmp_path: Path, pacs: SmallPacs) -> None:
    """The kernel may choose any thread (signal(7)), and has, seldom, chosen another than the one that waits."""
    node = node_with(tmp_path, pacs)
    node.start()
    until(lambda: "node started" in node.log, node.folder / "node.log")
    try:
        until(lambda: signal_another_thread(node.process.pid))
        ended = node.process.wait(PATIENCE_SECONDS)
    finally:
        node.process.kill()
        node.process.wait()
    assert ended == 0
    assert "node stopped" in node.log


def signal_another_thread(pid: int) -> bool:
    """Send SIGTERM to the thread of a process that began last; tell whether it was still there."""
    last = max(int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir())
    return last != pid and ctypes.CDLL(None).tgkill(pid, last, signal.SIGTERM) == 0


def test_a_second_node_on_the_same_data_is_refused(tmp_path: Path, pacs: SmallPacs) -> None:
    node = node_with(tmp_path, pacs)
    node.start()
    try:
        command = [sys.executable, "-m", "node", "serve", "--config", str(node.config)]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    finally:
        node.stop()
    assert second.returncode == 1
    assert "another radnode uses this data folder" in second.stderr


def test_what_cannot_be_analysed_is_refused_with_its_reason_and_delays_no_other(
    tmp_path: Path, pacs: SmallPacs, chest: Dataset
) -> None:
    nameless = chest_dx(shaded_picture(seed=5), patient_id="NAMELESS", PatientID="")
    torn = chest_dx(shaded_picture(seed=6), patient_id="TORN")
    torn.PixelData = torn.PixelData[:-100]
    node = node_with(tmp_path, pacs)
    node.start()
    try:
        node.send(*(write(dataset, tmp_path / "sent") for dataset in (nameless, torn, chest)))
        details = {dataset.PatientID: node.finished(dataset) for dataset in (nameless, torn, chest)}
    finally:
        node.stop()
    assert {word: detail.study.state for word, detail in details.items()} == {
        "": "attention",
        "TORN": "attention",
        chest.PatientID: "done",
    }
    assert "PatientID is empty" in details[""].jobs[0].reason
    assert "PixelData" in details["TORN"].jobs[0].reason
    assert_one_set_of_results(node, chest)
