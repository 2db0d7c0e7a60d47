"""The verbs of `radnode` that look after what is kept: backup, restore, repair, verify."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import click

from node.archive import Archive
from node.archive.journal import Journal
from node.archive.lock import lock_folder
from node.clock import SystemClock
from node.database.inspection import kept_files
from node.display import collect, print_record, print_rows
from node.errors import SettingsError
from node.settings import Settings, load_settings
from node.upkeep.copies import Copied
from node.verb_options import config_option, json_option


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@config_option
def backup(folder: Path, config: Path) -> None:
    """Copy the database and every file it refers to into FOLDER, while the node runs or not.

    Files are immutable: those that an earlier backup put there are not copied again. On the file system of
    the data they are hard links, which outlive a removal but not the disk. Configuration, models and what is
    still arriving are not part of it.
    """
    from node.upkeep.backup import Backup

    settings = load_settings(config)
    _require_database(settings)
    work = Backup(settings.database_file, settings.node.data, folder)
    paths = work.paths()
    copied = collect("Copying files", work.copy(paths), len(paths))
    click.echo(f"{folder}: the database and {_count(copied)}")
    if Copied.LINKED in copied:
        click.echo("linked files are on the disk of the node; copy the folder to another disk")
    if Copied.MISSING in copied:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@config_option
def restore(folder: Path, config: Path) -> None:
    """Put the database of a backup in FOLDER in place of the node's, and files that are missing beside it.

    The node must be stopped. The database in place is kept under another name; no file is overwritten or
    removed. What came after the backup gets its rows when the node starts, or by `radnode repair`.
    """
    from node.upkeep.restore import Restore

    settings = load_settings(config)
    settings.node.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(lock_folder(settings.node.data)):
        work = Restore(folder, settings.database_file, settings.node.data)
        paths = work.paths()
        copied = collect("Putting files back", work.copy(paths), len(paths))
        aside = work.replace_database(f"{SystemClock().now():replaced-%Y%m%dT%H%M%SZ}")
    click.echo(f"restored the database and {_count(copied)}; the database of before is {aside}")
    click.echo("Next: radnode repair, if the node took instances after the backup; then radnode serve")
    if Copied.MISSING in copied:
        raise click.exceptions.Exit(1)


@click.command()
@config_option
@json_option
def repair(config: Path, as_json: bool) -> None:
    """Give every file of the archive its row again, in a new database if the one there is damaged or lost.

    The node must be stopped. A damaged database is kept under another name. Files do not tell who sent them,
    which jobs ran, what was delivered or what a person decided: studies that results were made of are held
    for a person, all others are analysed as if they had just arrived.
    """
    from node.upkeep.repair import Repair

    settings = load_settings(config)
    with closing(lock_folder(settings.node.data)):
        clock = SystemClock()
        archive = Archive(settings.node.data, settings.archive.reserve_bytes)
        journal = Journal(settings.node.data, clock.boot_id, lambda: None)
        journal.replay(archive.put_back)
        work = Repair(settings.database_file, archive, clock)
        if work.aside is not None:
            click.echo(f"the damaged database is kept as {work.aside}", err=True)
        collect("Reading files", work.run(), work.count)
        journal.start(is_used=False)
        journal.close()
    print_record("Repair", work.done, as_json)


@click.command()
@config_option
@json_option
def verify(config: Path, as_json: bool) -> None:
    """Read every file again and compare it with the hash in its row; exit code 1 if one is not whole."""
    from node.archive.reread import FileState
    from node.upkeep.verification import verify_files

    settings = load_settings(config)
    _require_database(settings)
    count = len(kept_files(settings.database_file))
    archive = Archive(settings.node.data)
    files = collect("Reading files", verify_files(settings.database_file, archive), count)
    faulty = [file for file in files if file.state is not FileState.WHOLE]
    print_rows("Files that are not whole", faulty, ("path", "state"), as_json)
    click.echo(f"{len(files) - len(faulty)} of {len(files)} files are whole", err=True)
    if faulty:
        raise click.exceptions.Exit(1)


def _count(copied: Iterable[Copied]) -> str:
    counts = Counter(copied)
    words = ", ".join(f"{counts[how]} {how}" for how in Copied if counts[how])
    return f"{counts.total()} files" + (f": {words}" if words else "")


def _require_database(settings: Settings) -> None:
    if not settings.database_file.exists():
        raise SettingsError(
            f"{settings.database_file}: no database; start the node once with `radnode serve`, name its node.toml "
            "with --config, or run `radnode repair` if there are files"
        )
