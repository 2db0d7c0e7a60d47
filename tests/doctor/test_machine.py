"""What the doctor says of clocks, models, TensorFlow and the ports."""

from __future__ import annotations

import fcntl
import socket
import socketserver
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from certificates import Certificate, issue, make_authority, needs_openssl
from clocks import ManualClock
from dcmtk import free_port
from ending import end_entity
from model_copies import copy_model
from pynetdicom import AE
from receiving import running
from rows import LUNG_RULE

from node.clock import SystemClock
from node.demo.pacs import VERIFICATION, SmallPacs
from node.doctor.check import Check, CheckResult, State, carry_out
from node.doctor.clocks import check_boot_clock, check_wall_clock, clock_checks
from node.doctor.models import check_model, check_tensorflow
from node.doctor.port import check_admission, check_port, check_reach, port_checks
from node.peers import Peer
from node.settings import DicomSection, NodeSection, Settings, TlsSection

REMOTE = {"PACS": Peer(ae_title="PACS", host="192.0.2.1", port=104)}


def judged(look: object) -> CheckResult:
    (result,) = carry_out([Check("x", look)])
    return result


def listening(host: str = "127.0.0.1", port: int = 11112, **parts: object) -> Settings:
    return Settings(dicom=DicomSection(host=host, port=port), **parts)


@pytest.fixture
def mute_port() -> Iterator[int]:
    """The port of a program that takes connections and hangs up."""
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_the_clocks_of_this_machine_are_read() -> None:
    results = {result.name: result for result in carry_out(clock_checks(SystemClock()))}
    assert results["boot clock"].state is State.OK
    assert results["time synchronisation"].found


@pytest.mark.parametrize("year", [1970, 2200])
def test_a_year_that_cannot_be_is_an_error(year: int) -> None:
    clock = ManualClock()
    assert check_wall_clock(clock).state is State.OK
    clock._now = datetime(year, 1, 1, tzinfo=UTC)
    assert check_wall_clock(clock).state is State.ERROR


def test_a_machine_that_names_no_boot_is_an_error() -> None:
    clock = ManualClock()
    assert check_boot_clock(clock).state is State.OK
    clock.boot_id = ""
    assert check_boot_clock(clock).state is State.ERROR


def test_a_model_in_order_is_named_with_its_version() -> None:
    assert judged(lambda: check_model(Settings(), LUNG_RULE.model)).found.startswith("version 1.1.0")


def test_a_model_that_is_not_installed_is_an_error_that_lists_those_that_are() -> None:
    result = judged(lambda: check_model(Settings(), "no_such_model"))
    assert (result.state, LUNG_RULE.model in result.found + result.advice) == (State.ERROR, True)


def test_other_weights_than_the_card_names_are_an_error(tmp_path: Path) -> None:
    model = copy_model(LUNG_RULE.model, tmp_path / "models" / "chest_dx_other")
    card = model / "model.toml"
    card.write_text(card.read_text().replace(f'name = "{LUNG_RULE.model}"', 'name = "chest_dx_other"'))
    settings = Settings(node=NodeSection(models=(tmp_path / "models",)))
    assert judged(lambda: check_model(settings, "chest_dx_other")).state is not State.ERROR
    (weights,) = model.glob("*.h5")
    weights.write_bytes(weights.read_bytes() + b"x")
    result = judged(lambda: check_model(settings, "chest_dx_other"))
    assert (result.state, "SHA-256" in result.found) == (State.ERROR, True)


