"""A backup holds everything that rows refer to, also while the node writes, and gives it back."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest
from keeping import Keeper, chest, keeper, radnode

from node.archive.lock import lock_folder
from node.database import Database
from node.database.inspection import find_faults, kept_files
from node.studies.overview import list_studies
from node.studies.reconciliation import Reconciled
from node.upkeep import copies
from node.upkeep.backup import Backup
from node.upkeep.copies import Copied


@pytest.fixture
def node(tmp_path: Path) -> Keeper:
    return keeper(tmp_path / "data")


def test_a_backup_restored_elsewhere_is_the_same_node(node: Keeper, tmp_path: Path) -> None:
    received = node.bring(chest(1))
    assert radnode(node.folder, "backup", tmp_path / "backup").exit_code == 0
    node.database.close()
    content = node.archive.path_of(received.path).read_bytes()
    shutil.rmtree(node.folder)
    restored = radnode(node.folder, "restore", tmp_path / "backup")
    assert restored.exit_code == 0, restored.output
    again = keeper(node.folder)
    assert again.rows() == {received.path: "XRAY"}
    assert again.archive.path_of(received.path).read_bytes() == content
    assert again.reconciliation().run() == Reconciled()
    assert radnode(again.folder, "verify").exit_code == 0


def test_a_file_that_was_removed_since_is_put_back(node: Keeper, tmp_path: Path) -> None:
    received = node.bring(chest(1))
    assert radnode(node.folder, "backup", tmp_path / "backup").exit_code == 0
    node.archive.path_of(received.path).unlink()
    assert radnode(node.folder, "restore", tmp_path / "backup").exit_code == 0
    assert node.archive.path_of(received.path).exists()


def test_a_backup_on_another_disk_has_copies_and_one_on_the_same_links(
    node: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = node.bring(chest(1))
    assert "1 linked" in radnode(node.folder, "backup", tmp_path / "near").output

    def refuse_link(_source: Path, _target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(copies.os, "link", refuse_link)
    assert "1 copied" in radnode(node.folder, "backup", tmp_path / "far").output
    original = node.archive.path_of(received.path)
    assert (tmp_path / "near" / received.path).samefile(original)
    assert not (tmp_path / "far" / received.path).samefile(original)
    assert (tmp_path / "far" / received.path).read_bytes() == original.read_bytes()
    assert (tmp_path / "far" / received.path).stat().st_mode & 0o077 == 0


def test_a_second_backup_copies_only_what_is_new(node: Keeper, tmp_path: Path) -> None:
    node.bring(chest(1))
    radnode(node.folder, "backup", tmp_path / "backup")
    node.bring(chest(2))
    assert "2 files: 1 linked, 1 kept" in radnode(node.folder, "backup", tmp_path / "backup").output
    assert len(kept_files(tmp_path / "backup" / "radnode.db")) == 2


def test_what_was_put_in_quarantine_is_in_the_backup(node: Keeper, tmp_path: Path) -> None:
    node.bring(chest(1))
    node.archive.quarantine(node.place(chest(2)))
    radnode(node.folder, "backup", tmp_path / "backup")
    assert len(list((tmp_path / "backup" / "quarantine").iterdir())) == 1


def test_a_backup_while_the_node_writes_is_whole_and_lacks_no_file(node: Keeper, tmp_path: Path) -> None:
    stopping = threading.Event()

    def write() -> None:
        for number in range(2, 40):
            if stopping.is_set():
                return
            node.bring(chest(number))

    node.bring(chest(1))
    writer = threading.Thread(target=write)
    writer.start()
    outcomes = [radnode(node.folder, "backup", tmp_path / "backup").exit_code for _ in range(3)]
    stopping.set()
    writer.join(60)
    assert outcomes == [0, 0, 0]
    assert find_faults(tmp_path / "backup" / "radnode.db") == []
    assert all((tmp_path / "backup" / path).exists() for path in kept_files(tmp_path / "backup" / "radnode.db"))


def test_an_interrupted_backup_leaves_the_one_of_before(node: Keeper, tmp_path: Path) -> None:
    node.bring(chest(1))
    radnode(node.folder, "backup", tmp_path / "backup")
    node.bring(chest(2))
    work = Backup(node.folder / "radnode.db", node.folder, tmp_path / "backup")
    assert next(work.copy(work.paths())) in set(Copied)
    assert len(kept_files(tmp_path / "backup" / "radnode.db")) == 1


def test_a_backup_says_when_a_file_is_gone(node: Keeper, tmp_path: Path) -> None:
    node.archive.path_of(node.bring(chest(1)).path).unlink()
    result = radnode(node.folder, "backup", tmp_path / "backup")
    assert result.exit_code == 1
    assert "1 missing" in result.output


def test_restoring_keeps_the_database_of_before_with_its_log(node: Keeper, tmp_path: Path) -> None:
    node.bring(chest(1))
    radnode(node.folder, "backup", tmp_path / "backup")
    node.bring(chest(2))
    radnode(node.folder, "restore", tmp_path / "backup")
    assert len(kept_files(node.folder / "radnode.db")) == 1
    (aside,) = node.folder.glob("radnode.db.replaced-*Z")
    assert len(list_studies(Database(aside))) == 2


def test_what_came_after_the_backup_has_rows_again_once_the_node_starts(node: Keeper, tmp_path: Path) -> None:
    node.bring(chest(1))
    radnode(node.folder, "backup", tmp_path / "backup")
    later = node.bring(chest(2))
    node.database.close()
    radnode(node.folder, "restore", tmp_path / "backup")
    again = keeper(node.folder)
    assert again.reconciliation().run() == Reconciled(adopted=1)
    assert later.path in again.rows()


@pytest.mark.parametrize("verb", ["restore", "repair"])
def test_nothing_is_restored_or_repaired_while_a_node_runs(node: Keeper, tmp_path: Path, verb: str) -> None:
    node.bring(chest(1))
    radnode(node.folder, "backup", tmp_path / "backup")
    lock = lock_folder(node.folder)
    result = radnode(node.folder, verb, *([tmp_path / "backup"] if verb == "restore" else []))
    lock.close()
    assert result.exit_code == 1
    assert "another radnode uses this data folder" in result.output


def test_a_folder_without_a_backup_or_with_a_damaged_one_is_refused_and_nothing_changes(
    node: Keeper, tmp_path: Path
) -> None:
    node.bring(chest(1))
    (tmp_path / "empty").mkdir()
    assert "no such file" in radnode(node.folder, "restore", tmp_path / "empty").output
    (tmp_path / "empty" / "radnode.db").write_bytes(b"x" * 8192)
    refused = radnode(node.folder, "restore", tmp_path / "empty")
    assert refused.exit_code == 1
    assert "file is not a database" in refused.output
    assert len(node.rows()) == 1
    assert json.loads(radnode(node.folder, "verify", "--json").stdout) == []
