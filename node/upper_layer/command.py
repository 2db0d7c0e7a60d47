"""Command sets of DIMSE messages (PS3.7 6.3, E.1): what one side asks, and what the other answers."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from pydicom.datadict import dictionary_VR, tag_for_keyword

from node.errors import ProtocolViolation
from node.upper_layer.pdu import AbortReason

LARGEST_COMMAND_BYTES = 64 * 1024
VERIFICATION = "1.2.840.10008.1.1"  # the SOP class of C-ECHO (PS3.4 A.4)

_ELEMENT = struct.Struct("<HHI")
_GROUP_LENGTH = 0x0000
_NO_DATA_SET, _WITH_DATA_SET = 0x0101, 0x0001
_IS_RESPONSE = 0x8000
_MEDIUM = 0x0000


class Command(IntEnum):
    """The values of Command Field of the requests that are served or made here (PS3.7 E.1)."""

    C_STORE_RQ = 0x0001
    C_ECHO_RQ = 0x0030
    N_EVENT_REPORT_RQ = 0x0100
    N_ACTION_RQ = 0x0130
    C_CANCEL_RQ = 0x0FFF


def _element_of(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return tag  # the group is 0


_ELEMENTS = {
    keyword: _element_of(keyword)
    for keyword in (
        "AffectedSOPClassUID",
        "RequestedSOPClassUID",
        "CommandField",
        "MessageID",
        "MessageIDBeingRespondedTo",
        "Priority",
        "CommandDataSetType",
        "Status",
        "ErrorComment",
        "AffectedSOPInstanceUID",
        "RequestedSOPInstanceUID",
        "EventTypeID",
        "ActionTypeID",
    )
}
_REPRESENTATIONS = {keyword: dictionary_VR(element) for keyword, element in _ELEMENTS.items()}
# What says which event or action it is (PS3.7 10.3.1, 10.3.5).
_TYPES: dict[int, str] = {Command.N_EVENT_REPORT_RQ: "EventTypeID", Command.N_ACTION_RQ: "ActionTypeID"}


@dataclass(frozen=True)
class Request:
    """A request in its presentation context; a UID it does not state is empty.

    `type_id` is that of the event or action, None where the request is for neither.
    """

    context_id: int
    field: int
    message_id: int
    has_data_set: bool
    sop_class_uid: str
    sop_instance_uid: str
    type_id: int | None = None


@dataclass(frozen=True)
class Response:
    """The answer to a request: whose MessageID it names, and its status; `field` is that of the request it answers."""

    context_id: int
    field: int
    message_id: int
    has_data_set: bool
    status: int
    comment: str

    def answers(self, request: Request) -> bool:
        """Tell whether it is the answer to this very request."""
        return (self.field, self.message_id) == (request.field, request.message_id)


def decode_message(context_id: int, encoded: bytes | bytearray) -> Request | Response:
    """Read a command set of either kind; raises ProtocolViolation as `decode_request` does."""
    elements = _decode_elements(encoded)
    field = _number(elements, "CommandField")
    if not field & _IS_RESPONSE:
        return _request(context_id, elements)
    return Response(
        context_id=context_id,
        field=field ^ _IS_RESPONSE,
        message_id=_number(elements, "MessageIDBeingRespondedTo"),
        has_data_set=_number(elements, "CommandDataSetType") != _NO_DATA_SET,
        status=_number(elements, "Status"),
        comment=_text(elements, "ErrorComment"),
    )


def decode_request(context_id: int, encoded: bytes | bytearray) -> Request:
    """Read a command set, Implicit VR Little Endian throughout; raises ProtocolViolation for anything else."""
    return _request(context_id, _decode_elements(encoded))


def _request(context_id: int, elements: Mapping[int, bytes]) -> Request:
    field = _number(elements, "CommandField")
    names_itself = "MessageIDBeingRespondedTo" if field == Command.C_CANCEL_RQ else "MessageID"
    role, type_name = _role_of(field), _TYPES.get(field)
    return Request(
        context_id=context_id,
        field=field,
        message_id=_number(elements, names_itself),
        has_data_set=_number(elements, "CommandDataSetType") != _NO_DATA_SET,
        sop_class_uid=_text(elements, f"{role}SOPClassUID"),
        sop_instance_uid=_text(elements, f"{role}SOPInstanceUID"),
        type_id=None if type_name is None else _number(elements, type_name),
    )


def encode_request(request: Request) -> bytes:
    """Return the command set of a request (PS3.7 9.3.1.1, 9.3.5.1, 10.3.1.1, 10.3.5.1); all have one priority."""
    role, type_name = _role_of(request.field), _TYPES.get(request.field)
    values: dict[str, int | str] = {
        f"{role}SOPClassUID": request.sop_class_uid,
        "CommandField": request.field,
        "MessageID": request.message_id,
        "CommandDataSetType": _WITH_DATA_SET if request.has_data_set else _NO_DATA_SET,
        f"{role}SOPInstanceUID": request.sop_instance_uid,
    }
    if request.field == Command.C_STORE_RQ:
        values["Priority"] = _MEDIUM
    if type_name is not None and request.type_id is not None:
        values[type_name] = request.type_id
    return _encode_command(values)


def encode_response(request: Request, status: int, comment: str = "") -> bytes:
    """Return the command set that answers a request; it names what the request named.

    PS3.7 9.3.1.2, 9.3.5.2, 10.3.1.2, 10.3.5.2.
    """
    type_name = _TYPES.get(request.field)
    values: dict[str, int | str] = {
        "AffectedSOPClassUID": request.sop_class_uid,
        "CommandField": request.field | _IS_RESPONSE,
        "MessageIDBeingRespondedTo": request.message_id,
        "CommandDataSetType": _NO_DATA_SET,
        "Status": status,
        "ErrorComment": comment,
        "AffectedSOPInstanceUID": request.sop_instance_uid,
    }
    if type_name is not None and request.type_id is not None:
        values[type_name] = request.type_id
    return _encode_command(values)


def _encode_command(values: Mapping[str, int | str]) -> bytes:
    """Return the elements that have a value, in the order of their tags, with the group length before them."""
    stated = sorted((keyword for keyword, value in values.items() if value != ""), key=_ELEMENTS.__getitem__)
    encoded = b"".join(_encode_element(keyword, values[keyword]) for keyword in stated)
    return _ELEMENT.pack(0, _GROUP_LENGTH, 4) + struct.pack("<I", len(encoded)) + encoded


def _decode_elements(encoded: bytes | bytearray) -> dict[int, bytes]:
    """Return each element's value by its number within group 0000."""
    elements: dict[int, bytes] = {}
    at = 0
    while at < len(encoded):
        if at + _ELEMENT.size > len(encoded):
            raise _violation("element whose header runs past the end")
        group, element, length = _ELEMENT.unpack_from(encoded, at)
        at += _ELEMENT.size
        if group != 0 or element in elements or at + length > len(encoded):
            raise _violation("element of another group, that repeats, or that runs past the end")
        elements[element] = bytes(encoded[at : at + length])
        at += length
    return elements


