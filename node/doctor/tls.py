"""Checks the certificates that peers are shown over TLS, by a handshake with ourselves that no socket sees."""

from __future__ import annotations

import ssl
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from node.clock import Clock
from node.doctor.check import Check, Outcome, fault, fine, warning
from node.settings import Settings
from node.tls import load_own, restrict

_SOON_DAYS = 30.0
_DAY_SECONDS = 86400.0


@dataclass(frozen=True)
class Shown:
    """A certificate of ours and its key: where it is stated, whether we show it as acceptor, and to whom."""

    section: str
    certificate: str
    key: str
    is_acceptor: bool
    place: str


def tls_checks(settings: Settings, clock: Clock) -> list[Check]:
    """Return the checks of each certificate we show, to those who send or to those we send to, and of each key."""
    shown = _all_shown(settings)
    keys = dict.fromkeys([each.key for each in shown] + [settings.audit.syslog_key] * bool(settings.audit.syslog_key))
    return [
        *(Check("TLS certificate", partial(check_certificate, each, clock)) for each in shown),
        *(Check("TLS key", partial(check_key, Path(key))) for key in keys),
    ]


def check_certificate(shown: Shown, clock: Clock) -> Outcome:
    """Find a certificate that is not for its key, or has expired or soon will; raises SettingsError."""
    advice = "get a new certificate and put it in the place of the old one; the node reads it anew by itself"
    try:
        expires_seconds = _expiry(shown)
    except ssl.SSLCertVerificationError as error:
        return fault(f"{shown.certificate}: {error.verify_message}", advice)
    days = (expires_seconds - clock.now().timestamp()) / _DAY_SECONDS
    if days < _SOON_DAYS:
        return warning(f"{shown.certificate}: expires in {days:.0f} days", advice)
    return fine(f"{shown.certificate}: valid for {days:.0f} days, {shown.place}")


def check_key(key: Path) -> Outcome:
    """Find a private key that others can read."""
    mode = stat.S_IMODE(key.stat().st_mode)
    if mode & 0o077:
        return warning(f"{key}: mode {mode:04o}, so others can pretend to be this node", f"chmod 600 {key}")
    return fine(f"{key}: mode {mode:04o}")


def _all_shown(settings: Settings) -> list[Shown]:
    ours = settings.tls
    found = []
    if ours.is_on:
        found.append(Shown("tls", ours.certificate, ours.key, is_acceptor=True, place=f"on {ours.host}:{ours.port}"))
    for name, peer in settings.peers.items():
        if peer.tls is not None and peer.tls.certificate:
            section = f"peer.{name}.tls"
            found.append(Shown(section, peer.tls.certificate, peer.tls.key, is_acceptor=False, place=f"to {name}"))
    return found


def _expiry(shown: Shown) -> float:
    """Return when a certificate of ours expires, in seconds since 1970.

    Raises SettingsError for files that do not belong together, SSLCertVerificationError for a
    certificate that is not valid now, or not in this role.
    """
    requestor, acceptor = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    requestor.check_hostname, requestor.verify_mode = False, ssl.CERT_NONE
    for context in (requestor, acceptor):
        restrict(context)
        load_own(context, shown.section, shown.certificate, shown.key)
    judge = requestor if shown.is_acceptor else acceptor
    judge.verify_mode = ssl.CERT_REQUIRED
    judge.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # ours need not lead to a root
    judge.load_verify_locations(shown.certificate)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = requestor.wrap_bio(back, there)
    server = acceptor.wrap_bio(there, back, server_side=True)
    for side in (client, server, client, server):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    certificate = (client if shown.is_acceptor else server).getpeercert()
    assert certificate
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))
