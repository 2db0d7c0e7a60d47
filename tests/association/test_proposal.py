"""An association request in bytes: what is read from it, and what contradicts itself."""

from __future__ import annotations

import struct

import pytest
from pydicom import uid
from raw_peer import (
    APPLICATION_CONTEXT,
    COMMITMENT,
    CT_CLASS,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    context,
    item,
    request,
    role,
)

from node.association.allowlist import Rejection
from node.association.negotiation import answer_contexts, encode_acceptance, judge_proposal
from node.association.proposal import Proposal, ProposedContext, Roles, decode_proposal
from node.errors import ProtocolViolation
from node.upper_layer.pdu import HEADER, MAXIMUM_PDU_BYTES, AbortReason
from node.vocabulary import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

CONTEXT = context(1, VERIFICATION, IMPLICIT)
SUPPORTED = {CT_CLASS: (EXPLICIT, IMPLICIT), VERIFICATION: (IMPLICIT,)}


def decoded(*contexts: bytes, **said: object) -> Proposal:
    return decode_proposal(request(*(contexts or (CONTEXT,)), **said)[HEADER.size :])


def test_a_proposal_is_read_as_it_was_sent() -> None:
    second = context(255, CT_CLASS + "\0", EXPLICIT, IMPLICIT + " ")
    assert decoded(CONTEXT, second, calling=b" XRAY  1", called=b"\0RADNODE", version=3) == Proposal(
        protocol_version=3,
        calling_ae_title="XRAY  1",
        called_ae_title="RADNODE",
        titles=b"\0RADNODE".ljust(16) + b" XRAY  1".ljust(16),
        application_context=APPLICATION_CONTEXT,
        contexts=(
            ProposedContext(1, VERIFICATION, (IMPLICIT,)),
            ProposedContext(255, CT_CLASS, (EXPLICIT, IMPLICIT)),
        ),
        longest_pdu_bytes=16384,
        roles={},
    )


@pytest.mark.parametrize(("sent", "shown"), [(b"A\x07B", "A?B"), (b"A\xffB", "A?B"), (b"A\x7f", "A?"), (b"A B", "A B")])
def test_what_cannot_be_printed_in_a_title_shows_as_a_question_mark(sent: bytes, shown: str) -> None:
    assert decoded(calling=sent).calling_ae_title == shown


def test_a_uid_of_strange_letters_is_read_as_it_stands() -> None:
    assert decoded(context(1, "1.2.\xe9x", IMPLICIT)).contexts[0].abstract_syntax == "1.2.Ã©x"


def test_items_of_an_unknown_kind_are_passed_over() -> None:
    named = item(0x30, VERIFICATION) + item(0x99, b"?") + item(0x40, IMPLICIT)
    proposal = decoded(item(0x99, b"whatever"), item(0x20, b"\7\0\0\0" + named))
    assert proposal.contexts == (ProposedContext(7, VERIFICATION, (IMPLICIT,)),)


def without_user_information(*items: bytes) -> bytes:
    fixed = struct.pack(">HH", 1, 0) + b"RADNODE".ljust(16) + b"XRAY".ljust(16) + bytes(32)
    return fixed + b"".join(items)


def test_what_a_peer_does_not_state_is_empty_or_without_bound() -> None:
    proposal = decode_proposal(without_user_information(CONTEXT))
    assert (proposal.application_context, proposal.longest_pdu_bytes) == ("", 0)
    nothing = decode_proposal(without_user_information(CONTEXT, item(0x50, item(0x52, "1.2.3"))))
    assert nothing.longest_pdu_bytes == 0


@pytest.mark.parametrize("longest", [0, 8, 2**32 - 1])
def test_a_longest_pdu_in_which_something_fits_is_taken(longest: int) -> None:
    assert decoded(longest_pdu=longest).longest_pdu_bytes == longest


CUT = request(CONTEXT)[HEADER.size :]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", "shorter than its fixed part"),
        (CUT[:67], "shorter than its fixed part"),
        (CUT[:68], "0 presentation contexts, expected 1 to 128"),
        (CUT[:71], "item whose header runs past the end"),
        (CUT[:-1], "item that runs past the end"),
        (CUT + b"\x99\0\0", "item whose header runs past the end"),
        (CUT + b"\x99\0\0\1", "item that runs past the end"),
        (without_user_information(*(context(2 * n + 1, VERIFICATION, IMPLICIT) for n in range(128))) + CONTEXT, "129"),
        (without_user_information(CONTEXT, CONTEXT), "even or repeat"),
        (without_user_information(context(2, VERIFICATION, IMPLICIT)), "even or repeat"),
        (without_user_information(context(0, VERIFICATION, IMPLICIT)), "even or repeat"),
        (without_user_information(item(0x20, b"\1\0\0")), "context shorter than its fixed part"),
        (without_user_information(item(0x20, b"\1\0\0\0")), "without its one abstract syntax"),
        (without_user_information(context(1, VERIFICATION)), "without a transfer syntax"),
        (without_user_information(item(0x20, b"\1\0\0\0" + item(0x40, IMPLICIT))), "without its one abstract syntax"),
        (
            without_user_information(
                item(0x20, b"\1\0\0\0" + item(0x30, "1.2") + item(0x30, "1.3") + item(0x40, IMPLICIT))
            ),
            "without its one abstract syntax",
        ),
        (without_user_information(CONTEXT, item(0x50, item(0x51, b"\0\0\0\7"))), "nothing fits in"),
        (without_user_information(CONTEXT, item(0x50, item(0x51, b"\0\0\0\1"))), "nothing fits in"),
        (without_user_information(CONTEXT, item(0x50, item(0x51, b"\0\0\0\0\x20"))), "nothing fits in"),
        (without_user_information(CONTEXT, item(0x50, item(0x51, b"\x20\0\0"))), "nothing fits in"),
    ],
)
def test_a_request_that_contradicts_itself_is_a_violation(body: bytes, found: str) -> None:
    with pytest.raises(ProtocolViolation, match=rf"^association negotiation: .*{found}") as violation:
        decode_proposal(body)
    assert violation.value.reason is AbortReason.INVALID_PARAMETER