def _encode_element(keyword: str, value: int | str) -> bytes:
    """Encode a number as US and text as UI or LO, padded to even length (PS3.5 6.2)."""
    if isinstance(value, int):
        encoded = struct.pack("<H", value)
    else:
        encoded = value.encode("latin-1")
        encoded += (b"\0" if _REPRESENTATIONS[keyword] == "UI" else b" ") * (len(encoded) % 2)
    return _ELEMENT.pack(0, _ELEMENTS[keyword], len(encoded)) + encoded


def _number(elements: Mapping[int, bytes], keyword: str) -> int:
    value = elements.get(_ELEMENTS[keyword], b"")
    if len(value) != 2:
        raise _violation(f"{keyword} of {len(value)} bytes, expected 2")
    return int.from_bytes(value, "little")


def _role_of(field: int) -> str:
    """Return whose SOP class and instance a request names: one that is there, or one it affects (PS3.7 10.3.5)."""
    return "Requested" if field == Command.N_ACTION_RQ else "Affected"


def _text(elements: Mapping[int, bytes], keyword: str) -> str:
    """Return a text letter by letter as sent; whether a UID is one is judged later, for the answer names it too."""
    return elements.get(_ELEMENTS[keyword], b"").rstrip(b"\0 ").decode("latin-1")


def _violation(found: str) -> ProtocolViolation:
    return ProtocolViolation(f"command set: {found}", AbortReason.INVALID_PARAMETER)
