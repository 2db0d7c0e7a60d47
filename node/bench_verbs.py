"""The verbs of `radnode bench`: they measure this machine, the node on it, and the node's peers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
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


def _default_peers() -> Path:
    """Return where environments of peers are unless a person says otherwise: in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "radnode" / "peers"


_peers_option = click.option(
    "--peers",
    type=_new_folder,
    default=_default_peers,
    help="Where `bench peers` has made environments.  [default: ~/.cache/radnode/peers]",
)


@bench.command("peers")
@click.argument("names", nargs=-1)
@click.option("--install", is_flag=True, help="Make them, or make them anew.")
@_peers_option
@json_option
def bench_peers(names: tuple[str, ...], install: bool, peers: Path, as_json: bool) -> None:
    """Show, or with --install make, the environments of peers that need Python packages of their own, all or these.

    A minute or two and 350 MB for MONAI Deploy App SDK's operators, with Holoscan under NVIDIA's licence; half of that
    for dicom-ai-router. Delete their folder to be rid of them.
    """
    from node.bench.environments import ENVIRONMENTS

    if unknown := set(names) - set(ENVIRONMENTS):
        raise click.UsageError(f"no peer is called {', '.join(sorted(unknown))}; there are {', '.join(ENVIRONMENTS)}")
    chosen = [environment for name, environment in ENVIRONMENTS.items() if not names or name in names]
    for environment in chosen if install else ():
        environment.make(peers, lambda step: click.echo(step, err=True))
    rows = [
        {"name": one.name, "peer": one.peer, "version": one.version(peers) or "not there", "folder": peers / one.name}
        for one in chosen
    ]
    print_rows("Environments of peers", rows, ("name", "peer", "version", "folder"), as_json)


def _add_verb(name: str, promise: str, names: Sequence[str], *, takes_volumes: bool = False) -> None:
    """Add `bench NAME`, which runs the benchmarks of these names and does what `promise` says."""
    data = "Volumes of people, as `radnode train` reads them" if takes_volumes else "The files of one CT series"

    @bench.command(name, help=promise)
    @click.option("--quick", is_flag=True, help="Small amounts and one round: to see that it runs.")
    @click.option("--rounds", type=click.IntRange(1), help=f"How often each way has its turn.  [default: {ROUNDS}]")
    @click.option("--data", type=_folder, help=f"{data} in this folder, in place of what is made up.")
    @click.option("--folder", type=_folder, help="Where to work; its disk is measured.  [default: /tmp or TMPDIR]")
    @click.option("--json", "json_file", type=_new_file, help="Also write everything that was measured here.")
    @click.option("--plot", "plots", type=_new_folder, help="Also draw the comparisons as SVG in this folder.")
    @click.option("--page", type=_new_file, help="Also write them to this Markdown file, in place of those it has.")
    @_peers_option
    def verb(data: Path | None, **options: Any) -> None:
        files = (_volumes if takes_volumes else _series)(data) if data else {}
        _run(names, files, **options)


def _series(data: Path) -> dict[str, Sequence[Path]]:
    from node.delivery.folder import find_instances

    return {"real": find_instances(data)}


def _volumes(data: Path) -> dict[str, Sequence[Path]]:
    from node.training.subjects import read_subjects

    return {"volumes": [subject.volume for subject in read_subjects(data)]}


def _run(
    names: Sequence[str],
    data: Mapping[str, Sequence[Path]],
    quick: bool,
    rounds: int | None,
    folder: Path | None,
    peers: Path,
    **written: Path | None,
) -> None:
    """Run benchmarks with the options of their verb; SIGTERM ends what they started, too."""
    from node.bench.page import write_page
    from node.bench.plots import draw_report
    from node.bench.run import Wish, choose_benchmarks, run_benchmarks
    from node.bench.show import print_outcome, write_json

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    wish = Wish(quick, rounds or (1 if quick else ROUNDS), folder, peers, **data)
    chosen = choose_benchmarks(names)
    for report in run_benchmarks(chosen, wish, SystemClock(), lambda step: click.echo(step, err=True)):
        print_outcome(report.outcomes[-1])
        if written["json_file"]:
            write_json(report, written["json_file"])
        plots = draw_report(report, written["plots"]) if written["plots"] else {}
        if written["page"]:
            write_page(report, written["page"], plots)


_add_verb("receive", "Compare receiving with storescp, Orthanc, pynetdicom and dicom-ai-router.", ["receive"])
_add_verb("volume", "Compare reading a series to a volume with pydicom, SimpleITK and MONAI Deploy.", ["volume"])
_add_verb("encode", "Compare encoding masks as a SEG with highdicom, dcmqi and MONAI Deploy.", ["encode"])
_add_verb("infer", "Compare running networks with keras predict().", ["infer"])
_add_verb("train-io", "Compare feeding volumes to a training with tf.data.", ["train-io"], takes_volumes=True)
_add_verb("send", "Compare sending with storescu, dcmsend and pynetdicom as documented.", ["send"])
_add_verb("journey", "Time from the last image received to its SEG in a PACS.", ["journey"])
_add_verb("throughput", "Count studies a minute with a backlog, with one worker and with more.", ["throughput"])
_add_verb("growth", "Time the node with more and more studies in its database, and longer series.", ["growth"])
_add_verb(
    "all",
    "Run them all, one after the other.",
    ["receive", "send", "volume", "encode", "infer", "train-io", "journey", "throughput", "growth"],
)
