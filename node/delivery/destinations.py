"""Peers as an operator sees them: which there are, whether they answer, and which are paused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.database import Database, Destination
from node.delivery.scu import echo
from node.errors import DeliveryError, DeliveryRefused
from node.settings import Settings


@dataclass(frozen=True)
class PeerLine:
    """One peer of peers.toml."""

    name: str
    ae_title: str
    host: str
    port: int
    results: str
    is_paused: bool
    reason: str


@dataclass(frozen=True)
class EchoLine:
    """How one peer answered C-ECHO: in how many milliseconds, or why not."""

    name: str
    ae_title: str
    is_answering: bool
    milliseconds: float | None
    answer: str


def list_peers(settings: Settings, database: Database | None) -> list[PeerLine]:
    """Return every peer, by name; a node that never ran has no database and has paused none."""
    paused = _list_paused(database) if database else {}
    return [
        PeerLine(name, peer.ae_title, peer.host, peer.port, str(peer.results), name in paused, paused.get(name, ""))
        for name, peer in sorted(settings.peers.items())
    ]


def echo_peers(settings: Settings, names: Sequence[str] = ()) -> Iterator[EchoLine]:
    """Echo these peers (none named: all) one after another; raises DeliveryRefused for an unknown name."""
    for name in names or sorted(settings.peers):
        _check_known(settings, name)
    for name in names or sorted(settings.peers):
        peer = settings.peers[name]
        try:
            seconds = echo(settings.node.ae_title, peer.address, settings.delivery.timeout_seconds)
        except DeliveryError as error:
            yield EchoLine(name, peer.ae_title, False, None, str(error))
        else:
            yield EchoLine(name, peer.ae_title, True, round(seconds * 1000, 1), "0000")


def pause_destination(database: Database, settings: Settings, name: str, reason: str = "") -> bool:
    """Send nothing to a peer until it is resumed; return False when it was paused already.

    Raises DeliveryRefused for a name that is not in peers.toml.
    """
    return _set_paused(database, settings, Destination(name=name, is_paused=True, reason=reason))


def resume_destination(database: Database, settings: Settings, name: str) -> bool:
    """Let deliveries to a peer go on; return False when it was not paused. Raises as `pause_destination`."""
    return _set_paused(database, settings, Destination(name=name, is_paused=False, reason=""))


def paused_destinations(session: Session) -> dict[str, str]:
    """Return the peers that a person has paused, each with the reason given."""
    rows = session.scalars(select(Destination).where(Destination.is_paused)).all()
    return {row.name: row.reason for row in rows}


def _list_paused(database: Database) -> dict[str, str]:
    with database.reading() as session:
        return paused_destinations(session)


def _set_paused(database: Database, settings: Settings, wanted: Destination) -> bool:
    _check_known(settings, wanted.name)
    with database.writing() as session:
        was_paused = wanted.name in paused_destinations(session)
        session.merge(wanted)
        return was_paused != wanted.is_paused


def _check_known(settings: Settings, name: str) -> None:
    if name not in settings.peers:
        known = ", ".join(sorted(settings.peers)) or "none"
        raise DeliveryRefused(f"peer {name!r}: not in peers.toml; expected one of: {known}")
