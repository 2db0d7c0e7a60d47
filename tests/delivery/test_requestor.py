"""Our side of an association that we ask for: what goes out, which answers count, and how it ends."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from delivery.scripted import acceptance, answered, hear_message, response, scripted
from pynetdicom.dimse_primitives import C_ECHO, C_STORE, N_ACTION
from pynetdicom.dsutils import decode
from pynetdicom.pdu import A_ASSOCIATE_RQ
from raw_peer import (
    ABORT,
    ACTION_INFORMATION,
    COMMITMENT,
    COMMITMENT_INSTANCE,
    CT_CLASS,
    EXPLICIT,
    IMPLICIT,
    RELEASE,
    VERIFICATION,
    RawPeer,
    action_command,
    data,
    echo_command,
    event_command,
    item,
    pdu,
    pdv,
    tiny_command,
    tiny_data_set,
)
from waiting import PATIENCE_SECONDS

from node.delivery.proposal import decode_acceptance, encode_proposal, number_contexts
from node.delivery.requestor import PROPOSED_VERIFICATION, OutgoingAssociation, Requestor, associate
from node.delivery.scu import send_instances
from node.errors import (
    AssociationBroken,
    DeliveryDelayed,
    DeliveryRefused,
    PeerRejects,
    PeerUnreachable,
    ProtocolViolation,
)
from node.upper_layer.command import (
    Command,
    Request,
    Response,
    decode_message,
    decode_request,
    encode_request,
    encode_response,
)
from node.upper_layer.items import Roles
from node.upper_layer.pdu import OutgoingDataSet
from node.vocabulary import IMPLEMENTATION_CLASS_UID, PeerAddress

SYNTAXES = [(VERIFICATION, [IMPLICIT]), (CT_CLASS, [EXPLICIT, IMPLICIT])]
PROPOSED = number_contexts(SYNTAXES)
ACCEPTED = acceptance(answered(1, syntax=IMPLICIT), answered(3))
RELEASED = pdu(6, bytes(4))
PATIENT = Requestor("RADNODE", PATIENCE_SECONDS)


def lose_patience(association: OutgoingAssociation) -> None:
    """Wait no longer for the peer from now on: it took the association in however much time it needed for that."""
    association._wire._patience_seconds = 0.3


def store_tiny(association: OutgoingAssociation) -> int:
    (context,) = (one for one in association.contexts if one.abstract_syntax == CT_CLASS)
    data_set = OutgoingDataSet.of(tiny_data_set())
    return association.ask(context, Command.C_STORE_RQ, "1.44", data_set).status


def test_a_proposal_is_read_by_pynetdicom_as_it_is_meant() -> None:
    encoded = encode_proposal("RADNODE", "PACS", PROPOSED, {COMMITMENT: Roles(is_scu=False, is_scp=True)})
    read = A_ASSOCIATE_RQ()
    read.decode(encoded)
    assert (read.calling_ae_title.strip(), read.called_ae_title.strip()) == ("RADNODE", "PACS")
    assert read.application_context_name == "1.2.840.10008.3.1.1.1"
    contexts = [(c.context_id, c.abstract_syntax, tuple(c.transfer_syntax)) for c in read.presentation_context]
    assert contexts == [(c.context_id, c.abstract_syntax, c.transfer_syntaxes) for c in PROPOSED]
    told = read.user_information
    assert (told.implementation_class_uid, told.maximum_length) == (IMPLEMENTATION_CLASS_UID, 262_144)
    (role,) = told.role_selection.values()
    assert (role.sop_class_uid, role.scu_role, role.scp_role) == (COMMITMENT, False, True)
    assert read.encode() == encoded


@pytest.mark.parametrize(
    ("contexts", "accepted"),
    [
        ((answered(1, syntax=IMPLICIT), answered(3)), [(1, IMPLICIT), (3, EXPLICIT)]),
        ((answered(1, 3), answered(3, syntax=IMPLICIT)), [(3, IMPLICIT)]),
        ((answered(1, 1, IMPLICIT), answered(3, 4)), []),
        ((answered(1, syntax=EXPLICIT), answered(3)), [(3, EXPLICIT)]),  # in a syntax that was not proposed for it
        ((answered(5), answered(3)), [(3, EXPLICIT)]),  # a context that was not proposed
        ((), []),
    ],
)
def test_accepted_is_what_was_proposed_and_no_more(
    contexts: tuple[bytes, ...], accepted: list[tuple[int, str]]
) -> None:
    found = decode_acceptance(acceptance(*contexts, longest_pdu=30_000)[6:], PROPOSED)
    assert [(one.context_id, one.transfer_syntax) for one in found.contexts] == accepted
    assert [one.abstract_syntax for one in found.contexts] == [SYNTAXES[number // 2][0] for number, _ in accepted]
    assert (found.longest_pdu_bytes, found.implementation_class_uid, found.implementation_version) == (
        30_000, "1.2.3", "ACME 1",
    )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        b"",
        acceptance()[6:-1],
        acceptance(item(0x21, b"\1\0"))[6:],
        acceptance(longest_pdu=7)[6:],
        acceptance(item(0x21, b"\1\0\0\0\x40\0\0\x20"))[6:],
    ],
)
def test_an_acceptance_that_contradicts_itself_is_a_violation(body: bytes) -> None:
    with pytest.raises(ProtocolViolation, match="association negotiation: "):
        decode_acceptance(body, PROPOSED)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (pdu(3, b"\0\1\1\7"), PeerRejects, r"rejected \(1,1,7: called AE title not recognised\)"),
        (pdu(3, b"\0\2\3\2"), PeerUnreachable, r"rejected \(2,3,2: local limit exceeded\)"),
        (pdu(3, b"\0\1\1\x0a"), PeerUnreachable, r"rejected \(1,1,10: a reason that the standard does not know\)"),
        (pdu(3, b"\0\1"), PeerUnreachable, r"rejected \(1,0,0: "),
        (ABORT, PeerUnreachable, "request aborted"),
        (b"", PeerUnreachable, r"no answer \(connection closed\)"),
        (b"HTTP/1.1 400 Bad Request\r\n", PeerUnreachable, r"no answer \(PDU of an unknown type\)"),
        (pdu(4, b"\0\0\0\4\1\0ab"), PeerUnreachable, "which may not come now"),
        (acceptance(answered(1, 3), answered(3, 4)) + RELEASED, DeliveryRefused, "accepts none of the SOP classes"),
    ],
)
def test_a_peer_that_does_not_accept_is_named_with_what_it_said(
    answer: bytes, error: type[Exception], words: str
) -> None:
    with (
        scripted(answer) as peer,
        pytest.raises(error, match=rf"^PACS at 127\.0\.0\.1:\d+: .*{words}"),
        associate(PATIENT, peer.address, SYNTAXES),
    ):
        pass


def test_an_association_in_which_nothing_can_be_asked_is_released() -> None:
    def script(peer: RawPeer) -> None:
        assert peer.hear() == (5, bytes(4))
        peer.say(RELEASED)

    with (
        scripted(acceptance(answered(1, 3), answered(3, 4)), script) as peer,
        pytest.raises(DeliveryRefused),
        associate(PATIENT, peer.address, SYNTAXES),
    ):
        pass


@pytest.mark.parametrize(
    ("host", "reason"), [("127.0.0.1", "Connection refused"), ("a..b", "label empty or too long"), ("a" * 64, "label")]
)
def test_a_peer_that_cannot_be_reached_is_named_with_the_reason(host: str, reason: str, closed_port: int) -> None:
    with (
        pytest.raises(PeerUnreachable, match=rf"^PACS at {host}:{closed_port}: no connection \(.*{reason}.*\); check"),
        associate(PATIENT, PeerAddress("PACS", host, closed_port), SYNTAXES),
    ):
        pass


WRONG_ANSWERS: dict[str, bytes] = {
    "to another request": data(pdv(3, 3, response(C_STORE(), message_id=2))),
    "of another kind": data(pdv(3, 3, response(C_ECHO()))),
    "without a status": data(pdv(3, 3, response(C_STORE()).replace(b"\0\0\0\x09", b"\0\0\2\x09"))),
    "of another group": data(pdv(3, 3, b"\1\0\0\0\0\0\0\0")),
    "an abort": ABORT,
    "a release": RELEASE,
    "a rejection": pdu(3, b"\0\1\1\7"),
    "the end": b"",
    "in a context that nobody accepted": data(pdv(5, 3, response(C_STORE()))),
    "with a data set without an end": data(pdv(3, 3, event_command())) + data(*[pdv(3, 0, bytes(65_536))] * 3) * 30,
}


@pytest.mark.parametrize("wrong", WRONG_ANSWERS)
def test_an_answer_that_is_none_is_never_success(wrong: str) -> None:
    def script(peer: RawPeer) -> None:
        hear_message(peer)
        with suppress(ConnectionError):  # we may have aborted before it has said all
            peer.say(WRONG_ANSWERS[wrong])
        if WRONG_ANSWERS[wrong]:
            assert peer.hear()[0] in {0, 7}

    with (
        scripted(ACCEPTED, script) as peer,
        pytest.raises(DeliveryDelayed, match="C-STORE"),
        associate(PATIENT, peer.address, SYNTAXES) as association,
    ):
        store_tiny(association)


def test_no_more_of_a_data_set_is_taken_than_any_answer_has() -> None:
    def script(peer: RawPeer) -> None:
        hear_message(peer)
        with suppress(ConnectionError):
            peer.say(WRONG_ANSWERS["with a data set without an end"])
        while peer.hear()[0]:
            pass

    with (
        scripted(ACCEPTED, script) as peer,
        pytest.raises(DeliveryDelayed, match="a data set of more than 4194304 bytes from the peer"),
        associate(PATIENT, peer.address, SYNTAXES) as association,
    ):
        store_tiny(association)


def test_what_the_peer_asks_before_it_answers_is_heard_after_the_answer() -> None:
    def script(peer: RawPeer) -> None:
        command, information, _ = hear_message(peer)
        assert (command, information) == (action_command(), ACTION_INFORMATION)
        peer.say(data(pdv(1, 3, event_command())), data(pdv(1, 2, ACTION_INFORMATION)))
        peer.say(data(pdv(1, 3, response(N_ACTION(), status=0x0110))))
        answer, _, _ = hear_message(peer)
        assert b"\x00\x00\x00\x01\x02\x00\x00\x00\x00\x81" in answer  # N-EVENT-REPORT-RSP
        assert peer.hear() == (5, bytes(4))
        peer.say(RELEASED)

    syntaxes = [(COMMITMENT, [IMPLICIT])]
    with (
        scripted(acceptance(answered(1, syntax=IMPLICIT)), script) as peer,
        associate(PATIENT, peer.address, syntaxes) as association,
    ):
        information = OutgoingDataSet.of(ACTION_INFORMATION)
        (context,) = association.contexts
        answer = association.ask(context, Command.N_ACTION_RQ, COMMITMENT_INSTANCE, information, 1)
        assert answer.status == 0x0110
        heard = association.hear(60.0)
        assert heard is not None
        assert (heard.request.field, heard.data_set) == (Command.N_EVENT_REPORT_RQ, ACTION_INFORMATION)
        association.answer(heard, 0x0000)
        assert association.hear(0.01) is None


def test_what_the_peer_asks_of_its_own_accord_is_heard() -> None:
    def script(peer: RawPeer) -> None:
        peer.say(data(pdv(1, 3, event_command()), pdv(1, 2, ACTION_INFORMATION)))
        assert peer.hear() == (5, bytes(4))
        peer.say(RELEASED)

    with (
        scripted(acceptance(answered(1, syntax=IMPLICIT)), script) as peer,
        associate(PATIENT, peer.address, [(COMMITMENT, [IMPLICIT])]) as association,
    ):
        heard = association.hear(60.0)
        assert heard is not None
        assert (heard.request.field, heard.data_set) == (Command.N_EVENT_REPORT_RQ, ACTION_INFORMATION)


def test_an_answer_that_nobody_waits_for_is_not_heard() -> None:
    def script(peer: RawPeer) -> None:
        peer.say(data(pdv(3, 3, response(C_STORE()))), ABORT)

    with scripted(ACCEPTED, script) as peer, associate(PATIENT, peer.address, SYNTAXES) as association:
        assert association.hear(60.0) is None
        with pytest.raises(AssociationBroken):
            association.hear(60.0)


@pytest.mark.parametrize("longest", [0, 8, 9, 17, 128, 4096, 16_384, 100_000, 262_144, 4_000_000_000])
def test_no_pdu_is_longer_than_the_peer_takes_and_what_arrives_is_what_was_sent(longest: int) -> None:
    content = bytes(range(256)) * (2 if 0 < longest < 100 else 2000)
    came: list[tuple[bytes, bytes, list[int]]] = []

    def script(peer: RawPeer) -> None:
        came.append(hear_message(peer))
        peer.say(data(pdv(3, 3, response(C_STORE(), status=0xB000))))
        assert peer.hear() == (5, bytes(4))
        peer.say(RELEASED)

    answer = acceptance(answered(3), longest_pdu=longest)
    with scripted(answer, script) as peer, associate(PATIENT, peer.address, SYNTAXES) as association:
        (context,) = association.contexts
        assert association.ask(context, Command.C_STORE_RQ, "1.44", OutgoingDataSet.of(content)).status == 0xB000
    ((command, data_set, lengths),) = came
    assert (command, data_set) == (tiny_command(), content)
    assert max(lengths) <= (min(longest, 262_144) or 262_144)
    assert len(lengths) < 10 or longest < 100_000


def test_a_file_that_ends_earlier_than_it_did_is_not_taken_for_sent(tmp_path: Path, small: Path) -> None:
    path = tmp_path / "cut.dcm"
    path.write_bytes(small.read_bytes() + bytes(300_000))

    def script(peer: RawPeer) -> None:
        hear_message(peer)
        with path.open("r+b") as file:
            file.truncate(200_000)
        peer.say(data(pdv(1, 3, response(C_STORE()))))
        while peer.hear()[0] != 7:
            pass

    proposed = acceptance(*(answered(number, syntax=s) for number in (1, 3) for s in (EXPLICIT,)))
    with scripted(proposed, script) as peer:
        answers = send_instances("RADNODE", peer.address, [small, path], 60.0)
        assert next(answers).status == 0
        with pytest.raises(DeliveryDelayed, match=r"cut\.dcm: found the end of the file, .*it changed while"):
            next(answers)


def test_who_wants_no_more_answers_has_the_association_released(small: Path) -> None:
    def script(peer: RawPeer) -> None:
        hear_message(peer)
        peer.say(data(pdv(1, 3, response(C_STORE()))))
        assert peer.hear() == (5, bytes(4))
        peer.say(RELEASED)
        assert peer.hear() == (0, b"")

    with scripted(acceptance(answered(1)), script) as peer:
        answers = send_instances("RADNODE", peer.address, [small, small], 60.0)
        assert next(answers).status == 0
        answers.close()


@pytest.fixture
def small(shared: Path) -> Path:
    """Give an instance of 2 kB in Explicit VR Little Endian."""
    (path,) = (shared / "data" / "dicom_misc").glob("*SR_d694cc*.dcm")
    return path


def test_a_peer_that_releases_at_the_same_time_is_answered() -> None:
    def script(peer: RawPeer) -> None:
        assert peer.hear() == (5, bytes(4))
        peer.say(data(pdv(3, 3, echo_command())), RELEASE)
        assert peer.hear() == (6, bytes(4))
        peer.say(data(pdv(3, 3, echo_command())), RELEASED)
        assert peer.hear() == (0, b"")

    with scripted(ACCEPTED, script) as peer, associate(PATIENT, peer.address, SYNTAXES):
        pass


@pytest.mark.parametrize("says", [RELEASED, ABORT])
def test_nothing_is_waited_for_behind_the_end(says: bytes) -> None:
    def script(peer: RawPeer) -> None:
        assert peer.hear() == (5, bytes(4))
        peer.say(says)
        assert peer.hear() == (0, b"")

    with scripted(ACCEPTED, script) as peer, associate(PATIENT, peer.address, SYNTAXES):
        pass


def test_an_echo_is_that_of_the_standard_and_the_number_behind_the_highest_is_the_first() -> None:
    def script(peer: RawPeer) -> None:
        for message_id in (0xFFFF, 1):
            assert hear_message(peer)[:2] == (echo_command(message_id), b"")
            peer.say(data(pdv(1, 3, response(C_ECHO(), message_id))))
        assert peer.hear() == (5, bytes(4))
        peer.say(RELEASED)

    proposed = acceptance(answered(1, syntax=EXPLICIT))
    with scripted(proposed, script) as peer, associate(PATIENT, peer.address, [PROPOSED_VERIFICATION]) as association:
        association._message_id = 0xFFFE
        (context,) = association.contexts
        assert [association.echo(context).status for _ in range(2)] == [0, 0]
    contexts = number_contexts([(VERIFICATION, [EXPLICIT, IMPLICIT])])
    assert peer.heard == [(1, encode_proposal("RADNODE", "PACS", contexts, {})[6:])]


@pytest.mark.parametrize("says", [b"", data(pdv(3, 3, echo_command())), pdu(9, b"")])
def test_a_peer_that_takes_no_part_in_the_release_is_left(says: bytes) -> None:
    def script(peer: RawPeer) -> None:
        assert peer.hear() == (5, bytes(4))
        peer.say(says)
        while peer.hear()[0]:
            pass

    with scripted(ACCEPTED, script) as peer, associate(PATIENT, peer.address, SYNTAXES) as association:
        lose_patience(association)


def test_an_error_of_ours_aborts() -> None:
    heard: list[tuple[int, bytes]] = []
    with (
        scripted(ACCEPTED, lambda peer: heard.append(peer.hear())) as peer,
        pytest.raises(RuntimeError, match="ours"),
        associate(PATIENT, peer.address, SYNTAXES),
    ):
        raise RuntimeError("ours")
    assert heard == [(7, bytes(4))]  # by the user of the service (PS3.8 Table 9-26)


def test_a_peer_that_stops_taking_a_data_set_is_given_up() -> None:
    is_given_up = threading.Event()

    def script(peer: RawPeer) -> None:
        peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        is_given_up.wait(PATIENCE_SECONDS)

    endless = OutgoingDataSet.of(bytes(64 * 1024 * 1024))
    refused = pytest.raises(DeliveryDelayed, match=r"takes nothing for 0\.3 s")
    with scripted(ACCEPTED, script) as peer:
        with refused, associate(PATIENT, peer.address, SYNTAXES) as association:
            lose_patience(association)
            association.ask(association.contexts[1], Command.C_STORE_RQ, "1.44", endless)
        is_given_up.set()


@pytest.mark.parametrize(
    ("request_", "written"),
    [
        (Request(1, 0x0030, 1, False, VERIFICATION, ""), echo_command),
        (Request(1, 0x0001, 1, True, CT_CLASS, "1.44"), tiny_command),
        (Request(1, 0x0130, 1, True, COMMITMENT, COMMITMENT_INSTANCE, 1), action_command),
        (Request(1, 0x0100, 1, True, COMMITMENT, COMMITMENT_INSTANCE, 1), event_command),
    ],
)
def test_a_request_is_written_as_pynetdicom_writes_it_and_read_back(
    request_: Request, written: Callable[[], bytes]
) -> None:
    assert encode_request(request_) == written()
    assert decode_request(1, encode_request(request_)) == request_


@pytest.mark.parametrize("comment", ["", "odd", "even"])
@pytest.mark.parametrize("type_id", [None, 1])
def test_an_answer_is_read_back_as_it_was_written(comment: str, type_id: int | None) -> None:
    field = Command.C_STORE_RQ if type_id is None else Command.N_EVENT_REPORT_RQ
    request = Request(5, field, 7, True, CT_CLASS, "1.44", type_id)
    encoded = encode_response(request, 0xA700, comment)
    answer = decode_message(5, encoded)
    assert answer == Response(5, field, 7, has_data_set=False, status=0xA700, comment=comment)
    assert answer.answers(request)
    stated = [(element.keyword, element.value) for element in decode(BytesIO(encoded), True, True)]
    assert stated == [
        ("CommandGroupLength", len(encoded) - 12),
        ("AffectedSOPClassUID", CT_CLASS),
        ("CommandField", 0x8000 | field),
        ("MessageIDBeingRespondedTo", 7),
        ("CommandDataSetType", 0x0101),
        ("Status", 0xA700),
        *([("ErrorComment", comment)] if comment else []),
        ("AffectedSOPInstanceUID", "1.44"),
        *([("EventTypeID", 1)] if type_id else []),
    ]


def test_an_answer_says_nothing_but_its_status_unless_it_is_told_to() -> None:
    answer = decode_message(1, encode_response(Request(1, Command.C_ECHO_RQ, 1, False, VERIFICATION, ""), 0))
    assert answer == Response(1, Command.C_ECHO_RQ, 1, has_data_set=False, status=0, comment="")


def test_an_element_of_a_command_may_be_empty_but_not_run_past_the_end() -> None:
    empty, cut = struct.pack("<HHI", 0, 0x1000, 0), struct.pack("<HHI", 0, 0x1000, 6) + b"1.44\0"
    assert decode_request(1, echo_command() + empty) == Request(1, Command.C_ECHO_RQ, 1, False, VERIFICATION, "")
    with pytest.raises(ProtocolViolation, match="that runs past the end"):
        decode_request(1, echo_command() + cut)
    with pytest.raises(ProtocolViolation, match="whose header runs past the end"):
        decode_request(1, echo_command() + empty[:-1])


def test_a_uid_that_is_none_is_named_letter_by_letter() -> None:
    odd = Request(1, Command.C_STORE_RQ, 1, True, "1.2x", "../\xe9x")
    assert decode_request(1, encode_request(odd)) == odd
