"""How safe what arrived is, where each file is flushed or none."""

from __future__ import annotations

from pathlib import Path

import pytest
from raw_peer import CT_CLASS, EXPLICIT, tiny_data_set

from node.archive import AnnouncedInstance, Archive
from node.archive.durability import Durability, EachFlushed, Unflushed


@pytest.mark.parametrize("kind", [EachFlushed, Unflushed])
def test_without_a_journal_an_instance_has_its_name_when_it_arrived(
    tmp_path: Path, kind: type[EachFlushed | Unflushed]
) -> None:
    durability: Durability = kind(tmp_path)
    archive = Archive(tmp_path, durability=durability)
    received = archive.keep(AnnouncedInstance(CT_CLASS, "1.44", EXPLICIT), tiny_data_set())
    archive.settle(received)
    archive.note_removal([])
    assert archive.examine(received.path) == received
    assert not list(archive.path_of("incoming").iterdir())
