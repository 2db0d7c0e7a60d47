"""The four UIDs an instance must have, checked before anything else may rely on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword

from node.errors import InstanceMismatch, MalformedInstance

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64


def check_uid(name: str, value: str) -> None:
    """Raise MalformedInstance unless `value` is digits and single dots, 64 at most (PS3.5 9.1).

    Zeros that lead a component are let pass: real senders write them. The message does not quote the
    value, which may be anything, a name included.
    """
    if len(value) > _LONGEST_UID or not _UID.fullmatch(value):
        raise MalformedInstance(
            f"{name}: found {len(value)} characters that are no UID, expected up to {_LONGEST_UID} digits and "
            "single dots; correct it at the sender"
        )


@dataclass(frozen=True)
class InstanceIdentity:
    """The UIDs that place an instance: its class, itself, its study and its series."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str

    @staticmethod
    def tags() -> frozenset[int]:
        """Return the tags the UIDs are read from."""
        return _WANTED

    def require(self, sop_class_uid: str, sop_instance_uid: str) -> None:
        """Raise InstanceMismatch unless the C-STORE command named this class and instance."""
        for name, announced, found in (
            ("SOPClassUID", sop_class_uid, self.sop_class_uid),
            ("SOPInstanceUID", sop_instance_uid, self.sop_instance_uid),
        ):
            if announced != found:
                raise InstanceMismatch(
                    f"{name}: found {found} in the data set, expected {announced} as in the C-STORE command; "
                    "correct it at the sender"
                )


def identify_instance(values: Mapping[int, bytes]) -> InstanceIdentity:
    """Return the UIDs from their encoded values, by tag.

    Raises InstanceMismatch for one that is missing or empty, MalformedInstance for one that is no UID.
    """
    return InstanceIdentity(*(_uid(keyword, values.get(tag, b"")) for keyword, tag in _TAGS.items()))


def _uid(keyword: str, encoded: bytes) -> str:
    value = encoded.rstrip(b"\0 ").decode("ascii", errors="backslashreplace")
    if not value:
        raise InstanceMismatch(f"{keyword}: found none, expected a UID; correct it at the sender")
    check_uid(keyword, value)
    return value


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return tag


_TAGS = {
    keyword: _tag(keyword) for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
}
_WANTED = frozenset(_TAGS.values())
