"""The allow-list: whose associations are taken, by AE title and address, as peers.toml states them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from node.certificates import ShownCertificate
from node.peers import Peer

_RESOLVED_SECONDS = 60.0
OWN_ADDRESSES = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})


class Rejection(Enum):
    """Why an association is rejected: (result, source, reason) of PS3.8 Table 9-21, and the words for it."""

    UNKNOWN_CALLER = ((1, 1, 3), "calling AE title not in peers.toml")
    STRANGE_ADDRESS = ((1, 1, 3), "this AE title calls from an address that peers.toml does not state for it")
    STRANGE_CERTIFICATE = ((1, 1, 3), "this AE title calls without a certificate that peers.toml states for it")
    OTHER_CALLED = ((1, 1, 7), "called AE title is not ours")
    APPLICATION_CONTEXT = ((1, 1, 2), "application context name not supported")
    PROTOCOL_VERSION = ((1, 2, 2), "protocol version not supported")
    NOT_RECORDED = ((2, 3, 1), "the association could not be recorded; see the log")
    TOO_MANY = ((2, 3, 2), "too many associations at once")
    TOO_MANY_OF_PEER = ((2, 3, 2), "too many associations at once from this peer")

    @property
    def code(self) -> tuple[int, int, int]:
        """Return result, source and reason/diagnostic."""
        return self.value[0]

    @property
    def text(self) -> str:
        """Return what an operator reads."""
        return self.value[1]


@dataclass(frozen=True)
class Caller:
    """Who asks for an association: its AE title, the one it calls, and the address it calls from.

    `certificate` is what it showed over TLS, if it did.
    """

    calling_ae_title: str
    called_ae_title: str
    address: str
    certificate: ShownCertificate | None = None


def resolve_host(host: str) -> frozenset[str]:
    """Return the addresses of a host name, or none where it has none now or can be no name at all."""
    try:
        return frozenset(str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):  # a label that is empty or too long
        return frozenset()


class AllowList:
    """Judges callers; a host name in peers.toml is looked up again every minute."""

    def __init__(
        self,
        ae_title: str,
        peers: Sequence[Peer],
        *,
        accepts_anyone: bool,
        resolve: Callable[[str], frozenset[str]] = resolve_host,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take associations from `peers` that call `ae_title`, or every one where `accepts_anyone`."""
        self._ae_title = ae_title
        self._peers = tuple(peers)
        self._accepts_anyone = accepts_anyone
        self._resolve = resolve
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._resolved: dict[str, tuple[float, frozenset[str]]] = {}

    def judge(self, caller: Caller) -> Rejection | None:
        """Return why a caller is rejected, or None when it may come in.

        Both AE titles are compared without outer spaces (PS3.8 Table 9-11), and nothing else is guessed. The
        node itself, calling from its own machine to see whether it is well, always may.
        """
        peers = self._peers_with_title(caller)
        if peers and not any(_shows_certificate(peer, caller) for peer in peers):
            return Rejection.STRANGE_CERTIFICATE
        if self._accepts_anyone:
            return None
        if caller.called_ae_title != self._ae_title:
            return Rejection.OTHER_CALLED
        if self.knows(caller):
            return None
        return Rejection.STRANGE_ADDRESS if peers else Rejection.UNKNOWN_CALLER

    def knows(self, caller: Caller) -> bool:
        """Return whether a caller is a peer of peers.toml at its address, or this machine's own node."""
        if caller.calling_ae_title == self._ae_title and caller.address in OWN_ADDRESSES:
            return True
        return any(
            _shows_certificate(peer, caller) and self._may_call_from(peer, caller.address)
            for peer in self._peers_with_title(caller)
        )

    def _peers_with_title(self, caller: Caller) -> list[Peer]:
        return [peer for peer in self._peers if peer.ae_title == caller.calling_ae_title]

    def _may_call_from(self, peer: Peer, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        networks = [ip_network(network) for network in peer.calls_from]
        return any(found in network for network in [*networks, *self._host_networks(peer.host)])

    def _host_networks(self, host: str) -> list[IPv4Network | IPv6Network]:
        try:
            return [ip_network(host)]
        except ValueError:
            return [ip_network(address.partition("%")[0]) for address in self._addresses_of(host)]

    def _addresses_of(self, host: str) -> frozenset[str]:
        now = self._monotonic()
        with self._lock:
            resolved_at, addresses = self._resolved.get(host, (float("-inf"), frozenset()))
        if now - resolved_at < _RESOLVED_SECONDS:
            return addresses
        addresses = self._resolve(host)
        with self._lock:
            self._resolved[host] = (now, addresses)
        return addresses


def _shows_certificate(peer: Peer, caller: Caller) -> bool:
    """Tell whether a caller shows what peers.toml asks of this peer, which may be nothing."""
    shown = caller.certificate
    if not peer.certificates and not peer.subjects:
        return True
    return shown is not None and (shown.fingerprint in peer.certificates or not shown.names.isdisjoint(peer.subjects))
