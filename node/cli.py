"""The `radnode` command: one function per verb, each a thin layer over the package that does it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from node.bench_verbs import bench
from node.catalog import bundled_config, site_catalog
from node.clock import SystemClock
from node.database import Database
from node.delivery.destinations import echo_peers, list_peers, pause_destination, resume_destination
from node.delivery.folder import find_instances
from node.delivery.outbox import resend
from node.display import collect, print_rows, print_study, show_answers, show_rehearsal
from node.errors import RadnodeError, SettingsError
from node.imports import without_collection
from node.logs import LOG_FORMAT_VARIABLE, LogFormat, configure_logs
from node.model_verbs import models
from node.settings import Settings, load_settings
from node.signals import end_signals
from node.states import DeliveryState
from node.studies.intervention import (
    cancel_study,
    complete_study,
    hold_study_by_hand,
    release_study,
    retry_study,
)
from node.studies.overview import describe_study, list_deliveries, list_studies
from node.studies.rehearsal import AssumedSender
from node.training_verbs import evaluate, train
from node.upkeep_verbs import backup, repair, restore, verify
from node.verb_options import config_option, json_option, settings_or_defaults
from node.vocabulary import PeerAddress

CONFIG_FILES = ("node.toml", "peers.toml", "routes.toml")


class _Group(click.Group):
    """A group that shows one of our errors as one message, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; exit code 1 and the message when it raises a RadnodeError."""
        try:
            return super().invoke(ctx)
        except RadnodeError as error:
            raise click.ClickException(str(error)) from error


_folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("radnode"), prog_name="radnode")
def main() -> None:
    """A DICOM node that runs trained networks on the studies it receives and sends SEG and SR back."""


for _verb in (models, train, evaluate, bench, backup, restore, repair, verify):
    main.add_command(_verb)


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def init(folder: Path) -> None:
    """Write commented node.toml, peers.toml and routes.toml to FOLDER; existing files are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in CONFIG_FILES:
        if (folder / name).exists():
            click.echo(f"kept   {folder / name}")
        else:
            shutil.copyfile(bundled_config() / name, folder / name)
            click.echo(f"wrote  {folder / name}")
    click.echo(f"Next: name your PACS in {folder / 'peers.toml'}, then: radnode serve --config {folder / 'node.toml'}")


@main.command()
@config_option
@click.option(
    "--log-format",
    type=click.Choice([known.value for known in LogFormat]),
    default=LogFormat.LINE.value,
    show_default=True,
    envvar=LOG_FORMAT_VARIABLE,
    help="How events are logged: for people, or as JSON for a log collector.",
)
def serve(config: Path, log_format: str) -> None:
    """Receive, analyse and send back until SIGTERM or Ctrl-C; what is open may finish then."""
    with without_collection():
        from node.service import Node, forbid_decoding

    os.environ[LOG_FORMAT_VARIABLE] = log_format  # the workers inherit it
    os.umask(0o077)  # and this: what is written is for our user alone
    configure_logs()
    node = Node(config, load_settings(config), SystemClock())
    forbid_decoding()
    with end_signals() as wait_for_one:
        node.start()
        try:
            wait_for_one()
        finally:
            node.stop()


@main.command()
@config_option
@json_option
@click.option("--store", is_flag=True, help="Store a report of nobody in each peer that has doctor_store = true.")
def doctor(config: Path, as_json: bool, store: bool) -> None:
    """Check everything the node needs, and say what to do and what to enter in the PACS."""
    from node.doctor.examination import Examination, Visit
    from node.doctor.report import show_examination

    visit = Visit(config, os.environ, SystemClock(), is_to_store=store)
    if not show_examination(Examination(visit), as_json):
        raise click.exceptions.Exit(1)


@main.group()
def studies() -> None:
    """Show the studies the node has received."""


@studies.command("list")
@config_option
@json_option
def list_all_studies(config: Path, as_json: bool) -> None:
    """List every study with its state."""
    columns = ("study_instance_uid", "state", "patient_id", "instances", "jobs", "received_at")
    print_rows("Studies", list_studies(_database(load_settings(config))), columns, as_json)


@studies.command("show")
@click.argument("study_uid")
@config_option
@json_option
def show_study(study_uid: str, config: Path, as_json: bool) -> None:
    """Show one study: its series, why each rule did or did not match, jobs, deliveries and events."""
    print_study(describe_study(_database(load_settings(config)), study_uid), as_json)


def _add_study_verb(name: str, act: Callable[[Database, SystemClock, str], object], promise: str) -> None:
    """Add `studies NAME UID`: it does what `promise` says to one study and prints the state it is in then."""

    @studies.command(name, help=promise)
    @click.argument("study_uid")
    @config_option
    def verb(study_uid: str, config: Path) -> None:
        database = _database(load_settings(config))
        act(database, SystemClock(), study_uid)
        click.echo(f"{study_uid}: {describe_study(database, study_uid).study.state}")


_add_study_verb("complete", complete_study, "Declare that all of a study is there; a running node goes on at once.")
_add_study_verb("cancel", cancel_study, "End a study's jobs and send nothing more of it; its images stay.")
_add_study_verb("hold", hold_study_by_hand, "Analyse and send nothing of a study until it is released.")
_add_study_verb("release", release_study, "Let a held study go on from where it was, once the reason is dealt with.")


@studies.command("retry")
@click.argument("study_uid")
@config_option
def retry(study_uid: str, config: Path) -> None:
    """Queue a study's failed and refused jobs again; take up a cancelled study."""
    settings = load_settings(config)
    database = _database(settings)
    retry_study(database, SystemClock(), study_uid, site_catalog(settings).identities)
    click.echo(f"{study_uid}: {describe_study(database, study_uid).study.state}")


