"""Messages out of PDUs: a command set, then its data set fragment by fragment (PS3.8 Annex E, PS3.7 6.3)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from node.errors import PeerAborted, PeerTooSlow, ProtocolViolation
from node.upper_layer.command import LARGEST_COMMAND_BYTES
from node.upper_layer.pdu import IS_COMMAND, IS_LAST, PDV_HEADER, AbortReason, PduType
from node.upper_layer.wire import Wire

_LENGTH_BYTES = 4  # of a PDV, which do not count themselves


class Pace(NamedTuple):
    """How slow a peer may be: over one message, so many bytes for each second beyond the grace that we waited."""

    grace_seconds: float = 60.0
    bytes_per_second: float = 1024.0


class CommandSet(NamedTuple):
    """A command set as it came, and the presentation context it came in."""

    context_id: int
    encoded: bytes | bytearray


class _Fragment(NamedTuple):
    context_id: int
    is_command: bool
    is_last: bool
    content: memoryview


class Messages:
    """Reads commands and their data sets; nothing longer than a command set or one PDU is ever in memory.

    Every method raises ProtocolViolation, PeerTooSlow, PeerAborted or ConnectionLost when the
    association cannot go on.
    """

    def __init__(self, wire: Wire, context_ids: Collection[int], pace: Pace) -> None:
        """Read from `wire` what comes in the presentation contexts that were accepted."""
        self._wire = wire
        self._context_ids = frozenset(context_ids)
        self._pace = pace
        self._body = memoryview(b"")
        self._at = 0
        self._waited_before = 0.0
        self._received_bytes = 0

    def has_more(self, seconds: float) -> bool:
        """Tell whether something of the peer's, or its end, is there within so many seconds."""
        return self._at < len(self._body) or self._wire.has_more(seconds)

    def next_command(self) -> CommandSet | None:
        """Return the next command set, or None when the peer asks for the release of the association."""
        fragment = self._next_fragment()
        if fragment is None:
            return None
        self._waited_before, self._received_bytes = self._wire.seconds_waited, 0
        command = bytearray()
        while True:
            if not fragment.is_command:
                raise _violation("data set without a command", AbortReason.UNEXPECTED_PARAMETER)
            command += fragment.content
            if len(command) > LARGEST_COMMAND_BYTES:
                raise _violation(f"command set of more than {LARGEST_COMMAND_BYTES} bytes")
            if fragment.is_last:
                return CommandSet(fragment.context_id, command)
            fragment = self._rest_of(fragment.context_id)

    def data_set(self, context_id: int) -> Iterator[memoryview]:
        """Give the data set that follows a command in this context; each fragment is overwritten by the next."""
        is_complete = False
        while not is_complete:
            fragment = self._rest_of(context_id)
            if fragment.is_command:
                raise _violation("command within a data set", AbortReason.UNEXPECTED_PARAMETER)
            yield fragment.content
            is_complete = fragment.is_last

    def _rest_of(self, context_id: int) -> _Fragment:
        """Return the next fragment of the message that has begun."""
        fragment = self._next_fragment()
        if fragment is None:
            raise _violation("release within a message", AbortReason.UNEXPECTED_PDU)
        if fragment.context_id != context_id:
            raise _violation("one message in two presentation contexts", AbortReason.UNEXPECTED_PARAMETER)
        self._received_bytes += len(fragment.content)
        waited_seconds = self._wire.seconds_waited - self._waited_before
        if waited_seconds > self._pace.grace_seconds + self._received_bytes / self._pace.bytes_per_second:
            raise PeerTooSlow(f"{self._received_bytes} bytes of a message in {waited_seconds:.0f} s")
        return fragment

    def _next_fragment(self) -> _Fragment | None:
        """Return the next PDV (PS3.8 9.3.5.1, E.2), or None for a request to release the association."""
        if self._at == len(self._body):
            kind, self._body = self._wire.next_pdu()
            self._at = 0
            if kind == PduType.ABORT:
                raise PeerAborted("aborted by the peer")
            if kind == PduType.RELEASE_RQ:
                self._at = len(self._body)
                return None
        if self._at + PDV_HEADER.size > len(self._body):
            raise _violation("P-DATA that ends within the header of a PDV, or has none")
        length, context_id, control = PDV_HEADER.unpack_from(self._body, self._at)
        start, end = self._at + PDV_HEADER.size, self._at + _LENGTH_BYTES + length
        if not start <= end <= len(self._body):
            raise _violation(f"PDV of {length} bytes, which its PDU does not hold")
        if context_id not in self._context_ids:
            raise _violation("presentation context that was not accepted")
        self._at = end
        return _Fragment(context_id, bool(control & IS_COMMAND), bool(control & IS_LAST), self._body[start:end])


def _violation(found: str, reason: AbortReason = AbortReason.INVALID_PARAMETER) -> ProtocolViolation:
    return ProtocolViolation(found, reason)
