"""TLS: which versions and suites, whose certificates, and handshakes that nobody may hang."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from certificates import Certificate, issue, make_authority, needs_openssl
from dcmtk import data_set_bytes, needs_dcmtk, run
from raw_peer import ECHO, PROPOSAL, RELEASE, RawPeer, data, pdv, store
from receiving import Node, running, send
from waiting import PATIENCE_SECONDS, until

from node.association.acceptor import PendingLimits
from node.errors import SettingsError
from node.peers import Peer
from node.settings import TlsSection
from node.tls import TLS_1_2_SUITES

pytestmark = needs_openssl


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def ours(authority: Certificate) -> Certificate:
    return issue(authority, "radnode")


@pytest.fixture(scope="module")
def theirs(authority: Certificate) -> Certificate:
    return issue(authority, "modality")


def section(ours: Certificate, authority: Certificate | None = None, **more: Any) -> TlsSection:
    return TlsSection(
        port=0,
        certificate=str(ours.file),
        key=str(ours.key),
        authority="" if authority is None else str(authority.file),
        **more,
    )


@pytest.fixture
def node(tmp_path: Path, ours: Certificate, authority: Certificate) -> Iterator[Node]:
    with running(tmp_path, tls=section(ours, authority)) as started:
        yield started


def secured(port: int, authority: Certificate, own: Certificate | None = None) -> RawPeer:
    """Connect as a peer that verifies us and shows its own certificate, if any."""
    context = ssl.create_default_context(cafile=str(authority.file))
    if own is not None:
        context.load_cert_chain(own.file, own.key)
    plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
    return RawPeer(context.wrap_socket(plain, server_hostname="localhost"))


def is_heard(port: int, authority: Certificate, own: Certificate | None) -> bool:
    """Tell whether a peer gets any answer; in TLS 1.3 it learns only by reading that it does not."""
    try:
        with secured(port, authority, own) as peer:
            return peer.say(PROPOSAL).hear()[0] != 0
    except OSError:
        return False


def is_let_in(port: int, authority: Certificate, own: Certificate | None) -> bool:
    """Tell whether a peer is accepted (True) or rejected for who it is (False)."""
    with secured(port, authority, own) as peer:
        kind, body = peer.say(PROPOSAL).hear()
    assert kind == 2 or (kind, tuple(body[1:])) == (3, (1, 1, 3))
    return kind == 2


def s_client(port: int, *options: str) -> subprocess.CompletedProcess[str]:
    """Shake hands with the options of `openssl s_client`, at its lowest security level."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options]
    return subprocess.run(command, input="", capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize(("version", "suite"), [("-tls1_2", "ECDHE-ECDSA-AES256-GCM-SHA384"), ("-tls1_3", "TLS_AES")])
def test_tls_1_2_and_1_3_are_spoken(node: Node, version: str, suite: str) -> None:
    shaken = s_client(node.listener.tls_port, version)
    assert shaken.returncode == 0, shaken.stderr
    assert f"Cipher is {suite}" in shaken.stdout


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_earlier_versions_are_refused(node: Node, version: str) -> None:
    shaken = s_client(node.listener.tls_port, version, "-cipher", "ALL:@SECLEVEL=0")
    assert shaken.returncode != 0
    assert "alert protocol version" in shaken.stderr


def test_of_the_suites_of_tls_1_2_only_those_of_bcp_195_are_spoken(node: Node) -> None:
    command = ["openssl", "ciphers", "-tls1_2", "-s", "ALL:@SECLEVEL=0"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    others = set(listed.stdout.strip().split(":")) - set(TLS_1_2_SUITES)
    assert len(others) > 10
    shaken = s_client(node.listener.tls_port, "-tls1_2", "-cipher", ":".join([*sorted(others), "@SECLEVEL=0"]))
    assert shaken.returncode != 0
    assert "handshake failure" in shaken.stderr


def test_an_instance_sent_over_tls_is_kept(node: Node, authority: Certificate, ct: Path) -> None:
    with secured(node.listener.tls_port, authority) as peer:
        assert peer.say(PROPOSAL).hear()[0] == 2
        assert peer.say(data(pdv(3, 3, store(ct)), pdv(3, 2, data_set_bytes(ct)))).status() == 0x0000
        assert peer.say(RELEASE).hear()[0] == 6
    (kept,) = node.files("instances")
    assert data_set_bytes(kept) == data_set_bytes(ct)


@needs_dcmtk
def test_dcmtk_sends_over_tls_with_a_certificate_and_without(
    node: Node, authority: Certificate, theirs: Certificate, ct: Path
) -> None:
    to = ("-aec", "RADNODE", "127.0.0.1", node.listener.tls_port, ct)
    sent = run("storescu", "-xe", "+tls", theirs.key, theirs.file, "+cf", authority.file, *to)
    assert sent.returncode == 0, sent.stderr
    sent = run("storescu", "-xe", "+tla", "+cf", authority.file, *to)
    assert sent.returncode == 0, sent.stderr
    assert node.endings() == ["released"] * 2


def test_the_plain_port_stays_plain_and_the_other_does_not_speak_plain(node: Node, ct: Path) -> None:
    assert send(node, ct)[0].status == 0x0000
    with RawPeer.connect(node.listener.tls_port) as peer:
        assert b"\x02\x00\x00\x00" not in peer.say(PROPOSAL).hear()[1]
    assert node.endings() == ["released"]


def test_a_peer_without_a_certificate_is_not_even_heard_where_one_is_required(
    tmp_path: Path, ours: Certificate, authority: Certificate, theirs: Certificate
) -> None:
    with running(tmp_path, tls=section(ours, authority, require_client_certificate=True)) as node:
        assert is_heard(node.listener.tls_port, authority, theirs)
        stranger = issue(make_authority(tmp_path, "other"), "stranger")
        for own in (None, stranger):
            assert not is_heard(node.listener.tls_port, authority, own)
        assert len(node.associations()) == 1


@pytest.mark.parametrize("accepts_anyone", [True, False])
def test_an_ae_title_with_a_certificate_is_not_lent_to_who_has_none(
    tmp_path: Path, ours: Certificate, authority: Certificate, theirs: Certificate, accepts_anyone: bool
) -> None:
    modality = Peer(ae_title="MODALITY", host="127.0.0.1", port=104, certificates=(theirs.fingerprint,))
    other = issue(authority, "other")
    settings = {"tls": section(ours, authority), "peers": (modality,), "accepts_anyone": accepts_anyone}
    with running(tmp_path, **settings) as node:
        port = node.listener.tls_port
        with secured(port, authority, theirs) as peer:
            assert peer.say(PROPOSAL).hear()[0] == 2
        for own in (secured(port, authority), secured(port, authority, other), RawPeer.connect(node.listener.port)):
            with own as peer:
                kind, body = peer.say(PROPOSAL).hear()
                assert (kind, tuple(body[1:])) == (3, (1, 1, 3))


@pytest.mark.parametrize("bound_by", ["its subject", "its DNS name", "another's subject too"])
def test_an_ae_title_may_be_bound_to_a_name_that_the_authority_has_certified(
    tmp_path: Path, ours: Certificate, authority: Certificate, bound_by: str
) -> None:
    named = issue(authority, "named", hosts="DNS:CT1.hospital.example", subject="/O=Hospital/CN=modality")
    names = {
        "its subject": ("CN=modality,O=Hospital",),
        "its DNS name": ("DNS:ct1.Hospital.example",),
        "another's subject too": ("CN=other,O=Hospital", "CN=modality,O=Hospital"),
    }
    modality = Peer(ae_title="MODALITY", host="127.0.0.1", port=104, subjects=names[bound_by])
    others = [
        issue(authority, "cased", hosts="DNS:ct10.hospital.example", subject="/O=Hospital/CN=Modality"),
        issue(authority, "longer", hosts="DNS:ct1.hospital.example.org", subject="/O=Hospital/OU=x/CN=modality"),
        issue(authority, "escaped", hosts="DNS:x", subject="/CN=modality,O=Hospital"),
        None,
    ]
    with running(tmp_path, tls=section(ours, authority), peers=(modality,), accepts_anyone=False) as node:
        assert is_let_in(node.listener.tls_port, authority, named)
        assert not any(is_let_in(node.listener.tls_port, authority, other) for other in others)


def test_the_same_subject_of_another_authority_is_not_even_heard(
    tmp_path: Path, ours: Certificate, authority: Certificate
) -> None:
    real = issue(authority, "real", subject="/O=Hospital/CN=modality")
    forged = issue(make_authority(tmp_path, "other"), "forged", subject="/O=Hospital/CN=modality")
    modality = Peer(ae_title="MODALITY", host="127.0.0.1", port=104, subjects=("CN=modality,O=Hospital",))
    with running(tmp_path, tls=section(ours, authority), peers=(modality,), accepts_anyone=False) as node:
        assert is_heard(node.listener.tls_port, authority, real)
        assert not is_heard(node.listener.tls_port, authority, forged)
        assert len(node.associations()) == 1


def test_a_subject_is_stated_as_openssl_shows_it(tmp_path: Path, ours: Certificate, authority: Certificate) -> None:
    odd = issue(authority, "odd", subject="/DC=de/O=Röntgen, Haus \\+ <Hof>/OU=CT1+CN=#1 modality ")
    command = ["openssl", "x509", "-noout", "-subject", "-nameopt", "RFC2253,-esc_msb", "-in", str(odd.file)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rstrip("\n")
    assert "Röntgen" in shown
    modality = Peer(ae_title="MODALITY", host="127.0.0.1", port=104, subjects=(shown,))
    with running(tmp_path, tls=section(ours, authority), peers=(modality,), accepts_anyone=False) as node:
        assert is_let_in(node.listener.tls_port, authority, odd)
    with pytest.raises(ValueError, match="expected DNS:"):
        Peer(ae_title="A", host="h", port=104, subjects=("modality",))


@pytest.mark.parametrize(
    "said", [b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x16\x03\x01\x00\x05hello"]
)
def test_a_handshake_that_does_not_go_on_is_closed_and_holds_up_no_other(
    tmp_path: Path, ours: Certificate, authority: Certificate, said: bytes
) -> None:
    (tmp_path / "patient").mkdir()
    patient, impatient = (PendingLimits(request_seconds=seconds) for seconds in (600.0, 0.3))
    with running(tmp_path / "patient", tls=section(ours, authority), pending=patient) as node, ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(RawPeer.connect(node.listener.tls_port)).say(said)
        with secured(node.listener.tls_port, authority) as honest:
            assert honest.say(PROPOSAL).hear()[0] == 2
            assert honest.say(ECHO).status() == 0x0000
    with running(tmp_path, tls=section(ours, authority), pending=impatient) as node:
        for peer in [RawPeer.connect(node.listener.tls_port).say(said) for _ in range(30)]:
            with peer, suppress(ConnectionResetError):
                while peer.connection.recv(100):
                    pass


def test_a_peer_that_falls_silent_over_tls_is_aborted_over_tls(
    tmp_path: Path, ours: Certificate, authority: Certificate
) -> None:
    settings = {"tls": section(ours, authority), "idle_seconds": 0.3}
    with running(tmp_path, **settings) as node, secured(node.listener.tls_port, authority) as peer:
        assert peer.say(PROPOSAL).hear()[0] == 2
        assert peer.abort_reason() == (2, 0)


def test_draining_ends_an_association_over_tls(node: Node, authority: Certificate) -> None:
    with secured(node.listener.tls_port, authority) as peer:
        assert peer.say(PROPOSAL).hear()[0] == 2
        assert node.listener.drain(0.1) == 1
        with pytest.raises(ssl.SSLError):
            peer.connection.recv(1)
    assert node.endings() == ["aborted"]


def test_a_certificate_is_renewed_without_a_restart_and_a_broken_one_changes_nothing(
    tmp_path: Path, authority: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    def shown() -> bytes:
        with secured(node.listener.tls_port, authority) as peer:
            assert isinstance(peer.connection, ssl.SSLSocket)
            return peer.connection.getpeercert(binary_form=True) or b""

    first, second = issue(authority, "first"), issue(authority, "second")
    live = Certificate(tmp_path / "live.pem", tmp_path / "live.key")
    shutil.copy(first.file, live.file)
    shutil.copy(first.key, live.key)
    with running(tmp_path, tls=section(live)) as node:
        before = shown()
        live.file.write_text("no certificate")
        assert shown() == before
        assert "certificates not usable" in caplog.text
        shutil.copy(second.key, live.key)
        shutil.copy(second.file, live.file)
        until(lambda: shown() != before)


def test_a_certificate_that_cannot_be_used_is_named_at_the_start(tmp_path: Path, ours: Certificate) -> None:
    other = make_authority(tmp_path, "other")
    wrong = TlsSection(port=0, certificate=str(ours.file), key=str(other.key))
    with pytest.raises(SettingsError, match=r"tls\.certificate and tls\.key: .*radnode\.pem.*other\.key"):
        running(tmp_path, tls=wrong).__enter__()


def test_a_fingerprint_is_read_as_openssl_writes_it(ours: Certificate) -> None:
    command = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(ours.file)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    peer = {"ae_title": "A", "host": "h", "port": 104}
    for text in (shown, shown.partition("=")[2].strip(), ours.fingerprint):
        assert Peer.model_validate(peer | {"certificates": [text]}).certificates == (ours.fingerprint,)
    with pytest.raises(ValueError, match="SHA-256 fingerprint"):
        Peer.model_validate(peer | {"certificates": ["AB:CD"]})