def test_a_hundred_and_twenty_eight_contexts_are_read() -> None:
    contexts = [context(2 * n + 1, VERIFICATION, IMPLICIT) for n in range(128)]
    assert len(decode_proposal(without_user_information(*contexts)).contexts) == 128


def test_a_proposal_that_ends_with_the_fixed_part_of_an_item_is_read() -> None:
    assert decode_proposal(without_user_information(CONTEXT, item(0x99, b""))).contexts


@pytest.mark.parametrize(
    ("said", "rejection"),
    [
        ({}, None),
        ({"version": 3}, None),
        ({"version": 2}, Rejection.PROTOCOL_VERSION),
        ({"version": 0}, Rejection.PROTOCOL_VERSION),
        ({"application": "1.2.840.10008.3.1.1.2"}, Rejection.APPLICATION_CONTEXT),
        ({"application": ""}, Rejection.APPLICATION_CONTEXT),
    ],
)
def test_only_the_protocol_and_context_of_dicom_are_spoken(said: dict[str, object], rejection: Rejection) -> None:
    assert judge_proposal(decoded(**said)) is rejection


def test_of_the_transfer_syntaxes_of_a_context_the_one_we_name_first_is_taken() -> None:
    proposal = decoded(
        context(1, CT_CLASS, IMPLICIT, EXPLICIT),
        context(3, CT_CLASS, IMPLICIT),
        context(5, CT_CLASS, uid.JPEG2000),
        context(7, "1.2.3", IMPLICIT),
    )
    contexts = answer_contexts(proposal, SUPPORTED)
    assert [(c.context_id, c.result, c.is_accepted, c.abstract_syntax, c.transfer_syntax) for c in contexts] == [
        (1, 0, True, CT_CLASS, EXPLICIT),
        (3, 0, True, CT_CLASS, IMPLICIT),
        (5, 4, False, CT_CLASS, IMPLICIT),
        (7, 3, False, "1.2.3", IMPLICIT),
    ]


def test_the_answer_is_byte_for_byte_that_of_the_standard() -> None:
    proposal = decoded(CONTEXT, context(3, "1.2.3", EXPLICIT), calling=b"XRAY", called=b"RADNODE")
    user = (
        item(0x51, struct.pack(">I", MAXIMUM_PDU_BYTES))
        + item(0x52, IMPLEMENTATION_CLASS_UID)
        + item(0x55, IMPLEMENTATION_VERSION_NAME)
    )
    body = (
        b"\0\1\0\0" + b"RADNODE".ljust(16) + b"XRAY".ljust(16) + bytes(32)
        + item(0x10, "1.2.840.10008.3.1.1.1")
        + item(0x21, b"\1\0\0\0" + item(0x40, IMPLICIT))
        + item(0x21, b"\3\0\3\0" + item(0x40, IMPLICIT))
        + item(0x50, user)
    )  # fmt: skip
    answer = encode_acceptance(proposal, answer_contexts(proposal, SUPPORTED))
    assert answer == b"\2\0" + struct.pack(">I", len(body)) + body


WITH_COMMITMENT = {COMMITMENT: (IMPLICIT,), CT_CLASS: (IMPLICIT,)}


def acceptance(*roles: bytes, sop_class: str = COMMITMENT) -> bytes:
    proposal = decode_proposal(request(context(1, sop_class, IMPLICIT), roles=roles)[HEADER.size :])
    return encode_acceptance(proposal, answer_contexts(proposal, WITH_COMMITMENT))


@pytest.mark.parametrize("roles", [(1, 0), (0, 1), (1, 1)])
def test_the_roles_of_storage_commitment_are_agreed_to_as_proposed(roles: tuple[int, int]) -> None:
    assert role(COMMITMENT, *roles) in acceptance(role(COMMITMENT, *roles))


def test_no_roles_are_answered_where_none_were_proposed_nor_of_another_class() -> None:
    assert b"\x54\x00" not in acceptance()
    assert b"\x54\x00" not in acceptance(role(CT_CLASS, 0, 1), sop_class=CT_CLASS)
    assert b"\x54\x00" not in acceptance(role(COMMITMENT, 0, 1), sop_class=CT_CLASS)


def test_roles_are_read_as_they_were_sent() -> None:
    sent = (role(COMMITMENT, 0, 1), role(CT_CLASS, 1, 0))
    proposal = decode_proposal(request(context(1, COMMITMENT, IMPLICIT), roles=sent)[HEADER.size :])
    assert proposal.roles == {COMMITMENT: Roles(False, True), CT_CLASS: Roles(True, False)}


@pytest.mark.parametrize("value", [b"", b"\0", b"\0\0\0", b"\0\4" + b"1.2\1", b"\0\3" + b"1.2\1\1\1"])
def test_a_role_selection_that_contradicts_itself_is_a_violation(value: bytes) -> None:
    with pytest.raises(ProtocolViolation, match="role selection"):
        decode_proposal(request(context(1, COMMITMENT, IMPLICIT), roles=(item(0x54, value),))[HEADER.size :])
