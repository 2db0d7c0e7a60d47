"""How the command shows things to a person: tables, progress bars, or JSON for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from node.catalog import Catalog
from node.delivery.scu import Fate, classify, send_instances
from node.settings import Settings
from node.studies.overview import StudyDetail
from node.studies.rehearsal import AssumedSender, Rehearsal, read_headers, rehearse_rules
from node.vocabulary import PeerAddress

_Step = TypeVar("_Step")

SEND_TIMEOUT_SECONDS = 30.0
FILE_WIDTH = 240
STUDY_TABLES = {
    "series": ("series_instance_uid", "modality", "description", "instances", "own_results"),
    "decisions": ("revision", "rule", "series", "instances", "is_match", "reasons"),
    "jobs": ("job", "revision", "model", "state", "attempts", "reason", "kept"),
    "deliveries": ("delivery", "kind", "destination", "state", "attempts", "committed_at", "answer"),
    "events": ("at", "name", "detail"),
}

REHEARSAL_TABLES = {
    "studies": ("study_instance_uid", "series", "instances", "evidence"),
    "decisions": ("series", "instances", "rule", "is_match", "reasons"),
    "jobs": ("study_instance_uid", "rule", "model", "inputs", "priority", "destinations"),
}


def print_rows(title: str, rows: Sequence[Any], columns: Sequence[str], as_json: bool) -> None:
    """Print some columns of rows (dataclasses or dictionaries) as a table, or all of them as a JSON list."""
    records = [_record(row) for row in rows]
    if as_json:
        _print_json(records)
    else:
        _console().print(_table(title, records, columns) if records else f"{title}: none")


def print_record(title: str, record: Any, as_json: bool) -> None:
    """Print one dataclass as a line for each of its fields or as a JSON object."""
    if as_json:
        _print_json(_record(record))
        return
    console = _console()
    console.print(f"[bold]{title}[/bold]")
    for key, value in _record(record).items():
        console.print(f"{_words(key)}: {_text(value)}", soft_wrap=True)


def print_study(detail: StudyDetail, as_json: bool) -> None:
    """Print one study as tables or as a JSON object."""
    if as_json:
        _print_json(asdict(detail))
        return
    console = _console()
    for key, value in _record(detail.study).items():
        console.print(f"[bold]{_words(key)}[/bold]: {_text(value)}", soft_wrap=True)
    for name, columns in STUDY_TABLES.items():
        records = [_record(row) for row in getattr(detail, name)]
        console.print(_table(_words(name), records, columns) if records else f"{_words(name)}: none")


def show_answers(calling_ae_title: str, receiver: PeerAddress, paths: Sequence[Path]) -> bool:
    """Send files with a progress bar; print each that was not taken; return whether all were."""
    console = _console()
    refused = 0
    with Progress(console=console) as progress:
        bar = progress.add_task(f"C-STORE to {receiver.ae_title}", total=len(paths))
        for answer in send_instances(calling_ae_title, receiver, paths, SEND_TIMEOUT_SECONDS):
            progress.advance(bar)
            if classify(answer.status) is not Fate.SENT:
                refused += 1
                console.print(f"{answer.path}: {answer.text}", soft_wrap=True)
    console.print(f"{len(paths) - refused} of {len(paths)} instances taken by {receiver.ae_title}")
    return not refused


def show_rehearsal(
    paths: Sequence[Path], sender: AssumedSender, settings: Settings, catalog: Catalog, as_json: bool
) -> None:
    """Read the headers of files with a progress bar, and print what the rules make of them."""
    read = collect("Reading headers", read_headers(paths, sender), len(paths))
    rehearsal: Rehearsal = rehearse_rules(read, settings, catalog)
    if as_json:
        _print_json(asdict(rehearsal))
        return
    console = _console()
    for name, columns in REHEARSAL_TABLES.items():
        records = [_record(row) for row in getattr(rehearsal, name)]
        console.print(_table(_words(name), records, columns) if records else f"{_words(name)}: none")
    for fault in rehearsal.faults:
        console.print(f"{fault.path}: not read: {fault.fault}", soft_wrap=True)


def collect(what: str, steps: Iterable[_Step], total: int) -> list[_Step]:
    """Take every step with a progress bar on standard error, and return what came of them."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        return list(progress.track(steps, total=total, description=what))


def _record(row: Any) -> dict[str, Any]:
    return asdict(row) if is_dataclass(row) and not isinstance(row, type) else dict(row)


def _console() -> Console:
    """Return a console as wide as the terminal, or wide enough for everything when it goes to a file."""
    return Console() if sys.stdout.isatty() else Console(width=FILE_WIDTH)


def _table(title: str, records: Sequence[dict[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for key in columns:
        table.add_column(_words(key), overflow="fold")
    for record in records:
        table.add_row(*(_text(record[key]) for key in columns))
    return table


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case list() | tuple():
            return "\n".join(map(str, value))
        case dict():
            return " ".join(f"{key}={item}" for key, item in value.items())
        case _:
            return str(value)


def _words(key: str) -> str:
    return key.replace("_", " ").replace("uid", "UID").capitalize().replace("uid", "UID")


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))
