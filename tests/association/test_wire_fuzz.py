"""Whatever bytes come in, an association ends in one of the ways it may, and leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from hunt import SECONDS, for_seconds, hunt, hunting
from wire_fuzz import DATA_SET, STORE, FuzzedReceiver, make_proposal, make_stream, take_proposal

FOUND = Path(__file__).parent / "found"
LONG_PDUS = int(os.environ.get("RADNODE_FUZZ_PDUS", "10000000"))
LONG_SEED = int(os.environ.get("RADNODE_FUZZ_SEED", "0"))


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FuzzedReceiver]:
    with hunting():
        yield FuzzedReceiver(tmp_path_factory.mktemp("fuzz"))


def keep(what: str, stream: bytes, seed: int) -> Path:
    path = FOUND / f"{what}-{seed}.bin"
    path.write_bytes(stream)
    return path


def test_the_receiver_that_is_fuzzed_keeps_a_good_instance(tmp_path: Path) -> None:
    assert FuzzedReceiver(tmp_path).take(STORE + DATA_SET) == 2
    assert len(list((tmp_path / "archive" / "instances").rglob("*.dcm"))) == 1


@pytest.mark.parametrize("found", sorted(FOUND.glob("*.bin")), ids=lambda path: path.stem)
def test_what_was_found_once_is_withstood_for_good(receiver: FuzzedReceiver, found: Path) -> None:
    receiver.take(found.read_bytes())
    take_proposal(found.read_bytes())


def test_no_bytes_within_an_association_break_the_receiver(receiver: FuzzedReceiver) -> None:
    assert sum(hunt(for_seconds(SECONDS / 2), make_stream, receiver.take, partial(keep, "stream"))) > 0


def test_no_first_pdu_breaks_the_receiver() -> None:
    assert sum(hunt(for_seconds(SECONDS / 2), make_proposal, take_proposal, partial(keep, "proposal"))) > 0


@pytest.mark.long
@pytest.mark.timeout(0)
def test_a_long_run_of_hostile_pdus_is_withstood(receiver: FuzzedReceiver, note_figures: Callable[..., None]) -> None:
    """Half of them are first PDUs, each of a connection of its own."""
    proposals = hunt(count(LONG_SEED), make_proposal, take_proposal, partial(keep, "proposal"))
    pdus = within = 0
    for judged in hunt(count(LONG_SEED), make_stream, receiver.take, partial(keep, "stream")):
        within += judged
        pdus += judged + sum(next(proposals) for _ in range(judged))
        if pdus >= LONG_PDUS:
            break
    note_figures(first_seed=LONG_SEED, pdus=pdus, within_associations=within)
