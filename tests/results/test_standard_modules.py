"""What highdicom asks of the standard is what it would read itself, without the rest of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import node.results.encode  # noqa: F401 - lets highdicom ask us
from node.results.standard_modules import FILE, READS_WHOLE, StandardModules


def test_every_module_is_what_highdicom_reads() -> None:
    whole = json.loads(FILE.read_text())
    modules = StandardModules(FILE)
    assert len(whole) > 100
    assert list(modules) == list(whole)
    assert len(modules) == len(whole)
    assert all(modules[name] == whole[name] for name in whole)


def test_a_module_that_is_not_there_is_missed_as_in_any_mapping(tmp_path: Path) -> None:
    file = tmp_path / "modules.json"
    file.write_text(json.dumps({"one": [], "two": [{"keyword": "Rows", "type": "1", "path": []}]}, indent=2))
    modules = StandardModules(file)
    assert "two" in modules
    assert modules["one"] == []
    assert "three" not in modules
    with pytest.raises(KeyError, match="three"):
        modules["three"]


def test_no_part_of_highdicom_reads_the_whole_of_it_any_more() -> None:
    highdicoms = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "highdicom"}
    asking = {name: getattr(module, READS_WHOLE) for name, module in highdicoms.items() if hasattr(module, READS_WHOLE)}
    assert {"highdicom._standard_utils", "highdicom.base", "highdicom.image"} <= set(asking)
    assert {type(ask()) for ask in asking.values()} == {StandardModules}
