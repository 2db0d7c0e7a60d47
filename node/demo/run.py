"""The demonstration: node, worker and a small PACS on this machine, and what came back from them."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from node.database import Database
from node.delivery.folder import find_instances
from node.demo.pacs import SmallPacs
from node.demo.phantoms import write_demo_studies
from node.demo.process import NodeProcess
from node.demo.report import StudyReport, report_study
from node.display import show_answers
from node.states import StudyState
from node.studies.overview import describe_study, list_studies
from node.vocabulary import PeerAddress

PEER = "DEMOPACS"
STUDIES = 3
NETWORKS = "networks"
PATIENCE_SECONDS = 300.0
POLL_SECONDS = 0.1
_ENDED = {StudyState.DONE, StudyState.UNMATCHED, StudyState.ATTENTION, StudyState.HELD}


def run_demo(studies: Path | None, output: Path, json_file: Path | None) -> bool:
    """Send studies through a whole node and print what the PACS got; return whether all of it came.

    `studies` is a folder of DICOM files; None makes chest radiographs up. Everything of this run is
    kept in a new folder under `output`, but for the networks that a first run converts for all later ones.
    Raises RadnodeError when the node cannot run at all.
    """
    console = Console()
    folder = output.resolve() / datetime.now().astimezone().strftime("%Y%m%d-%H%M%S-%f")
    sources = _sources(studies, folder)
    with SmallPacs(folder / "pacs", PEER) as pacs:
        peer = PeerAddress(PEER, "127.0.0.1", pacs.port)
        console.print(
            f"Starting a node and its worker; everything of this run is kept in {folder}", soft_wrap=True
        )
        with NodeProcess(folder / "node", peer, output.resolve() / NETWORKS, workers=1) as node:
            all_taken = show_answers(PEER, node.address, sources)
            database = Database(node.settings.database_file)
            _wait(database, node, console)
            lines = list_studies(database)
            details = [describe_study(database, line.study_instance_uid) for line in lines]
            database.close()
        returned = pacs.received()
    reports = [report_study(detail, returned, folder / "pictures") for detail in details]
    for report in reports:
        _print(report, console)
    is_complete = all_taken and bool(reports) and not any(report.problems for report in reports)
    if json_file:
        document = {"complete": is_complete, "studies": [asdict(report) for report in reports]}
        json_file.write_text(json.dumps(document, indent=2, default=str))
    console.print(_verdict(reports, is_complete))
    return is_complete


def _sources(studies: Path | None, folder: Path) -> list[Path]:
    """Return the files to send; raises NoInstances when a folder has none."""
    if studies is None:
        studies = folder / "studies"
        write_demo_studies(studies, STUDIES)
    return find_instances(studies)


def _wait(database: Database, node: NodeProcess, console: Console) -> None:
    """Show a bar until every study has ended one way or another, or none has for a long time."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    ended_before, deadline = 0, time.monotonic() + PATIENCE_SECONDS
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("Studies analysed and delivered", total=None)
        while time.monotonic() < deadline:
            node.check()
            states = [line.state for line in list_studies(database)]
            ended = sum(state in _ENDED for state in states)
            progress.update(bar, total=len(states), completed=ended)
            if ended == len(states):
                return
            if ended > ended_before:
                ended_before, deadline = ended, time.monotonic() + PATIENCE_SECONDS
            time.sleep(POLL_SECONDS)


def _print(report: StudyReport, console: Console) -> None:
    console.rule(f"Study {report.study_instance_uid}", align="left")
    for sentence in report.findings:
        console.print(f"  {sentence}", soft_wrap=True)
    objects = Table(title="Received by the PACS", title_justify="left")
    for heading in ("kind", "SOP class", "SOP instance UID"):
        objects.add_column(heading, overflow="fold")
    for item in report.objects:
        objects.add_row(item.kind, item.sop_class, item.sop_instance_uid)
    steps = Table("step", "ms", title="Time", title_justify="left")
    for step, duration in report.durations_ms.items():
        steps.add_row(step, f"{duration:.1f}")
    console.print(objects, steps)
    for picture in report.pictures:
        console.print(f"Picture: {picture}", soft_wrap=True)
    for problem in report.problems:
        console.print(f"[red]Problem[/red]: {problem}", soft_wrap=True)
    if not report.objects:
        for decision in report.decisions:
            console.print(f"Rule {decision}", soft_wrap=True)


def _verdict(reports: list[StudyReport], is_complete: bool) -> str:
    objects = sum(len(report.objects) for report in reports)
    if is_complete:
        return f"[green]All {objects} results of {len(reports)} studies arrived in the PACS and were read back.[/green]"
    return "[red]Not every expected result arrived; see the problems above.[/red]"
