"""Requests and answers as pynetdicom reads and writes them: it is the oracle for what ours mean."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import PresentationContext, build_context, negotiate_as_acceptor
from raw_peer import tiny_command

from node.association.contexts import supported_contexts
from node.association.negotiation import answer_contexts, encode_acceptance
from node.association.proposal import decode_proposal
from node.upper_layer.command import Command, decode_request, encode_response
from node.upper_layer.pdu import HEADER, MAXIMUM_PDU_BYTES, encode_command_pdus

CLASSES = ("1.2.840.10008.1.1", uid.CTImageStorage, uid.MRImageStorage, "1.2.840.10008.5.1.4.1.2.2.1", "1.2.3.4")
SYNTAXES = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.JPEG2000Lossless,
    uid.RLELossless,
    uid.UID("1.2.3.4.5"),
)
OFFERED = [build_context(name, list(syntaxes)) for name, syntaxes in supported_contexts().items() if name in CLASSES]
PROPOSED = st.lists(
    st.tuples(st.sampled_from(CLASSES), st.lists(st.sampled_from(SYNTAXES), min_size=1, max_size=4, unique=True)),
    min_size=1,
    max_size=20,
)


def numbered(proposed: list[tuple[str, list[uid.UID]]]) -> list[PresentationContext]:
    contexts = [build_context(*pair) for pair in proposed]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    return contexts


def primitive_of(contexts: list[PresentationContext], longest_pdu_bytes: int) -> A_ASSOCIATE:
    """Return a request with all that we do not negotiate beside what we do."""
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = longest_pdu_bytes
    implementation.implementation_class_uid = uid.UID("1.2.3")
    role, identity = SCP_SCU_RoleSelectionNegotiation(), UserIdentityNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = uid.CTImageStorage, True, True
    identity.user_identity_type, identity.primary_field = 1, b"somebody"
    asked = A_ASSOCIATE()
    asked.application_context_name = uid.UID("1.2.840.10008.3.1.1.1")
    asked.calling_ae_title, asked.called_ae_title = "MODALITY", "RADNODE"
    asked.presentation_context_definition_list = contexts
    asked.user_information = [length, implementation, role, identity]
    return asked


@settings(max_examples=80, deadline=None)
@given(PROPOSED, st.integers(8, 2**32 - 1) | st.just(0))
def test_a_proposal_is_answered_as_pynetdicom_would(proposed: list[tuple[str, list[uid.UID]]], longest: int) -> None:
    contexts = numbered(proposed)
    asked = A_ASSOCIATE_RQ()
    asked.from_primitive(primitive_of(contexts, longest))
    proposal = decode_proposal(asked.encode()[HEADER.size :])
    assert (proposal.calling_ae_title, proposal.called_ae_title) == ("MODALITY", "RADNODE")
    assert proposal.longest_pdu_bytes == longest

    answered = A_ASSOCIATE_AC()
    answered.decode(encode_acceptance(proposal, answer_contexts(proposal, supported_contexts())))
    ours = {
        context.context_id: (context.result, context.transfer_syntax[0] if context.result == 0 else None)
        for context in answered.to_primitive().presentation_context_definition_results_list
    }
    expected, _ = negotiate_as_acceptor(contexts, OFFERED, {})
    assert ours == {
        context.context_id: (context.result, context.transfer_syntax[0] if context.result == 0 else None)
        for context in expected
    }
    assert answered.user_information.maximum_length == MAXIMUM_PDU_BYTES


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 0xFFFF), st.sampled_from((0x0000, 0xA700, 0xC001)), st.text("abc ;,", max_size=64))
def test_a_response_says_to_pynetdicom_what_it_should(longest: int, status: int, comment: str) -> None:
    request = decode_request(3, tiny_command("1.2.3"))
    assert (request.field, request.sop_instance_uid, request.has_data_set) == (Command.C_STORE_RQ, "1.2.3", True)
    message = C_STORE_RSP()
    encoded = encode_command_pdus(3, encode_response(request, status, comment), longest if longest >= 8 else 0)
    while encoded:
        size = HEADER.size + HEADER.unpack_from(encoded)[1]
        received = P_DATA_TF()
        received.decode(encoded[:size])
        is_whole = message.decode_msg(received.to_primitive())
        encoded = encoded[size:]
    assert is_whole
    response = message.message_to_primitive()
    assert (response.Status, response.MessageIDBeingRespondedTo) == (status, 1)
    assert (response.ErrorComment or "").strip() == comment.strip()
    assert response.AffectedSOPInstanceUID == "1.2.3"
