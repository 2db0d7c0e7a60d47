"""Whom a certificate is for, in the words of peers.toml: its fingerprint, its subject, its DNS names."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from node.errors import SettingsError

_DNS = "DNS:"
# By these everybody but OpenSSL's long form writes the attributes of a subject (RFC 4514 section 3).
_SHORT_NAMES = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "street",
    "domainComponent": "DC",
    "userId": "UID",
}
_PEM = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_SPECIAL = re.compile(r'[\\,+"<>;]|^[ #]| $')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class ShownCertificate:
    """What the other side of a connection showed, and an authority that we trust vouches for.

    `fingerprint` is its SHA-256 (hex); `names` are its subject and its DNS names as peers.toml states them.
    """

    fingerprint: str
    names: frozenset[str]


def shown_by(connection: ssl.SSLSocket) -> ShownCertificate | None:
    """Return the certificate that the other side showed, None where it showed none or none was verified."""
    verified = connection.getpeercert()
    if not verified:
        return None
    subject: list[list[tuple[str, str]]] = [list(part) for part in verified.get("subject", ())]  # type: ignore[arg-type]
    others: list[tuple[str, str]] = list(verified.get("subjectAltName", ()))  # type: ignore[arg-type]
    names = [write_subject(subject), *(read_name(_DNS + host) for kind, host in others if kind == "DNS")]
    return ShownCertificate(fingerprint_of(connection), frozenset(name for name in names if name))


def fingerprint_of(connection: ssl.SSLSocket) -> str:
    """Return the SHA-256 (hex) of the certificate that the other side showed, verified or not; "" for none."""
    encoded = connection.getpeercert(binary_form=True)
    return sha256(encoded).hexdigest() if encoded else ""


def fingerprint_of_file(file: str) -> str:
    """Return the SHA-256 (hex) of the first certificate in a PEM file; raises SettingsError where there is none."""
    found = _PEM.search(Path(file).read_text(encoding="ascii", errors="replace"))
    if found is None:
        raise SettingsError(f"{file}: found no certificate; expected a PEM file; put the certificate there")
    return sha256(ssl.PEM_cert_to_DER_cert(found.group())).hexdigest()


def read_fingerprint(text: str) -> str:
    """Return a SHA-256 fingerprint as hex digits alone, however openssl wrote it; raises ValueError."""
    digits = text.rpartition("=")[2].replace(":", "").strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError("expected a SHA-256 fingerprint, as `openssl x509 -noout -fingerprint -sha256 -in` shows it")
    return digits


def read_name(text: str) -> str:
    """Return a subject as it stands, a DNS name in small letters; raises ValueError for what is neither."""
    if text.startswith(_DNS):
        return _DNS + text.removeprefix(_DNS).lower()
    subject = text.removeprefix("subject=")
    if not re.match(r"[A-Za-z0-9.]+=", subject):
        raise ValueError(
            "expected DNS: and a host name, or a subject as `openssl x509 -noout -subject -nameopt RFC2253,-esc_msb "
            "-in` shows it"
        )
    return subject


def write_subject(subject: list[list[tuple[str, str]]]) -> str:
    """Return a subject, the widest part of which comes first, as RFC 4514 writes it: the widest last."""
    return ",".join(
        "+".join(f"{_SHORT_NAMES.get(kind, kind)}={_escape(value)}" for kind, value in reversed(part))
        for part in reversed(subject)
    )


def _escape(value: str) -> str:
    escaped = _SPECIAL.sub(lambda found: "\\" + found.group(), value)
    return _CONTROL.sub(lambda found: f"\\{ord(found.group()):02X}", escaped)