@main.group()
def deliveries() -> None:
    """Show the results on their way to their destinations, or send them again."""


@deliveries.command("list")
@config_option
@json_option
def list_all_deliveries(config: Path, as_json: bool) -> None:
    """List every delivery with its state and the destination's last answer."""
    columns = ("delivery", "study_instance_uid", "kind", "destination", "state", "committed_at", "answer")
    print_rows("Deliveries", list_deliveries(_database(load_settings(config))), columns, as_json)


@deliveries.command("resend")
@click.argument("numbers", type=int, nargs=-1)
@click.option("--dead", "all_dead", is_flag=True, help="Every delivery that is dead.")
@config_option
def resend_deliveries(numbers: tuple[int, ...], all_dead: bool, config: Path) -> None:
    """Send the deliveries with these NUMBERS (of `deliveries list`) again, the same bytes as before."""
    if bool(numbers) == all_dead:
        raise click.UsageError("give the numbers of deliveries, or --dead for all that are dead")
    database = _database(load_settings(config))
    if all_dead:
        lines = list_deliveries(database)
        numbers = tuple(line.delivery for line in lines if line.state == DeliveryState.DEAD)
    click.echo(f"{resend(database, SystemClock(), numbers)} queued again; a running node sends them at once")


@deliveries.command("pause")
@click.argument("peer")
@click.option("--reason", default="", help="Why, for whoever looks later.")
@config_option
def pause_deliveries(peer: str, reason: str, config: Path) -> None:
    """Send nothing to the PEER of peers.toml until `deliveries resume`; what waits for it is kept."""
    settings = load_settings(config)
    is_new = pause_destination(_database(settings), settings, peer, reason)
    click.echo(f"{peer}: {'paused' if is_new else 'was paused already'}")


@deliveries.command("resume")
@click.argument("peer")
@config_option
def resume_deliveries(peer: str, config: Path) -> None:
    """Let deliveries to a paused PEER go on; a running node sends them at once."""
    settings = load_settings(config)
    is_new = resume_destination(_database(settings), settings, peer)
    click.echo(f"{peer}: {'resumed' if is_new else 'was not paused'}")


@main.group()
def peers() -> None:
    """Show and try the DICOM applications of peers.toml."""


@peers.command("list")
@config_option
@json_option
def list_all_peers(config: Path, as_json: bool) -> None:
    """List every peer with its address, and whether deliveries to it are paused."""
    settings = load_settings(config)
    database = Database(settings.database_file) if settings.database_file.exists() else None
    columns = ("name", "ae_title", "host", "port", "results", "is_paused", "reason")
    print_rows("Peers", list_peers(settings, database), columns, as_json)


@peers.command("echo")
@click.argument("names", nargs=-1)
@config_option
@json_option
def echo_named_peers(names: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Send a C-ECHO to the peers NAMES (none: all) and show how long each took; exit code 1 if one is silent."""
    settings = load_settings(config)
    lines = collect("C-ECHO", echo_peers(settings, names), len(names or settings.peers))
    print_rows("C-ECHO", lines, ("name", "ae_title", "is_answering", "milliseconds", "answer"), as_json)
    if not all(line.is_answering for line in lines):
        raise click.exceptions.Exit(1)


@main.group()
def rules() -> None:
    """Try the rules of routes.toml."""


@rules.command("test")
@click.argument("folder", type=_folder)
@click.option("--sender", default="", help="The AE title taken to have sent the files.")
@click.option("--sender-address", default="", help="The address taken to have sent them.")
@config_option
@json_option
def test_rules(folder: Path, sender: str, sender_address: str, config: Path, as_json: bool) -> None:
    """Tell for every rule and series in FOLDER whether it matches and why; nothing is run or sent."""
    settings = settings_or_defaults(config)
    catalog = site_catalog(settings)
    show_rehearsal(find_instances(folder), AssumedSender(sender, sender_address), settings, catalog, as_json)


@main.command()
@click.argument("folder", type=_folder)
@click.option("--host", help="The receiver's address.  [default: the node of --config]")
@click.option("--port", type=click.IntRange(1, 65535), help="The receiver's port.")
@click.option("--called", "called_ae_title", help="The receiver's AE title.")
@click.option("--calling", "calling_ae_title", default="RADSEND", show_default=True, help="Our AE title.")
@config_option
def send(
    folder: Path,
    host: str | None,
    port: int | None,
    called_ae_title: str | None,
    calling_ae_title: str,
    config: Path,
) -> None:
    """Send every DICOM file in FOLDER over C-STORE, to this node or to another receiver."""
    settings = settings_or_defaults(config)
    receiver = PeerAddress(
        called_ae_title or settings.node.ae_title, host or settings.dicom.host, port or settings.dicom.port
    )
    if not show_answers(calling_ae_title, receiver, find_instances(folder)):
        raise click.exceptions.Exit(1)


@main.command()
@click.option("--study", type=_folder, help="DICOM files to use in place of the made-up chest X-rays.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("radnode-demo"),
    show_default=True,
    help="Where the node, the PACS and the pictures of this run are kept; each run has a folder of its own.",
)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write a report here.")
def demo(study: Path | None, output: Path, json_file: Path | None) -> None:
    """Run the whole line once: node, worker and a small PACS on this machine, nothing else needed."""
    from node.demo.run import run_demo

    if not run_demo(study, output, json_file):
        raise click.exceptions.Exit(1)


def _database(settings: Settings) -> Database:
    if not settings.database_file.exists():
        raise SettingsError(
            f"{settings.database_file}: no database; start the node once with `radnode serve`, or name its "
            "node.toml with --config"
        )
    return Database(settings.database_file)

