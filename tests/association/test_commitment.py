"""Storage commitment on the wire: roles as they are proposed, statuses as the standard has them, limits as for all."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from committing import ASKER, ask, request_for
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.dsutils import decode
from pynetdicom.presentation import build_role
from raw_peer import (
    ACTION_INFORMATION,
    COMMITMENT,
    CONTEXTS,
    CT_CLASS,
    ECHO,
    RELEASE,
    RawPeer,
    action_command,
    data,
    event_command,
    pdv,
    request,
)
from receiving import Node, running
from sqlalchemy import select

from node.association import commitment
from node.association.commitment import LARGEST_INFORMATION_BYTES, IncomingInformation
from node.commitment.information import MOST_REFERENCES, encode_request
from node.database import Commitment
from node.errors import ProtocolViolation, TooMuchAsked
from node.peers import Peer
from node.vocabulary import CommitmentRequest, InstanceReference

IMPLICIT = "1.2.840.10008.1.2"
ONE = InstanceReference(CT_CLASS, "1.44")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with running(tmp_path, peers=(Peer(ae_title=ASKER, host="127.0.0.1", port=104),)) as started:
        yield started


def asked(node: Node) -> list[str]:
    with node.database.reading() as session:
        return list(session.scalars(select(Commitment.transaction_uid)))


def test_pynetdicom_may_take_the_role_of_the_scp(node: Node) -> None:
    entity = AE(ASKER)
    entity.add_requested_context(COMMITMENT, IMPLICIT)
    roles = [build_role(COMMITMENT, scu_role=False, scp_role=True)]
    association = entity.associate("127.0.0.1", node.listener.port, ext_neg=roles)
    (accepted,) = association.accepted_contexts
    assert (accepted.as_scu, accepted.as_scp) == (False, True)
    association.release()


def test_what_is_asked_is_on_record_when_it_is_answered(node: Node) -> None:
    assert ask(node.address, request_for(ONE)) == (0x0000, "")
    assert asked(node) == ["1.2.77"]


def test_as_many_instances_as_one_request_may_name_come_through_and_no_more(node: Node) -> None:
    named = tuple(
        InstanceReference(CT_CLASS, f"1.2.826.0.1.3680043.8.498.{10**37 + n}") for n in range(MOST_REFERENCES)
    )
    encoded = encode_request(CommitmentRequest("1.2.77", named), IMPLICIT)
    assert len(encoded) < LARGEST_INFORMATION_BYTES
    assert said(node, action_command(), encoded) == 0x0000
    more = CommitmentRequest("1.2.78", (*named, InstanceReference(CT_CLASS, "1.2")))
    assert said(node, action_command(), encode_request(more, IMPLICIT)) == 0x0213


def said(node: Node, command: bytes, information: bytes = ACTION_INFORMATION, context_id: int = 7) -> int:
    """Return the status of the answer to a message, after which the association must go on."""
    pieces = [information[at : at + 60_000] for at in range(0, len(information), 60_000)]
    with RawPeer.connect(node.listener.port) as peer:
        assert peer.say(request(*CONTEXTS, calling=ASKER.encode())).hear()[0] == 2
        peer.say(data(pdv(context_id, 3, command)), *(data(pdv(context_id, 0, piece)) for piece in pieces))
        status = peer.say(data(pdv(context_id, 2))).status()
        assert peer.say(ECHO).status() == 0
        peer.say(RELEASE)
    return status


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (action_command(), 0x0000),
        (action_command(ActionTypeID=2), 0x0123),
        (action_command(RequestedSOPInstanceUID="1.2.3"), 0x0112),
        (action_command(RequestedSOPClassUID=CT_CLASS), 0x0118),
        (event_command(EventTypeID=3), 0x0113),
        (event_command(AffectedSOPInstanceUID="1.2.3"), 0x0112),
        (event_command(AffectedSOPClassUID=CT_CLASS), 0x0118),
        (event_command(EventTypeID=1), 0x0115),
        (event_command(EventTypeID=2), 0x0115),
    ],
    ids=[
        "asked",
        "action",
        "instance",
        "class",
        "event",
        "instance of event",
        "class of event",
        "not ours",
        "nor this",
    ],
)
def test_a_command_is_answered_with_the_status_of_the_standard(node: Node, command: bytes, status: int) -> None:
    assert said(node, command) == status
    assert len(asked(node)) == (status == 0x0000)


def test_an_action_in_the_context_of_another_class_is_refused(node: Node) -> None:
    assert said(node, action_command(), context_id=3) == 0x0118


def test_an_answer_names_what_the_request_named(node: Node) -> None:
    with RawPeer.connect(node.listener.port) as peer:
        peer.say(request(*CONTEXTS, calling=ASKER.encode())).hear()
        for command, field, type_name in (
            (action_command(), 0x8130, "ActionTypeID"),
            (event_command(), 0x8100, "EventTypeID"),
        ):
            peer.say(data(pdv(7, 3, command), pdv(7, 2, ACTION_INFORMATION)))
            answer = decode_answer(peer.hear()[1])
            assert (answer.CommandField, answer.AffectedSOPClassUID) == (field, COMMITMENT)
            assert (answer.AffectedSOPInstanceUID, answer[type_name].value) == (f"{COMMITMENT}.1", 1)
            assert (answer.MessageIDBeingRespondedTo, answer.CommandDataSetType) == (1, 0x0101)


def decode_answer(body: bytes) -> Dataset:
    return decode(BytesIO(body[6:]), True, True)


def test_a_stranger_is_refused_with_what_to_do(node: Node) -> None:
    status, comment = ask(node.address, request_for(ONE), "STRANGER")
    assert (status, comment) == (0x0124, "add STRANGER to peers.toml: no address to report to")


def test_a_transaction_that_was_used_for_others_is_refused(node: Node) -> None:
    assert ask(node.address, request_for(ONE))[0] == 0x0000
    assert ask(node.address, request_for(ONE))[0] == 0x0000
    assert ask(node.address, request_for(InstanceReference(CT_CLASS, "1.45")))[0] == 0x0131


@pytest.mark.parametrize("information", [b"", b"\0", ACTION_INFORMATION[:-1], b"\xff" * 100])
def test_a_data_set_that_cannot_be_read_is_refused(node: Node, information: bytes) -> None:
    assert said(node, action_command(), information) == 0x0115


def test_an_action_without_a_data_set_is_refused(node: Node) -> None:
    bare = action_command().replace(struct.pack("<HHIH", 0, 0x0800, 2, 1), struct.pack("<HHIH", 0, 0x0800, 2, 0x0101))
    with RawPeer.connect(node.listener.port) as peer:
        peer.say(request(*CONTEXTS, calling=ASKER.encode())).hear()
        assert peer.say(data(pdv(7, 3, bare))).status() == 0x0115


def test_an_action_that_does_not_say_which_is_a_violation(node: Node) -> None:
    with RawPeer.connect(node.listener.port) as peer:
        peer.say(request(*CONTEXTS, calling=ASKER.encode())).hear()
        whole = action_command()
        assert (
            peer.say(data(pdv(7, 3, whole[: whole.rindex(struct.pack("<HHI", 0, 0x1008, 2))]))).abort_reason()[1] == 6
        )


def test_what_is_too_long_is_not_kept_in_memory_and_what_has_no_end_ends_the_association(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commitment, "LARGEST_INFORMATION_BYTES", 10)
    incoming = IncomingInformation()
    incoming.write(memoryview(bytes(10)))
    assert incoming.claim() == bytes(10)
    incoming.write(memoryview(bytes(10)))
    assert len(incoming._encoded) == 0
    with pytest.raises(TooMuchAsked):
        incoming.claim()
    with pytest.raises(ProtocolViolation):
        incoming.write(memoryview(b"x"))
