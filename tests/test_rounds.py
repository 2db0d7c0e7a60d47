"""Rounds: what many wait for is done once for all of them, and each hears of its own round only."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from waiting import PATIENCE_SECONDS, until

from node.rounds import Rounds, _Ticket


class Service:
    """Serves rounds when it is allowed to, and remembers them."""

    def __init__(self) -> None:
        self.allowed = threading.Event()
        self.begun = threading.Event()
        self.served: list[list[int]] = []
        self.rounds = Rounds(self.serve)

    def serve(self, entries: Sequence[int]) -> None:
        self.begun.set()
        assert self.allowed.wait(PATIENCE_SECONDS)
        self.served.append(list(entries))
        if -1 in entries:
            raise ZeroDivisionError


def joined(service: Service, entries: Sequence[int]) -> tuple[list[threading.Thread], list[str]]:
    """Let a thread join for each entry; return the threads and, as they end, how each did."""
    ends: list[str] = []

    def join(entry: int) -> None:
        try:
            service.rounds.join(entry)
        except ZeroDivisionError:
            ends.append("failed")
        else:
            ends.append("served")

    threads = [threading.Thread(target=join, args=(entry,), daemon=True) for entry in entries]
    for thread in threads:
        thread.start()
    return threads, ends


def test_one_alone_is_served_at_once() -> None:
    service = Service()
    service.allowed.set()
    service.rounds.join(1)
    service.rounds.join(2)
    assert service.served == [[1], [2]]


def test_those_who_come_during_a_round_share_the_next() -> None:
    service = Service()
    first, ends = joined(service, [1])
    assert service.begun.wait(PATIENCE_SECONDS)
    others, other_ends = joined(service, [2, 3, 4])
    until(lambda: len(service.rounds._waiting) == 3)
    assert ends == other_ends == []
    service.allowed.set()
    for thread in [*first, *others]:
        thread.join(PATIENCE_SECONDS)
    assert [sorted(entries) for entries in service.served] == [[1], [2, 3, 4]]
    assert (ends, other_ends) == (["served"], ["served"] * 3)


def test_a_round_that_fails_fails_for_each_who_waited_for_it_and_for_no_other() -> None:
    service = Service()
    first, ends = joined(service, [1])
    assert service.begun.wait(PATIENCE_SECONDS)
    others, other_ends = joined(service, [-1, 2, 3])
    until(lambda: len(service.rounds._waiting) == 3)
    service.allowed.set()
    for thread in [*first, *others]:
        thread.join(PATIENCE_SECONDS)
    assert (ends, other_ends) == (["served"], ["failed"] * 3)
    service.rounds.join(5)
    assert service.served[-1] == [5]


def test_a_round_whose_thread_is_ended_is_no_success_for_those_who_waited_for_it() -> None:
    def end(_entries: Sequence[int]) -> None:
        raise SystemExit

    rounds = Rounds(end)
    ticket = _Ticket(2)
    rounds._waiting.append(ticket)
    with pytest.raises(SystemExit):
        rounds.join(1)
    assert ticket.is_served
    assert isinstance(ticket.error, InterruptedError)


def test_a_service_is_never_in_two_rounds_at_once() -> None:
    inside = threading.Semaphore(1)
    overlaps: list[Sequence[int]] = []
    count: list[int] = []

    def serve(entries: Sequence[int]) -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(entries)
            return
        count.extend(entries)
        inside.release()

    rounds = Rounds(serve)
    threads = [
        threading.Thread(target=lambda start: [rounds.join(start + i) for i in range(50)], args=(1000 * k,))
        for k in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert overlaps == []
    assert sorted(count) == sorted(1000 * k + i for k in range(8) for i in range(50))