def test_a_tensorflow_that_does_not_load_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keras.py").write_text("raise ImportError('no libcuda here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = judged(check_tensorflow)
    assert (result.state, "no libcuda here" in result.found) == (State.ERROR, True)


def test_a_free_port_is_in_order_and_stays_free() -> None:
    port = free_port()
    assert "free" in judged(lambda: check_port(listening(port=port))).found
    socket.create_server(("127.0.0.1", port)).close()


def test_a_port_held_by_a_radnode_is_in_order(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        result = judged(lambda: check_port(listening(port=node.address.port)))
    assert (result.state, "a radnode answers" in result.found) == (State.OK, True)


def test_a_port_held_by_another_dicom_program_is_an_error(tmp_path: Path) -> None:
    with SmallPacs(tmp_path) as pacs:
        result = judged(lambda: check_port(listening(port=pacs.port)))
    assert (result.state, "another DICOM program" in result.found) == (State.ERROR, True)


def test_a_radnode_that_lets_only_its_peers_in_is_known_by_its_lock(tmp_path: Path) -> None:
    entity = AE("RADNODE")
    entity.add_supported_context(VERIFICATION)
    entity.require_calling_aet = ["PACS"]
    server = entity.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    settings = listening(port=server.server_address[1], node=NodeSection(data=tmp_path))
    with (tmp_path / "node.lock").open("w") as lock:
        before = judged(lambda: check_port(settings))
        fcntl.flock(lock, fcntl.LOCK_EX)
        held = judged(lambda: check_port(settings))
    end_entity(entity)
    assert (before.state, held.state) == (State.ERROR, State.OK)


def test_a_port_held_by_something_else_is_an_error(mute_port: int) -> None:
    result = judged(lambda: check_port(listening(port=mute_port)))
    assert (result.state, "no running radnode" in result.found) == (State.ERROR, True)


@needs_openssl
def test_the_port_for_tls_is_free_held_by_us_or_by_whom_else(tmp_path: Path, mute_port: int) -> None:
    authority = make_authority(tmp_path)
    ours, theirs = issue(authority, "radnode"), issue(authority, "other")
    own = {"certificate": str(ours.file), "key": str(ours.key)}

    def told(port: int, shown: Certificate = ours) -> tuple[State, str]:
        tls = TlsSection(port=port, certificate=str(shown.file), key=str(shown.key))
        result = judged(lambda: check_port(Settings(tls=tls, node=NodeSection(data=tmp_path)), "tls"))
        return result.state, result.found + result.advice

    state, said = told(free_port())
    assert (state, "is free" in said) == (State.OK, True)
    state, said = told(mute_port)
    assert (state, "no running radnode" in said, "in [tls] of node.toml" in said) == (State.ERROR, True, True)
    with running(tmp_path, tls=TlsSection(port=0, **own)) as node:
        state, said = told(node.listener.tls_port)
        assert (state, "a radnode answers" in said) == (State.OK, True)
        state, said = told(node.listener.tls_port, theirs)
        assert (state, "none of the fingerprints" in said) == (State.ERROR, True)
    assert [check.name for check in port_checks(Settings(tls=TlsSection(**own)))][:2] == ["DICOM port", "TLS port"]


@needs_openssl
def test_a_radnode_that_hears_only_certified_peers_is_known_by_its_lock(tmp_path: Path) -> None:
    ours = issue(make_authority(tmp_path), "radnode")
    tls = TlsSection(
        port=0, certificate=str(ours.file), key=str(ours.key), require_client_certificate=True,
        authority=str(make_authority(tmp_path, "of others").file),
    )  # fmt: skip
    with running(tmp_path, tls=tls) as node, (tmp_path / "node.lock").open("w") as lock:
        found = tls.model_copy(update={"port": node.listener.tls_port})
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = judged(lambda: check_port(Settings(tls=found, node=NodeSection(data=tmp_path)), "tls"))
    assert (result.state, "lets only its peers in" in result.found) == (State.OK, True)


def test_an_address_that_is_not_ours_is_an_error() -> None:
    result = judged(lambda: check_port(listening("192.0.2.1")))
    assert (result.state, "no address of this machine" in result.found) == (State.ERROR, True)


def test_port_0_is_an_error_as_no_pacs_can_be_told_of_it() -> None:
    assert judged(lambda: check_port(listening(port=0))).state is State.ERROR


def test_listening_on_loopback_with_a_remote_peer_is_an_error() -> None:
    assert check_reach(listening(peers=REMOTE)).state is State.ERROR
    assert check_reach(listening("0.0.0.0", peers=REMOTE)).state is State.OK
    assert check_reach(listening()).state is State.OK


def test_a_node_that_takes_studies_from_anyone_in_the_network_is_a_warning() -> None:
    everyone = DicomSection(host="0.0.0.0", accept="anyone")
    assert check_admission(Settings(dicom=everyone)).state is State.WARNING
    assert check_admission(listening("0.0.0.0")).state is State.OK
    assert check_admission(listening()).state is State.OK
