"""What the doctor says of peers, against real ones: which way it works, which not, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from certificates import issue, make_authority, needs_openssl
from dcmtk import free_port, needs_dcmtk, store_scp
from ending import end_entity
from pydicom import dcmread
from pydicom.uid import CTImageStorage, EnhancedSRStorage
from pynetdicom import AE, evt
from receiving import running
from rows import LUNG_RULE, gathering, received

from node.commitment.information import COMMITMENT_CLASS
from node.demo.pacs import VERIFICATION, SmallPacs
from node.doctor.check import Check, CheckResult, State, carry_out
from node.doctor.made_up import PATIENT_NAME, write_made_up_report
from node.doctor.peers import RESULT_CLASSES, PeerVisit
from node.peers import Peer, TlsToPeer
from node.settings import NodeSection, Rule, Settings, TlsSection

REACH, TAKES, COMMITS, CONTACT, STORES = (
    "peer PACS: we reach it",
    "peer PACS: it takes results",
    "peer PACS: it commits to results",
    "peer PACS: it reaches us",
    "peer PACS: it stores",
)


def settings_for(port: int, ae_title: str = "PACS", data: Path = Path("absent"), **facts: object) -> Settings:
    peer = Peer(ae_title=ae_title, host=str(facts.pop("host", "127.0.0.1")), port=port, **facts)
    return Settings(node=NodeSection(data=data), peers={"PACS": peer}, rules=(LUNG_RULE,))


def visited(settings: Settings, is_to_store: bool = False) -> dict[str, CheckResult]:
    return {result.name: result for result in carry_out(PeerVisit(settings, "PACS").checks(is_to_store))}


@contextmanager
def scp(*sop_classes: str, answer: int = 0x0000, **limits: object) -> Iterator[int]:
    """Run a real SCP for these SOP classes and give its port; it answers every C-STORE alike."""
    ae = AE("PACS")
    for uid in sop_classes:
        ae.add_supported_context(uid)
    for name, value in limits.items():
        setattr(ae, name, value)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: answer)])
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        end_entity(ae)


def test_a_pacs_that_takes_everything_is_in_order_and_keeps_nothing_unasked(tmp_path: Path) -> None:
    with SmallPacs(tmp_path, "PACS") as pacs:
        results = visited(settings_for(pacs.port))
        assert pacs.received() == []
    assert [results[name].state for name in (REACH, TAKES)] == [State.OK, State.OK]
    assert "C-ECHO" in results[REACH].found
    assert STORES not in results


def test_a_peer_that_is_to_commit_and_does_is_in_order_and_told_where_to_report() -> None:
    with scp(VERIFICATION, *RESULT_CLASSES, COMMITMENT_CLASS) as port:
        result = visited(settings_for(port, commitment=True))[COMMITS]
    assert result.state is State.OK
    assert "must know our AE title RADNODE at 127.0.0.1:11112" in result.found


def test_a_peer_that_is_to_commit_and_knows_nothing_of_it_is_an_error() -> None:
    with scp(VERIFICATION, *RESULT_CLASSES) as port:
        results = visited(settings_for(port, commitment=True))
    assert results[TAKES].state is State.OK
    assert (results[COMMITS].state, results[COMMITS].found) == (State.ERROR, "refuses Storage Commitment Push Model")
    assert "commitment = true" in results[COMMITS].advice


def test_a_peer_that_is_to_commit_and_is_down_is_no_second_error() -> None:
    assert visited(settings_for(free_port(), commitment=True))[COMMITS].state is State.WARNING


def test_a_peer_that_need_not_commit_is_not_asked_whether_it_does() -> None:
    with scp(VERIFICATION, *RESULT_CLASSES) as port:
        assert COMMITS not in visited(settings_for(port))


@needs_dcmtk
def test_storescp_is_in_order(tmp_path: Path) -> None:
    with store_scp(tmp_path) as peer:
        results = visited(settings_for(peer.port, doctor_store=True), is_to_store=True)
    assert [results[name].state for name in (REACH, TAKES, STORES)] == [State.OK] * 3
    assert "OFFIS_DCMTK" in results[REACH].found


def test_a_pacs_that_is_down_is_an_error_and_asked_only_once() -> None:
    port = free_port()
    results = visited(settings_for(port, doctor_store=True), is_to_store=True)
    assert results[REACH].state is State.ERROR
    assert f"nothing listens on 127.0.0.1:{port}" in results[REACH].advice
    assert {results[TAKES].state, results[STORES].state} == {State.WARNING}


@needs_openssl
def test_over_tls_a_peer_is_reached_or_it_is_said_why_it_is_not_trusted(tmp_path: Path) -> None:
    shown = issue(make_authority(tmp_path), "pacs")
    tls = TlsSection(port=0, certificate=str(shown.file), key=str(shown.key))
    with running(tmp_path, tls=tls) as node:
        port = node.listener.tls_port
        right, wrong = (
            visited(settings_for(port, tls=TlsToPeer(fingerprints=(fingerprint,))))[REACH]
            for fingerprint in (shown.fingerprint, "0" * 64)
        )
    assert right.state is State.OK
    assert (wrong.state, "TLS" in wrong.found, "`fingerprints`" in wrong.advice) == (State.ERROR, True, True)


def test_a_host_without_an_address_is_told_as_such() -> None:
    result = visited(settings_for(104, host="no-such-host.invalid"))[REACH]
    assert (result.state, "no address is known" in result.advice) == (State.ERROR, True)


@pytest.mark.parametrize(
    ("limits", "what_to_do"),
    [
        ({"require_calling_aet": ["OTHER"]}, "add the AE title 'RADNODE' there"),
        ({"require_called_aet": True, "ae_title": "MEDPACS"}, "correct ae_title in [peer.PACS]"),
    ],
)
def test_a_rejected_association_is_an_error_with_what_to_change(limits: dict[str, object], what_to_do: str) -> None:
    with scp(VERIFICATION, *RESULT_CLASSES, **limits) as port:
        result = visited(settings_for(port))[REACH]
    assert result.state is State.ERROR
    assert what_to_do in result.advice


def test_a_pacs_that_is_too_busy_is_an_error_that_says_so() -> None:
    with scp(VERIFICATION, *RESULT_CLASSES, maximum_associations=1) as port:
        ours = AE("OTHER")
        ours.add_requested_context(VERIFICATION)
        occupying = ours.associate("127.0.0.1", port)
        assert occupying.is_established
        result = visited(settings_for(port))[REACH]
        occupying.release()
    assert (result.state, "too busy" in result.advice) == (State.ERROR, True)


def test_a_pacs_that_refuses_seg_is_an_error_that_names_the_uid() -> None:
    with scp(VERIFICATION, *RESULT_CLASSES[1:]) as port:
        result = visited(settings_for(port))[TAKES]
    assert result.state is State.ERROR
    assert RESULT_CLASSES[0] in result.advice
    assert RESULT_CLASSES[1] not in result.advice


def test_a_pacs_is_asked_for_maps_where_a_rule_wants_a_model_that_makes_them() -> None:
    rule = Rule(name="x", model="brain_mr_autoencoder", destination=("PACS",))
    with scp(VERIFICATION, *RESULT_CLASSES) as port:
        settings = settings_for(port).model_copy(update={"rules": (rule,)})
        result = visited(settings)[TAKES]
    assert (result.state, "Parametric Map Storage" in result.found) == (State.ERROR, True)


def test_a_scanner_that_gets_no_results_need_not_take_them() -> None:
    rule = Rule(name="x", model="y", destination=("OTHER",))
    with scp(VERIFICATION, CTImageStorage) as port:
        settings = settings_for(port).model_copy(update={"rules": (rule,)})
        assert visited(settings)[TAKES].state is State.OK


def test_a_peer_without_verification_is_a_warning() -> None:
    with scp(*RESULT_CLASSES) as port:
        results = visited(settings_for(port))
    assert (results[REACH].state, results[TAKES].state) == (State.WARNING, State.OK)


def test_a_peer_that_never_called_is_a_warning_and_one_that_did_is_told_with_its_address(tmp_path: Path) -> None:
    with SmallPacs(tmp_path / "pacs", "XRAY") as pacs:
        settings = settings_for(pacs.port, "XRAY", tmp_path)
        assert visited(settings)[CONTACT].state is State.WARNING
        side = gathering(tmp_path)
        side.bring(received(), calling="XRAY")
        called = visited(settings)[CONTACT]
        side.index.open_association("XRAY", "127.0.0.1", "OLDNODE")
        side.database.close()
        miscalled = visited(settings)[CONTACT]
    assert (called.state, "from 127.0.0.1" in called.found) == (State.OK, True)
    assert (miscalled.state, "'OLDNODE'" in miscalled.found) == (State.WARNING, True)


def test_a_peer_whom_we_turn_away_is_an_error_with_the_line_to_add(tmp_path: Path) -> None:
    side = gathering(tmp_path)
    elsewhere = "rejected: this AE title calls from an address that is not its own"
    side.index.record_rejection("PACS", "10.0.0.9", "RADNODE", elsewhere)
    strange = visited(settings_for(free_port(), data=tmp_path))[CONTACT]
    side.index.record_rejection("PACS", "10.0.0.9", "OTHERNODE", "rejected: called AE title is not ours")
    miscalled = visited(settings_for(free_port(), data=tmp_path))[CONTACT]
    side.database.close()
    assert (strange.state, 'calls_from = ["10.0.0.9"]' in strange.advice) == (State.ERROR, True)
    assert (miscalled.state, "enter 'RADNODE'" in miscalled.advice) == (State.ERROR, True)


def test_a_peer_that_calls_itself_otherwise_is_told_by_the_name_it_uses(tmp_path: Path) -> None:
    side = gathering(tmp_path)
    side.index.open_association("PACS2", "192.0.2.1", "RADNODE")
    side.database.close()
    visit = PeerVisit(settings_for(104, data=tmp_path, host="192.0.2.1"), "PACS")
    outcome = visit.check_contact()
    assert (outcome.state, "but from PACS2 at its address" in outcome.found) == (State.WARNING, True)


def test_a_report_of_nobody_is_stored_where_that_is_allowed(tmp_path: Path) -> None:
    with SmallPacs(tmp_path, "PACS") as pacs:
        settings = settings_for(pacs.port, doctor_store=True)
        results = [visited(settings, is_to_store=True)[STORES] for _ in range(2)]
        first, second = (path.read_bytes() for path in pacs.received())
        report = dcmread(pacs.received()[0])
    assert {result.state for result in results} == {State.OK}
    assert first == second
    assert (report.SOPClassUID, str(report.PatientName)) == (EnhancedSRStorage, PATIENT_NAME)


def test_nothing_is_stored_where_that_is_not_allowed(tmp_path: Path) -> None:
    with SmallPacs(tmp_path, "PACS") as pacs:
        result = visited(settings_for(pacs.port), is_to_store=True)[STORES]
        assert pacs.received() == []
    assert (result.state, "doctor_store = true" in result.advice) == (State.WARNING, True)


def test_a_pacs_that_refuses_to_store_is_an_error_with_its_answer() -> None:
    with scp(VERIFICATION, *RESULT_CLASSES, answer=0xA700) as port:
        result = visited(settings_for(port, doctor_store=True), is_to_store=True)[STORES]
    assert (result.state, "A700" in result.found) == (State.ERROR, True)


def test_the_report_of_nobody_belongs_to_the_node_that_made_it(tmp_path: Path) -> None:
    ours, again, other = (
        dcmread(write_made_up_report(tmp_path / f"{number}.dcm", title))
        for number, title in enumerate(("RADNODE", "RADNODE", "RADNODE2"))
    )
    assert ours == again
    assert ours.SOPInstanceUID != other.SOPInstanceUID


def test_an_error_nobody_named_is_not_swallowed() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(carry_out([Check("x", broken)]))
