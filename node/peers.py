"""Peers: the tables of peers.toml, each a DICOM application we know, with how we know it and it knows us."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from node.certificates import read_fingerprint, read_name
from node.configuration import Section
from node.vocabulary import PeerAddress, PeerTls, ResultProfile

_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")


def _check_ae_title(title: str) -> str:
    """Refuse what is no AE value (PS3.5 6.2): 1 to 16 printable characters without backslash."""
    if not _AE_TITLE.fullmatch(title) or title != title.strip() or not title:
        raise ValueError("an AE title is 1 to 16 printable characters without backslash or outer spaces")
    return title


def _check_network(network: str) -> str:
    """Refuse what is neither an IP address nor a network such as 10.1.2.0/24."""
    ip_network(network)
    return network


AETitle = Annotated[str, AfterValidator(_check_ae_title)]
Network = Annotated[str, AfterValidator(_check_network)]
Fingerprint = Annotated[str, AfterValidator(read_fingerprint)]
CertificateName = Annotated[str, AfterValidator(read_name)]


class TlsToPeer(Section):
    """How results are sent to a peer over TLS, with PEM files: whom we take for the peer, and what we show.

    The peer's certificate is one of `fingerprints`, or one for `name` (else its host); where `authority` is
    stated, that must have issued it.
    """

    authority: str = ""
    name: str = ""
    fingerprints: tuple[Fingerprint, ...] = ()
    certificate: str = ""
    key: str = ""

    @model_validator(mode="after")
    def _check_trust(self) -> TlsToPeer:
        """Refuse a table that trusts nobody or everybody, and half a certificate."""
        if not self.authority and not self.fingerprints:
            raise ValueError("expected `authority` or `fingerprints`: else nobody is known by its certificate")
        if bool(self.certificate) != bool(self.key):
            raise ValueError("expected both `certificate` and `key`, or neither")
        return self


class Peer(Section):
    """A DICOM application we know."""

    ae_title: AETitle
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    quiet_seconds: Annotated[float, Field(ge=0)] | None = None
    calls_from: tuple[Network, ...] = ()
    certificates: tuple[Fingerprint, ...] = ()
    subjects: tuple[CertificateName, ...] = ()
    results: ResultProfile = ResultProfile.ARCHIVE
    doctor_store: bool = False
    commitment: bool = False
    tls: TlsToPeer | None = None

    @property
    def address(self) -> PeerAddress:
        """Return where and how to reach it."""
        tls = None if self.tls is None else PeerTls(**self.tls.model_dump() | {"name": self.tls.name or self.host})
        return PeerAddress(self.ae_title, self.host, self.port, tls)

    def in_folder(self, folder: Path, certificate: str, key: str) -> Peer:
        """Return the same with file names relative to `folder` made whole; ours unless it states others."""
        if self.tls is None:
            return self
        names = ("authority", "certificate", "key")
        files = {name: str(folder / file) for name in names if (file := getattr(self.tls, name))}
        ours = {"certificate": certificate, "key": key}
        return self.model_copy(update={"tls": self.tls.model_copy(update=ours | files)})
