"""TLS as requestor (PS3.15 B.12): whom we take for a peer, and what we show it."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from node.certificates import fingerprint_of
from node.errors import PeerUntrusted, SettingsError
from node.tls import load_authority, load_own, restrict, words_of
from node.vocabulary import PeerAddress, PeerTls

_HOW_TO_TRUST = "see `authority`, `name` and `fingerprints` of this peer's tls in peers.toml"
_HOW_TO_BE_TRUSTED = "see the peer's log, which versions it speaks and which certificates it trusts"


@dataclass(frozen=True)
class Handshake:
    """What a connection to one peer needs to become a TLS connection."""

    peer: PeerAddress
    tls: PeerTls
    context: ssl.SSLContext

    def shake(self, connection: socket.socket) -> ssl.SSLSocket:
        """Shake hands within the connection's timeout; raises PeerUntrusted, and nothing was said then."""
        try:
            secured = self.context.wrap_socket(connection, server_hostname=self.tls.name)
        except OSError as error:
            raise self.failure(error) from error
        found = fingerprint_of(secured)
        if self.tls.fingerprints and found not in self.tls.fingerprints:
            secured.close()
            raise PeerUntrusted(
                f"{_name(self.peer)}: TLS: its certificate is {found[:16]}…, none of the fingerprints stated; "
                f"{_HOW_TO_TRUST}"
            )
        return secured

    def failure(self, error: OSError) -> PeerUntrusted:
        """Return the error for what went wrong with TLS, in the handshake or, of TLS 1.3, at the first answer."""
        is_ours = isinstance(error, ssl.SSLCertVerificationError)
        said = f"its certificate is not accepted: {words_of(error)}" if is_ours else words_of(error)
        return PeerUntrusted(f"{_name(self.peer)}: TLS: {said}; {_HOW_TO_TRUST if is_ours else _HOW_TO_BE_TRUSTED}")


def prepare_handshake(peer: PeerAddress) -> Handshake | None:
    """Read the files that TLS with a peer needs, as they are now; None where plain TCP is spoken.

    Raises PeerUntrusted naming a file that cannot be used, or a name that no host can have.
    """
    if peer.tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    restrict(context)
    context.check_hostname = not peer.tls.fingerprints
    try:
        if peer.tls.authority:
            load_authority(context, "tls", peer.tls.authority)
        else:
            context.verify_mode = ssl.CERT_NONE  # the fingerprints tell who it is
        if peer.tls.certificate:
            load_own(context, "tls", peer.tls.certificate, peer.tls.key)
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=peer.tls.name)
    except SettingsError as error:
        raise PeerUntrusted(f"{_name(peer)}: {error}") from error
    except ValueError as error:
        raise PeerUntrusted(f"{_name(peer)}: TLS: {peer.tls.name!r} is no host name; {_HOW_TO_TRUST}") from error
    return Handshake(peer, peer.tls, context)


def _name(peer: PeerAddress) -> str:
    return f"{peer.ae_title} at {peer.host}:{peer.port}"
