"""TLS of everything we speak (PS3.15 B.12, BCP 195): versions, suites, and our own certificate."""

from __future__ import annotations

import ssl

from node.errors import SettingsError

# Of TLS 1.2 the four suites that RFC 9325 4.2 recommends; those of TLS 1.3 are all fit (RFC 9325 4.3).
TLS_1_2_SUITES = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)


def restrict(context: ssl.SSLContext) -> None:
    """Leave of all versions and suites those of BCP 195."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(TLS_1_2_SUITES))
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION


def load_own(context: ssl.SSLContext, section: str, certificate: str, key: str) -> None:
    """Show this certificate; raises SettingsError naming files that cannot be used, as `section` states them."""

    def refuse() -> str:  # else OpenSSL would ask whoever sits at the terminal
        raise SettingsError(
            f"{section}.key: {key}: it has a password; expected a key without one that the node alone may read; "
            "take it off with `openssl pkey -in KEY -out NEW`, then chmod 600"
        )

    try:
        context.load_cert_chain(certificate, key, password=refuse)
    except (OSError, ssl.SSLError) as error:
        raise _unusable(f"{section}.certificate and {section}.key", f"{certificate} and {key}", error) from error


def load_authority(context: ssl.SSLContext, section: str, authority: str) -> None:
    """Trust what the authorities in a file have issued; raises SettingsError when it cannot be used."""
    try:
        context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as error:
        raise _unusable(f"{section}.authority", authority, error) from error


def words_of(error: OSError) -> str:
    """Return what OpenSSL or the system says of an error, without the place in their code."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return (error.strerror or "no answer").removeprefix("[SSL] ").partition(" (_ssl.c")[0]


def _unusable(keys: str, files: str, error: OSError) -> SettingsError:
    return SettingsError(
        f"{keys}: {files}: {words_of(error)}; expected PEM files that belong together and that the node may read"
    )
