"""Results over TLS: to whom they go, to whom they do not, and what is said of it."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from certificates import Certificate, issue, make_authority, needs_openssl
from dcmtk import data_set_bytes, needs_dcmtk, store_scp
from delivery.parcels import Scene
from receiving import running
from waiting import PATIENCE_SECONDS

from node.delivery.destinations import echo_peers
from node.delivery.scu import echo
from node.errors import PeerUnreachable, PeerUntrusted
from node.peers import Peer, TlsToPeer
from node.settings import Settings, TlsSection, load_settings
from node.states import DeliveryState
from node.studies.overview import DeliveryLine, list_deliveries
from node.tls import TLS_1_2_SUITES
from node.vocabulary import PeerAddress, PeerTls

pytestmark = needs_openssl



@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """An authority that the other side does not know."""
    return make_authority(tmp_path_factory.mktemp("other"), "other")


@pytest.fixture(scope="module")
def ours(authority: Certificate) -> Certificate:
    return issue(authority, "radnode")


@pytest.fixture(scope="module")
def theirs(authority: Certificate) -> Certificate:
    return issue(authority, "pacs")


def trust(authority: Certificate | None, own: Certificate | None = None, **more: object) -> TlsToPeer:
    files = {} if own is None else {"certificate": str(own.file), "key": str(own.key)}
    return TlsToPeer(authority="" if authority is None else str(authority.file), **files, **more)


def secured(port: int, tls: TlsToPeer) -> Peer:
    return Peer(ae_title="PACS", host="127.0.0.1", port=port, tls=tls)


@contextmanager
def storescp(folder: Path, shown: Certificate, trusted: Certificate | None) -> Iterator[int]:
    """Run dcmtk's storescp over TLS; with `trusted` it wants a certificate of that authority."""
    wants = ("-ic",) if trusted is None else ("-rc", "+cf", str(trusted.file))
    with store_scp(folder, "+tls", str(shown.key), str(shown.file), *wants) as peer:
        yield peer.port


def send(scene: Scene, peer: Peer) -> DeliveryLine:
    """Try what is due and return the first delivery."""
    scene.outbox_to({"PACS": peer}).send_due("PACS")
    return list_deliveries(scene.side.database)[0]


@needs_dcmtk
def test_results_go_to_a_peer_that_shows_its_certificate_and_wants_ours(
    scene: Scene, tmp_path: Path, authority: Certificate, ours: Certificate, theirs: Certificate
) -> None:
    with storescp(tmp_path / "pacs", theirs, authority) as port:
        assert send(scene, secured(port, trust(authority, ours))).answer == "0000"
    assert scene.states() == {DeliveryState.SENT}
    stored = sorted(data_set_bytes(path) for path in (tmp_path / "pacs").iterdir())
    assert stored == sorted(data_set_bytes(path) for path in (tmp_path / "results").rglob("*.dcm"))


WRONG = {
    "of another authority": "self-signed certificate in certificate chain|unable to get local issuer certificate",
    "expired": "certificate has expired",
    "for another name": "certificate is not valid for 'pacs.elsewhere'",
    "of another fingerprint": "none of the fingerprints stated",
}


@needs_dcmtk
@pytest.mark.parametrize(("wrong", "reason"), WRONG.items(), ids=list(WRONG))
def test_a_peer_that_shows_another_certificate_gets_nothing_and_the_results_wait_with_the_reason(
    scene: Scene, tmp_path: Path, authority: Certificate, other: Certificate, theirs: Certificate,
    wrong: str, reason: str,
) -> None:  # fmt: skip
    shown = issue(authority, "late", days=-1) if wrong == "expired" else theirs
    trusted = {
        "of another authority": trust(other),
        "expired": trust(authority),
        "for another name": trust(authority, name="pacs.elsewhere"),
        "of another fingerprint": trust(authority, fingerprints=("0" * 64,)),
    }
    with storescp(tmp_path / "pacs", shown, None) as port:
        told = send(scene, secured(port, trusted[wrong]))
        assert (told.state, told.attempts) == (DeliveryState.RETRYING, 0)
        assert f"PACS at 127.0.0.1:{port}: TLS: " in told.answer
        assert any(words in told.answer for words in reason.split("|"))
        assert list((tmp_path / "pacs").iterdir()) == []
        scene.side.clock.pass_seconds(60)
        assert send(scene, secured(port, trust(None, fingerprints=(shown.fingerprint,)))).answer == "0000"


