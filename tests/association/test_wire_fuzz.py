"""Whatever bytes come in, an association ends in one of the ways it may, and leaves nothing behind."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire_fuzz import DATA_SET, STORE, FuzzedReceiver, fuzzed_receiver, make_proposal, make_stream, take_proposal

FOUND = Path(__file__).parent / "found"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "1500"))
LONG_PDUS = int(os.environ.get("FUZZ_PDUS", "300000"))


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FuzzedReceiver]:
    with fuzzed_receiver(tmp_path_factory.mktemp("fuzz")) as started:
        yield started


def test_the_receiver_that_is_fuzzed_keeps_a_good_instance(tmp_path: Path) -> None:
    with fuzzed_receiver(tmp_path) as receiver:
        receiver.take(STORE + DATA_SET)
        assert len(list((tmp_path / "archive" / "instances").rglob("*.dcm"))) == 1


@pytest.mark.parametrize("found", sorted(FOUND.glob("*.bin")), ids=lambda path: path.stem)
def test_what_was_found_once_is_withstood_for_good(receiver: FuzzedReceiver, found: Path) -> None:
    receiver.take(found.read_bytes())
    take_proposal(found.read_bytes())


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_no_bytes_within_an_association_break_the_receiver(receiver: FuzzedReceiver, chance: random.Random) -> None:
    receiver.take(make_stream(chance)[0])


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.randoms(use_true_random=False))
def test_no_first_pdu_breaks_the_receiver(chance: random.Random) -> None:
    take_proposal(make_proposal(chance))


@pytest.mark.long
@pytest.mark.timeout(0)
def test_a_long_run_of_hostile_pdus_is_withstood(receiver: FuzzedReceiver) -> None:
    said, seed = 0, 0
    while said < LONG_PDUS:
        stream, pdus = make_stream(random.Random(seed))
        try:
            receiver.take(stream)
        except BaseException:
            (FOUND / f"stream-{seed}.bin").write_bytes(stream)
            raise
        said, seed = said + pdus, seed + 1
