"""Certificates made for a test, with the openssl program."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from ssl import PEM_cert_to_DER_cert

import pytest

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the package openssl")


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    file: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        return sha256(PEM_cert_to_DER_cert(self.file.read_text())).hexdigest()


def make_authority(folder: Path, name: str = "authority") -> Certificate:
    """Make one that may issue others."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    _openssl("req", "-x509", *_new_key(made), "-subj", f"/CN={name}", "-days", "2", "-out", made.file)
    return made


def issue(
    authority: Certificate, name: str, days: int = 2, hosts: str = "DNS:localhost,IP:127.0.0.1", subject: str = ""
) -> Certificate:
    """Make one for `name`, at these hosts, signed by the authority."""
    folder = authority.file.parent
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    extensions.write_text(f"subjectAltName={hosts}\nbasicConstraints=CA:FALSE\n")
    _openssl("req", *_new_key(made), "-utf8", "-subj", subject or f"/CN={name}", "-out", request)
    signer = ("-CA", authority.file, "-CAkey", authority.key, "-CAcreateserial", "-days", days)
    _openssl("x509", "-req", "-in", request, *signer, "-extfile", extensions, "-out", made.file)
    return made


def _new_key(made: Certificate) -> tuple[str | Path, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", made.key)


def _openssl(*arguments: str | Path | int) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
