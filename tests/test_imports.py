"""No garbage is collected while much is imported, and as before afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import pytest

from node.imports import without_collection


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_within_the_block_nor_ever_of_what_it_made() -> None:
    frozen_before = gc.get_freeze_count()
    with without_collection():
        assert not gc.isenabled()
        made = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen_before + len(made)


def test_collection_goes_on_after_an_import_that_fails() -> None:
    with pytest.raises(ModuleNotFoundError), without_collection():
        import_module("no_such_module")
    assert gc.isenabled()


def test_what_was_off_stays_off() -> None:
    gc.disable()
    with without_collection():
        pass
    assert not gc.isenabled()


def test_the_command_needs_neither_tensorflow_nor_migrations_to_show_its_verbs() -> None:
    code = "import sys, node.cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"tensorflow", "keras", "alembic", "openvino"}.isdisjoint(loaded)
    assert "click" in loaded
