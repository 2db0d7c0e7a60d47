"""TLS as acceptor: what a handshake needs, from files that are read anew when they change."""

from __future__ import annotations

import logging
import ssl
import threading
from pathlib import Path

from node.errors import SettingsError
from node.settings import TlsSection
from node.tls import load_authority, load_own, restrict

logger = logging.getLogger("radnode.association")

_Stamp = tuple[tuple[int, int], ...]


class Credentials:
    """Our certificate and those we trust, as files; a change of the files counts for the next connection."""

    def __init__(self, settings: TlsSection) -> None:
        """Read them; raises SettingsError when they cannot be used."""
        self._settings = settings
        self._lock = threading.Lock()
        self._stamp = _stamp(settings)
        self._context = load_context(settings)

    def context(self) -> ssl.SSLContext:
        """Return what a handshake needs; files that have changed and cannot be used are logged and wait."""
        with self._lock:
            stamp = _stamp(self._settings)
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._context = load_context(self._settings)
                    logger.info("certificates read anew")
                except SettingsError as error:
                    fields = {"reason": str(error)}
                    logger.error("certificates not usable; the earlier ones stay", extra={"fields": fields})
            return self._context


def load_context(settings: TlsSection) -> ssl.SSLContext:
    """Return a server's context for TLS 1.2 and 1.3; raises SettingsError naming the file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    restrict(context)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    load_own(context, "tls", settings.certificate, settings.key)
    if settings.authority:
        load_authority(context, "tls", settings.authority)
        context.verify_mode = ssl.CERT_REQUIRED if settings.require_client_certificate else ssl.CERT_OPTIONAL
    return context


def _stamp(settings: TlsSection) -> _Stamp:
    """Return what changes when one of the files does; of a file that is missing, nothing."""
    files = [Path(name) for name in (settings.certificate, settings.key, settings.authority) if name]
    states = [file.stat() for file in files if file.exists()]
    return tuple((state.st_mtime_ns, state.st_ino) for state in states)
