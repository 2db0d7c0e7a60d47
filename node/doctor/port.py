"""Checks our ports, plain and over TLS: free, or held by this very node, and within the reach of every peer."""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import socket
from functools import partial
from pathlib import Path
from typing import Literal

from node.certificates import fingerprint_of_file
from node.delivery.probe import greet
from node.doctor.check import Check, Outcome, fault, fine, warning
from node.errors import DeliveryError, PeerRejects, PeerUntrusted
from node.settings import Settings
from node.vocabulary import IMPLEMENTATION_CLASS_UID, PeerAddress, PeerTls

PATIENCE_SECONDS = 5.0
EVERY_ADDRESS = frozenset(("0.0.0.0", "::", ""))


def port_checks(settings: Settings) -> list[Check]:
    """Return the checks of our own address."""
    over_tls = [Check("TLS port", partial(check_port, settings, "tls"))] if settings.tls.is_on else []
    return [
        Check("DICOM port", partial(check_port, settings)),
        *over_tls,
        Check("reach", partial(check_reach, settings)),
        Check("admission", partial(check_admission, settings)),
    ]


def check_port(settings: Settings, section: Literal["dicom", "tls"] = "dicom") -> Outcome:
    """Find a port of a section that another program holds, or an address that is not this machine's."""
    host, port = (settings.tls.host, settings.tls.port) if section == "tls" else _plain(settings)
    if port == 0:
        return fault(f"{section}.port is 0, so it is another at each start", "set it to one number, such as 11112")
    try:
        _bind(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return _ask_holder(settings, section)
        return _judge(error, section, host, port)
    return fine(f"{host}:{port} is free; no node runs there now")


def check_reach(settings: Settings) -> Outcome:
    """Find peers on other machines while we listen to this one alone."""
    remote = sorted(name for name, peer in settings.peers.items() if not is_loopback(peer.host))
    hosts = " and ".join(settings.hosts)
    if all(map(is_loopback, settings.hosts)) and remote:
        return fault(
            f"we listen on {hosts}, which only this machine reaches, but {', '.join(remote)} "
            "is elsewhere",
            "set `host` in [dicom] or [tls] of node.toml to this machine's address in the hospital's network",
        )
    return fine(f"listening on {hosts} suits all {len(settings.peers)} peers")


def check_admission(settings: Settings) -> Outcome:
    """Find a node that takes studies from anyone in the network."""
    if not settings.accepts_anyone:
        return fine("only the peers of peers.toml may send")
    if all(map(is_loopback, settings.hosts)):
        return fine("anyone on this machine may send, nobody else can")
    return warning(
        f"anyone who reaches {' or '.join(settings.hosts)} may send",
        'set `accept` in [dicom] to "known" and name the senders',
    )


def own_address(settings: Settings) -> PeerAddress:
    """Return where this machine itself reaches the node."""
    host, port = _plain(settings)
    return PeerAddress(settings.node.ae_title, _reachable(host), port)


def addresses_of(host: str) -> frozenset[str]:
    """Return the IP addresses of a host, none where its name has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset()
    return frozenset(str(address[0]).partition("%")[0] for *_, address in found)


def is_loopback(host: str) -> bool:
    """Tell whether a host, by name or number, is this machine's own loopback; an unknown name is not."""
    addresses = addresses_of(host)
    return bool(addresses) and all(ipaddress.ip_address(address).is_loopback for address in addresses)


def is_in_use(data: Path) -> bool:
    """Tell whether a running node holds the lock of this data folder."""
    try:
        with (data / "node.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _bind(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _ask_holder(settings: Settings, section: str) -> Outcome:
    """Find out whether it is a radnode that holds the port."""
    address = _own_tls_address(settings) if section == "tls" else own_address(settings)
    where = f"{address.host}:{address.port}"
    advice = f"stop that program (ss -ltnp shows it), or set another `port` in [{section}] of node.toml"
    try:
        greeting = greet(address.ae_title, address, (), PATIENCE_SECONDS)
    except DeliveryError as error:
        if isinstance(error, (PeerRejects, PeerUntrusted)) and is_in_use(settings.node.data):
            return fine(f"a radnode answers at {where}, and lets only its peers in")
        return fault(f"{where} is held by a program that is no running radnode ({error})", advice)
    if greeting.implementation_class_uid != IMPLEMENTATION_CLASS_UID:
        name = greeting.implementation_version or "unnamed"
        return fault(f"{where} is held by another DICOM program ({name})", advice)
    return fine(f"a radnode answers C-ECHO at {where}")


def _plain(settings: Settings) -> tuple[str, int]:
    return settings.dicom.host, settings.dicom.port


def _own_tls_address(settings: Settings) -> PeerAddress:
    """Return where this machine reaches the node over TLS: what shows our certificate is the node."""
    ours, host = settings.tls, _reachable(settings.tls.host)
    tls = PeerTls("", host, (fingerprint_of_file(ours.certificate),), ours.certificate, ours.key)
    return PeerAddress(settings.node.ae_title, host, ours.port, tls)


def _reachable(host: str) -> str:
    """Return loopback for a node that listens on every address."""
    if host not in EVERY_ADDRESS:
        return host
    return "::1" if ":" in host else "127.0.0.1"


def _judge(error: OSError, section: str, host: str, port: int) -> Outcome:
    match error.errno:
        case errno.EADDRNOTAVAIL:
            return fault(
                f"{host} is no address of this machine", f"set `host` in [{section}] to one that `ip address` shows"
            )
        case errno.EACCES:
            return fault(
                f"port {port} needs a right this user has not",
                "set a `port` above 1023, such as 11112, or AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit",
            )
        case _:
            return fault(
                f"cannot listen on {host}:{port}: {error.strerror or error}", f"mend `host` and `port` in [{section}]"
            )
