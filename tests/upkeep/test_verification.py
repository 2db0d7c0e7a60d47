"""Every file is read again and compared with what its row says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from delivery.parcels import make_scene
from keeping import flip_bytes, radnode

from node.archive import Archive
from node.archive.reread import FileState
from node.upkeep.verification import verify_files


def verify(folder: Path) -> Result:
    return radnode(folder, "verify", "--json")


def test_instances_and_results_that_nobody_touched_are_whole(tmp_path: Path) -> None:
    make_scene(tmp_path)
    files = list(verify_files(tmp_path / "radnode.db", Archive(tmp_path)))
    assert len(files) > 3
    assert {file.state for file in files} == {FileState.WHOLE}
    result = verify(tmp_path)
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


@pytest.mark.parametrize("folder", ["instances", "results"])
def test_one_flipped_bit_is_found_wherever_it_is(tmp_path: Path, folder: str) -> None:
    make_scene(tmp_path)
    (path, *_) = sorted((tmp_path / folder).rglob("*.dcm"))
    content = path.read_bytes()
    for at in range(0, len(content), max(1, len(content) // 20)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        (faulty,) = [file for file in verify_files(tmp_path / "radnode.db", Archive(tmp_path)) if file.state != "whole"]
        assert (tmp_path / faulty.path, faulty.state) == (path, FileState.CHANGED), at
    path.write_bytes(content)
    assert verify(tmp_path).exit_code == 0


def test_a_file_that_is_gone_cut_or_garbage_is_told_and_the_exit_code_says_so(tmp_path: Path) -> None:
    make_scene(tmp_path)
    (gone,) = (tmp_path / "instances").rglob("*.dcm")
    cut, garbage, *_ = sorted((tmp_path / "results").rglob("*.dcm"))
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:-1])
    flip_bytes(garbage, seed=1, share=0.5)
    result = verify(tmp_path)
    assert result.exit_code == 1
    found = {tmp_path / row["path"]: row["state"] for row in json.loads(result.stdout)}
    assert found == {gone: "missing", cut: "changed", garbage: "changed"}
