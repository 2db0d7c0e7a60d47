"""The UIDs of an instance: read as they are encoded, and refused where they are none or not those announced."""

from __future__ import annotations

import pytest

from node.archive.identity import InstanceIdentity, check_uid, identify_instance
from node.errors import InstanceMismatch, MalformedInstance

TAGS = (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)
IDENTITY = InstanceIdentity("1.2", "1.2.3", "1.4", "1.5")


def values(**changes: bytes) -> dict[int, bytes]:
    encoded = {"sop_class": b"1.2\0", "instance": b"1.2.3\0", "study": b"1.4 ", "series": b"1.5"} | changes
    return dict(zip(TAGS, encoded.values(), strict=True))


def test_the_four_uids_are_read_each_from_its_tag_without_padding() -> None:
    assert InstanceIdentity.tags() == frozenset(TAGS)
    assert identify_instance(values()) == IDENTITY


@pytest.mark.parametrize(
    ("changes", "keyword"),
    [
        ({"sop_class": b""}, "SOPClassUID"),
        ({"instance": b"\0"}, "SOPInstanceUID"),
        ({"study": b" "}, "StudyInstanceUID"),
        ({"series": b"\0 \0"}, "SeriesInstanceUID"),
    ],
)
def test_an_empty_uid_is_missing(changes: dict[str, bytes], keyword: str) -> None:
    with pytest.raises(InstanceMismatch, match=rf"^{keyword}: found none, expected a UID"):
        identify_instance(values(**changes))


@pytest.mark.parametrize("tag", TAGS)
def test_a_uid_that_is_left_out_is_missing(tag: int) -> None:
    with pytest.raises(InstanceMismatch, match="found none"):
        identify_instance({other: value for other, value in values().items() if other != tag})


@pytest.mark.parametrize("value", [b"..", b"../../x", b"1.2x", b"1.2\xff", b"1.2 3", b" 1.2", b"1.2\0\0003"])
def test_an_encoded_value_that_is_no_uid_is_refused(value: bytes) -> None:
    with pytest.raises(MalformedInstance, match=r"^StudyInstanceUID: found [0-9]+ characters that are no UID"):
        identify_instance(values(study=value))


@pytest.mark.parametrize("value", ["0", "1.2", "1.02.3", "1" * 64, "1." * 31 + "11"])
def test_digits_and_single_dots_up_to_sixty_four_are_a_uid(value: str) -> None:
    check_uid("SOPInstanceUID", value)


@pytest.mark.parametrize("value", ["", ".", "1.", ".1", "1..2", "1" * 65, "1.2\n", "1.a", "1/2", "\u0661.\u0662"])
def test_anything_else_is_none(value: str) -> None:
    with pytest.raises(MalformedInstance, match=rf"^SOPInstanceUID: found {len(value)} characters .* up to 64 digits"):
        check_uid("SOPInstanceUID", value)


def test_what_the_command_announced_must_be_what_came() -> None:
    IDENTITY.require("1.2", "1.2.3")
    with pytest.raises(InstanceMismatch, match=r"^SOPClassUID: found 1\.2 in the data set, expected 1\.3 as"):
        IDENTITY.require("1.3", "1.2.3")
    with pytest.raises(InstanceMismatch, match=r"^SOPInstanceUID: found 1\.2\.3 in the data set, expected 1\.2\.4 as"):
        IDENTITY.require("1.2", "1.2.4")