@dataclass
class Overheard:
    """What a peer that only listens made of one connection."""

    port: int
    suite: str = ""
    first: bytes | None = None

    def address(self, shown: Certificate) -> PeerAddress:
        return PeerAddress("PACS", "127.0.0.1", self.port, PeerTls("", "localhost", (shown.fingerprint,)))


@contextmanager
def listener(shown: Certificate, *, version: ssl.TLSVersion | None = None, suites: str = "") -> Iterator[Overheard]:
    """Run a peer that shakes hands in this version and these suites, whatever they are worth, and hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.file, shown.key)
    if version is not None:
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = context.maximum_version = version
    if suites:
        context.set_ciphers(suites)

    def listen() -> None:
        plain, _ = server.accept()
        plain.settimeout(PATIENCE_SECONDS)
        with suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            overheard.suite = connection.cipher()[0]
            overheard.first = connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        overheard = Overheard(server.getsockname()[1])
        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield overheard
        finally:
            thread.join(2 * PATIENCE_SECONDS)


def test_a_peer_of_another_fingerprint_is_told_nothing_not_even_our_name(theirs: Certificate) -> None:
    tls = PeerTls("", "localhost", fingerprints=("0" * 64,))
    with listener(theirs) as overheard, pytest.raises(PeerUntrusted, match=theirs.fingerprint[:16]):
        echo("RADNODE", PeerAddress("PACS", "127.0.0.1", overheard.port, tls), PATIENCE_SECONDS)
    assert overheard.first == b""


@needs_dcmtk
@pytest.mark.parametrize("shows", ["nothing", "a stranger's"])
def test_a_peer_that_does_not_trust_us_is_named_and_the_results_wait(
    scene: Scene, tmp_path: Path, authority: Certificate, other: Certificate, theirs: Certificate, shows: str
) -> None:
    own = None if shows == "nothing" else issue(other, "stranger")
    with storescp(tmp_path / "pacs", theirs, authority) as port:
        told = send(scene, secured(port, trust(authority, own)))
    assert (told.state, told.attempts) == (DeliveryState.RETRYING, 0)
    assert "TLS: " in told.answer
    assert "which certificates it trusts" in told.answer


def test_radnode_sends_to_radnode_with_one_certificate_for_both_sides(
    scene: Scene, tmp_path: Path, authority: Certificate, ours: Certificate, theirs: Certificate
) -> None:
    section = TlsSection(
        port=0, certificate=str(theirs.file), key=str(theirs.key), authority=str(authority.file),
        require_client_certificate=True,
    )  # fmt: skip
    sender = Peer(ae_title="RADNODE", host="127.0.0.1", port=104, subjects=("CN=radnode",))
    (tmp_path / "other").mkdir()
    with running(tmp_path / "other", tls=section, peers=(sender,), accepts_anyone=False) as node:
        peer = secured(node.listener.tls_port, trust(authority, ours)).model_copy(update={"ae_title": "RADNODE"})
        assert send(scene, peer).answer == "0000"
        (line,) = echo_peers(Settings(peers={"PACS": peer}))
        assert (line.is_answering, line.answer) == (True, "0000")
        (line,) = echo_peers(Settings(peers={"PACS": peer.model_copy(update={"tls": trust(authority)})}))
        assert not line.is_answering
        assert "TLS" in line.answer
        assert len(node.instances) == 4


@pytest.mark.parametrize(
    ("version", "suites"),
    [
        (ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
    ],
    ids=["TLS 1.0", "TLS 1.1", "suites with CBC"],
)
def test_a_peer_that_speaks_no_version_and_suite_of_bcp_195_gets_nothing(
    theirs: Certificate, version: ssl.TLSVersion, suites: str
) -> None:
    refused = pytest.raises(PeerUntrusted, match=r"version|handshake failure")
    with listener(theirs, version=version, suites=suites) as overheard, refused:
        echo("RADNODE", overheard.address(theirs), PATIENCE_SECONDS)
    assert overheard.first is None


@pytest.mark.parametrize("suite", TLS_1_2_SUITES)
def test_each_suite_of_bcp_195_is_spoken(tmp_path: Path, suite: str) -> None:
    kind = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"] if "ECDSA" in suite else ["rsa:2048"]
    shown = Certificate(tmp_path / "shown.pem", tmp_path / "shown.key")
    made = ["openssl", "req", "-x509", "-nodes", "-newkey", *kind, "-subj", "/CN=x", "-days", "2"]
    subprocess.run([*made, "-keyout", shown.key, "-out", shown.file], check=True, capture_output=True)
    hung_up = pytest.raises(PeerUnreachable)
    with listener(shown, version=ssl.TLSVersion.TLSv1_2, suites=suite) as overheard, hung_up:
        echo("RADNODE", overheard.address(shown), PATIENCE_SECONDS)
    assert (overheard.suite, overheard.first) == (suite, b"\x01")


def test_a_file_that_cannot_be_used_is_named_and_counts_as_soon_as_it_is_mended(
    scene: Scene, tmp_path: Path, authority: Certificate, ours: Certificate, theirs: Certificate
) -> None:
    live = tmp_path / "authority.pem"
    live.write_text("no certificate")
    section = TlsSection(port=0, certificate=str(theirs.file), key=str(theirs.key))
    (tmp_path / "other").mkdir()
    with running(tmp_path / "other", tls=section) as node:
        peer = secured(node.listener.tls_port, trust(Certificate(live, live)))
        told = send(scene, peer)
        assert told.state == DeliveryState.RETRYING
        assert f"tls.authority: {live}" in told.answer
        live.write_text(authority.file.read_text())
        scene.side.clock.pass_seconds(60)
        assert send(scene, peer).answer == "0000"


def test_a_peer_that_never_shakes_hands_is_given_up_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(PeerUntrusted, match="no answer"):
        echo("RADNODE", PeerAddress("PACS", *silent.getsockname(), PeerTls("", "localhost", ("0" * 64,))), 0.5)


def test_a_name_that_no_host_can_have_is_an_error_and_no_endless_wait() -> None:
    with pytest.raises(PeerUntrusted, match=r"'\.pacs' is no host name"):
        echo("RADNODE", PeerAddress("PACS", "127.0.0.1", 1, PeerTls("", ".pacs", ("0" * 64,))), PATIENCE_SECONDS)


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(tmp_path: Path, ours: Certificate) -> None:
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkey", "-aes256", "-passout", "pass:ZQPASSWORD", "-in", ours.key, "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    tls = PeerTls("", "localhost", ("0" * 64,), str(ours.file), str(locked))
    with pytest.raises(PeerUntrusted, match=r"tls\.key: .*locked\.key: it has a password"):
        echo("RADNODE", PeerAddress("PACS", "127.0.0.1", 1, tls), PATIENCE_SECONDS)


def test_files_are_found_beside_peers_toml_and_our_certificate_is_that_of_the_node_unless_stated(
    tmp_path: Path
) -> None:
    (tmp_path / "node.toml").write_text('[tls]\ncertificate = "node.pem"\nkey = "node.key"\n')
    (tmp_path / "routes.toml").write_text("")
    head = '[peer.{0}]\nae_title = "{0}"\nhost = "h.example"\nport = 2762\n'
    (tmp_path / "peers.toml").write_text(
        head.format("A") + '[peer.A.tls]\nauthority = "ca.pem"\n'
        + head.format("B") + '[peer.B.tls]\nauthority = "ca.pem"\nname = "b"\ncertificate = "b.pem"\nkey = "b.key"\n'
        + head.format("C")
    )  # fmt: skip
    peers = load_settings(tmp_path / "node.toml", {}).peers
    at = [str(tmp_path / name) for name in ("ca.pem", "node.pem", "node.key", "b.pem", "b.key")]
    assert peers["A"].address.tls == PeerTls(at[0], "h.example", (), at[1], at[2])
    assert peers["B"].address.tls == PeerTls(at[0], "b", (), at[3], at[4])
    assert peers["C"].address.tls is None


@pytest.mark.parametrize("trusting", [{}, {"authority": "ca.pem", "certificate": "a.pem"}])
def test_a_table_that_trusts_nobody_or_states_half_a_certificate_is_refused(trusting: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected"):
        TlsToPeer.model_validate(trusting)
