"""The verbs of `radnode bench`: they measure this machine, the node on it, and the node's peers."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from node.clock import SystemClock
from node.display import print_rows
from node.verb_options import json_option

ROUNDS = 5

_folder = click.Path(exists=True, file_okay=False, path_type=Path)
_new_folder = click.Path(file_okay=False, path_type=Path)
_new_file = click.Path(dir_okay=False, path_type=Path)


@click.group()
def bench() -> None:
    """Measure on this machine what the design relies on, and compare the node with its peers."""


@bench.command("train-io")
@click.option("--data", type=_folder, help="Volumes of people, laid out as `radnode train` reads them.")
@click.option("--made-up", is_flag=True, help="Volumes of noise in place of --data.")
@click.option("--volumes", type=click.IntRange(2), default=24, show_default=True, help="How many volumes.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="How often each way has its turn.")
@json_option
def bench_train_io(data: Path | None, made_up: bool, volumes: int, rounds: int, as_json: bool) -> None:
    """Time feeding the same volumes to training from memory, from record files and by reading each when needed."""
    from node.training.feeding_bench import FeedingBench, make_up_volumes
    from node.training.subjects import read_subjects

    if (data is None) != made_up:
        raise click.UsageError("give --data with a folder of volumes, or --made-up")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if data is None:
            files = make_up_volumes(volumes, folder / "volumes")
        else:
            files = [subject.volume for subject in read_subjects(data)[:volumes]]
        feeding = FeedingBench(files, folder / "records", SystemClock(), rounds=rounds)
        results = feeding.run(lambda step: click.echo(step, err=True))
    columns = ("source", "seconds", "fastest", "slowest", "ratio", "volumes_per_second", "seconds_to_prepare")
    print_rows(f"Feeding {len(files)} volumes", results, columns, as_json)


def _add_verb(name: str, promise: str, names: Sequence[str]) -> None:
    """Add `bench NAME`, which runs the benchmarks of these names and does what `promise` says."""

    @bench.command(name, help=promise)
    @click.option("--quick", is_flag=True, help="Small amounts and one round: to see that it runs.")
    @click.option("--rounds", type=click.IntRange(1), help=f"How often each way has its turn.  [default: {ROUNDS}]")
    @click.option("--data", type=_folder, help="A folder with the files of one CT series, in place of a made-up one.")
    @click.option("--folder", type=_folder, help="Where to work; its disk is measured.  [default: /tmp or TMPDIR]")
    @click.option("--json", "json_file", type=_new_file, help="Also write everything that was measured here.")
    @click.option("--plot", "plots", type=_new_folder, help="Also draw the comparisons as SVG in this folder.")
    @click.option("--page", type=_new_file, help="Also write them to this Markdown file, in place of those it has.")
    def verb(**options: Any) -> None:
        _run(names, **options)


def _run(
    names: Sequence[str], quick: bool, rounds: int | None, data: Path | None, folder: Path | None, **files: Path | None
) -> None:
    """Run benchmarks with the options of their verb; SIGTERM ends what they started, too."""
    from node.bench.page import write_page
    from node.bench.plots import draw_report
    from node.bench.run import Wish, choose_benchmarks, run_benchmarks
    from node.bench.show import print_outcome, write_json
    from node.delivery.folder import find_instances

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    wish = Wish(quick, rounds or (1 if quick else ROUNDS), find_instances(data) if data else (), folder)
    chosen = choose_benchmarks(names)
    for report in run_benchmarks(chosen, wish, SystemClock(), lambda step: click.echo(step, err=True)):
        print_outcome(report.outcomes[-1])
        if files["json_file"]:
            write_json(report, files["json_file"])
        plots = draw_report(report, files["plots"]) if files["plots"] else {}
        if files["page"]:
            write_page(report, files["page"], plots)


_add_verb("receive", "Compare receiving with storescp, Orthanc and pynetdicom as documented.", ["receive"])
_add_verb("volume", "Compare reading a series to a volume with pydicom and SimpleITK.", ["volume"])
_add_verb("encode", "Compare encoding masks as a SEG with highdicom.", ["encode"])
_add_verb("infer", "Compare running networks with keras predict().", ["infer"])
_add_verb("send", "Compare sending with storescu and pynetdicom as documented.", ["send"])
_add_verb("journey", "Time from the last image received to its SEG in a PACS.", ["journey"])
_add_verb("throughput", "Count studies a minute with a backlog, with one worker and with more.", ["throughput"])
_add_verb("growth", "Time the node with more and more studies in its database, and longer series.", ["growth"])
_add_verb(
    "all",
    "Run them all, one after the other.",
    ["receive", "send", "volume", "encode", "infer", "journey", "throughput", "growth"],
)
