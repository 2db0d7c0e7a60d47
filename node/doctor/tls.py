"""Checks the certificate that peers are shown over TLS, by a handshake with ourselves that no socket sees."""

from __future__ import annotations

import ssl
import stat
from contextlib import suppress
from functools import partial
from pathlib import Path

from node.association.tls import load_context
from node.clock import Clock
from node.doctor.check import Check, Outcome, fault, fine, warning
from node.settings import Settings, TlsSection

_SOON_DAYS = 30.0
_DAY_SECONDS = 86400.0


def tls_checks(settings: Settings, clock: Clock) -> list[Check]:
    """Return the checks of our certificate and its key, if TLS is on."""
    if not settings.tls.is_on:
        return []
    return [
        Check("TLS certificate", partial(check_certificate, settings.tls, clock)),
        Check("TLS key", partial(check_key, Path(settings.tls.key))),
    ]


def check_certificate(tls: TlsSection, clock: Clock) -> Outcome:
    """Find a certificate that is not for its key, or has expired or soon will; raises SettingsError."""
    advice = "get a new certificate and put it in the place of the old one; the node reads it anew by itself"
    try:
        expires_seconds = _expiry(tls)
    except ssl.SSLCertVerificationError as error:
        return fault(f"{tls.certificate}: {error.verify_message}", advice)
    days = (expires_seconds - clock.now().timestamp()) / _DAY_SECONDS
    if days < _SOON_DAYS:
        return warning(f"{tls.certificate}: expires in {days:.0f} days", advice)
    return fine(f"{tls.certificate}: valid for {days:.0f} days, on {tls.host}:{tls.port}")


def check_key(key: Path) -> Outcome:
    """Find a private key that others can read."""
    mode = stat.S_IMODE(key.stat().st_mode)
    if mode & 0o077:
        return warning(f"{key}: mode {mode:04o}, so others can pretend to be this node", f"chmod 600 {key}")
    return fine(f"{key}: mode {mode:04o}")


def _expiry(tls: TlsSection) -> float:
    """Return when our certificate expires, in seconds since 1970.

    Raises SettingsError for files that do not belong together, SSLCertVerificationError for a
    certificate that is not valid now.
    """
    server_context = load_context(tls)
    server_context.verify_mode = ssl.CERT_NONE  # we show ourselves no certificate of a peer
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # ours need not lead to a root
    client_context.load_verify_locations(tls.certificate)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(back, there)
    server = server_context.wrap_bio(there, back, server_side=True)
    for side in (client, server, client):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    shown = client.getpeercert()
    assert shown
    return float(ssl.cert_time_to_seconds(str(shown["notAfter"])))
