"""Shows a visit of the doctor: each result as it comes, then what to type into each PACS."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from node.doctor.check import Check, CheckResult, State, carry_out
from node.doctor.entry import PacsEntry
from node.doctor.examination import Examination

_STYLES = {State.OK: "green", State.WARNING: "yellow", State.ERROR: "bold red"}
_STATE_WIDTH, _NAME_WIDTH = 9, 34


def show_examination(examination: Examination, as_json: bool) -> bool:
    """Carry out and print every check; return whether none found an error."""
    console = Console(stderr=as_json, highlight=False)
    results = _carry_out_in_sight(examination.checks(), console, as_json)
    if as_json:
        print(json.dumps(_as_record(results, examination.entries()), indent=2))
    else:
        for entry in examination.entries():
            _print_entry(console, entry)
        _print_sum(console, results)
    return all(result.state is not State.ERROR for result in results)


def _carry_out_in_sight(checks: list[Check], console: Console, is_quiet: bool) -> list[CheckResult]:
    """Carry out the checks beneath a spinner that names the one at hand."""
    columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    results = []
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=len(checks))
        for check in checks:
            progress.update(bar, description=check.name)
            for result in carry_out([check]):
                results.append(result)
                if not is_quiet:
                    _print_result(progress.console, result)
            progress.advance(bar)
    return results


def _print_result(console: Console, result: CheckResult) -> None:
    line = Text(f"{result.state:<{_STATE_WIDTH}}", style=_STYLES[result.state])
    line.append(f"{result.name:<{_NAME_WIDTH}} ", style="bold").append(result.found, style="not bold default")
    console.print(line, soft_wrap=True)
    if result.advice:
        console.print(Text(f"{'':{_STATE_WIDTH}}→ {result.advice}"), soft_wrap=True)


def _print_entry(console: Console, entry: PacsEntry) -> None:
    console.print(Text(f"\nWhat to enter in {entry.peer}", style="bold"))
    console.print(f"  AE title {entry.ae_title}   host {entry.host}   port {entry.port}", markup=False)
    for name, steps in (("Orthanc", entry.orthanc), ("dcm4chee", entry.dcm4chee)):
        console.print(Text(f"  {name}:", style="bold"))
        for step in steps:
            console.print(f"    {step}", markup=False, soft_wrap=True)


def _print_sum(console: Console, results: list[CheckResult]) -> None:
    counts = {state: sum(result.state is state for result in results) for state in State}
    console.print(f"\n{len(results)} checks: " + ", ".join(f"{count} {state}" for state, count in counts.items()))


def _as_record(results: list[CheckResult], entries: list[PacsEntry]) -> dict[str, object]:
    return {"checks": [asdict(result) for result in results], "enter_in_pacs": [asdict(entry) for entry in entries]}
