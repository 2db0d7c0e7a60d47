"""We commit ourselves only to what is on disk, byte for byte as it came, when we are asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from committing import reference_to, request_for, side
from delivery.parcels import make_scene
from keeping import chest
from pydicom.uid import CTImageStorage
from sqlalchemy import delete, select

from node.commitment.judgement import BATCH, Judgement
from node.database import Instance, Result
from node.errors import InstanceConflict
from node.vocabulary import CommitmentReport, InstanceReference


def test_what_is_whole_on_disk_is_committed(tmp_path: Path) -> None:
    node = side(tmp_path)
    received = [node.keeper.bring(chest(number)) for number in (1, 2)]
    request = request_for(*received)
    assert node.judged(request) == CommitmentReport("1.2.77", request.references, {})
    assert node.states() == ["judged"]
    assert node.events()[-1] == "commitment judged"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def garble(path: Path) -> None:
    path.write_bytes(bytes(1000))


@pytest.mark.parametrize("spoil", [garble, cut, Path.unlink])
def test_a_file_that_is_not_what_came_is_not_committed_and_a_person_hears_of_it(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    node = side(tmp_path)
    spoiled, whole = node.keeper.bring(chest(1)), node.keeper.bring(chest(2))
    spoil(node.keeper.archive.path_of(spoiled.path))
    report = node.judged(request_for(spoiled, whole))
    assert report.failed == {reference_to(spoiled): 0x0110}
    assert report.committed == (reference_to(whole),)
    assert node.events()[-2] == ("file missing" if spoil is Path.unlink else "file changed")


def test_a_change_that_keeps_size_and_time_is_found(tmp_path: Path) -> None:
    node = side(tmp_path)
    received = node.keeper.bring(chest(1))
    path = node.keeper.archive.path_of(received.path)
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert node.judged(request_for(received)).failed == {reference_to(received): 0x0110}


def test_what_we_never_had_and_what_is_of_another_class_is_not_committed(tmp_path: Path) -> None:
    node = side(tmp_path)
    received = node.keeper.bring(chest(1))
    unknown = InstanceReference(received.sop_class_uid, "1.2.3.4")
    renamed = InstanceReference(str(CTImageStorage), received.sop_instance_uid)
    assert node.judged(request_for(unknown, renamed)).failed == {unknown: 0x0112, renamed: 0x0119}


def test_an_instance_that_came_with_two_contents_is_not_committed(tmp_path: Path) -> None:
    node = side(tmp_path)
    dataset = chest(1)
    received, other = node.keeper.bring(dataset), node.keeper.bring(chest(2))
    dataset.PatientComments = "another content"
    with pytest.raises(InstanceConflict):
        node.keeper.bring(dataset)
    report = node.judged(request_for(received, other))
    assert report.failed == {reference_to(received): 0x0110}
    assert report.committed == (reference_to(other),)


def test_a_conflict_that_comes_while_others_are_judged_counts(tmp_path: Path) -> None:
    node = side(tmp_path)
    dataset = chest(1)
    received = node.keeper.bring(dataset)
    assert node.judged(request_for(received)).failed == {}
    dataset.PatientComments = "another content"
    with pytest.raises(InstanceConflict):
        node.keeper.bring(dataset)
    assert node.judged(request_for(received, transaction_uid="1.2.78")).failed == {reference_to(received): 0x0110}


def test_a_result_of_ours_counts_only_once_it_came_back(tmp_path: Path) -> None:
    make_scene(tmp_path)
    node = side(tmp_path)
    with node.keeper.database.reading() as session:
        result = session.scalars(select(Result)).first()
    assert result is not None
    assert node.judged(request_for(result)).failed == {reference_to(result): 0x0112}


def test_an_instance_whose_study_was_removed_is_no_alarm(tmp_path: Path) -> None:
    node = side(tmp_path)
    received = node.keeper.bring(chest(1))
    with node.keeper.database.writing() as session:
        session.execute(delete(Instance))
    node.keeper.archive.path_of(received.path).unlink()
    assert node.judged(request_for(received)).failed == {reference_to(received): 0x0112}
    assert "file missing" not in node.events()


def test_what_was_judged_before_a_stop_is_not_judged_again(tmp_path: Path) -> None:
    node = side(tmp_path)
    received = node.keeper.bring(chest(1))
    others = [InstanceReference("1.2", f"1.2.3.{number}") for number in range(BATCH)]
    node.take(request_for(received, *others))
    assert node.judgement._judge_batch() == BATCH
    assert node.states() == ["asked"]
    node.judgement.stop()
    assert node.judgement.judge_asked() == 0
    again = Judgement(node.keeper.database, node.keeper.archive, node.keeper.clock)
    assert again.judge_asked() == 1
    assert node.states() == ["judged"]
