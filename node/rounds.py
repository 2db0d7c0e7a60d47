"""Rounds: what many threads wait for at once is done once, by one of them, for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


@dataclass
class _Ticket(Generic[Entry]):
    """An entry that waits for its round; `error` is what that round raised."""

    entry: Entry
    is_served: bool = False
    error: Exception | None = None


class Rounds(Generic[Entry]):
    """Serves entries round by round: those that come during one wait for the next, and share it.

    No thread of its own: the first who waits runs the round for everybody, so a lone caller waits for nobody.
    """

    def __init__(self, serve: Callable[[Sequence[Entry]], None]) -> None:
        """Call `serve` with the entries of each round, never from two threads at once."""
        self._serve = serve
        self._changed = threading.Condition()
        self._waiting: list[_Ticket[Entry]] = []
        self._is_running = False

    def join(self, entry: Entry) -> None:
        """Return once a round has served the entry; raises what that round raised."""
        ticket = _Ticket(entry)
        with self._changed:
            self._waiting.append(ticket)
            while self._is_running and not ticket.is_served:
                self._changed.wait()
            tickets = self._take_round(ticket)
        if tickets:
            self._run(tickets)
        if ticket.error is not None:
            raise ticket.error

    def _take_round(self, ticket: _Ticket[Entry]) -> list[_Ticket[Entry]]:
        """Return everything that waits, to be served by this thread; nothing when its own ticket is served."""
        if ticket.is_served:
            return []
        self._is_running = True
        tickets, self._waiting = self._waiting, []
        return tickets

    def _run(self, tickets: list[_Ticket[Entry]]) -> None:
        error: Exception | None = InterruptedError("the thread that ran this round was ended")
        try:
            self._serve([ticket.entry for ticket in tickets])
            error = None
        except Exception as raised:  # noqa: BLE001 - raised again in every thread that waits for it
            error = raised
        finally:
            with self._changed:
                self._is_running = False
                for ticket in tickets:
                    ticket.is_served, ticket.error = True, error
                self._changed.notify_all()
