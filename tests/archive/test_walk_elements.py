"""Every VR, in every way of writing elements, is stepped over to the byte."""

from __future__ import annotations

import struct

import pytest
from pydicom import uid

from node.archive.walk import UNDEFINED, Element, Encoding, is_sequence, read_element, walk_dataset
from node.errors import MalformedInstance

SYNTAXES = {"<": uid.ExplicitVRLittleEndian, ">": uid.ExplicitVRBigEndian}
# PS3.5 Tables 7.1-2 and 7.1-1, but for SQ.
SHORT = (
    *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO"),
    *("LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
)
LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SV", "UC", "UN", "UR", "UT", "UV")
PRIVATE = (0x0009, 0x1001)
NEXT = (0x0009, 0x1002)
PIXEL_DATA = (0x7FE0, 0x0010)
SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def element(tag: tuple[int, int], vr: str, value: bytes, order: str = "<", length: int | None = None) -> bytes:
    stated = len(value) if length is None else length
    if vr in SHORT:
        return struct.pack(f"{order}HH2sH", *tag, vr.encode(), stated) + value
    return struct.pack(f"{order}HH2s2xL", *tag, vr.encode(), stated) + value


def item(content: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}HHL", 0xFFFE, 0xE000, len(content)) + content


def number(tag: tuple[int, int]) -> int:
    return tag[0] << 16 | tag[1]


@pytest.mark.parametrize("order", SYNTAXES)
@pytest.mark.parametrize("vr", [*SHORT, *LONG])
def test_an_element_of_any_vr_is_stepped_over_whatever_it_holds(vr: str, order: str) -> None:
    value = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"  # which would be the start of an item
    head = 8 if vr in SHORT else 12
    encoded = element(PRIVATE, vr, value, order) + element(NEXT, vr, b"", order)
    assert walk_dataset(encoded, SYNTAXES[order]) == [
        Element(number(PRIVATE), vr.encode(), head, 8),
        Element(number(NEXT), vr.encode(), head + 8 + head, 0),
    ]


@pytest.mark.parametrize("order", SYNTAXES)
def test_a_sequence_with_a_length_is_looked_into(order: str) -> None:
    whole = element(PRIVATE, "SQ", item(element(NEXT, "LO", b"AB", order), order), order)
    assert walk_dataset(whole, SYNTAXES[order]) == [Element(number(PRIVATE), b"SQ", 12, 18)]
    with pytest.raises(MalformedInstance, match="runs past its end"):
        walk_dataset(element(PRIVATE, "SQ", item(element(NEXT, "LO", b"AB", order, 4), order), order), SYNTAXES[order])


@pytest.mark.parametrize("vr", [vr for vr in LONG if vr not in {"OB", "OW", "UN"}])
def test_a_vr_that_must_state_its_length_is_refused_without(vr: str) -> None:
    with pytest.raises(MalformedInstance, match="undefined length, which its VR does not allow"):
        walk_dataset(element(PRIVATE, vr, SEQUENCE_END, length=UNDEFINED), SYNTAXES["<"])


@pytest.mark.parametrize("vr", ["SQ", *(vr for vr in LONG if vr not in {"OB", "OW"})])
def test_pixel_data_of_another_vr_must_state_its_length(vr: str) -> None:
    """As a sequence pydicom would read it, and fail, or hand on something that is none."""
    with pytest.raises(MalformedInstance, match=r"\(7FE0,0010\) has an undefined length, which its VR does not allow"):
        walk_dataset(element(PIXEL_DATA, vr, item(b"") + SEQUENCE_END, length=UNDEFINED), SYNTAXES["<"])


@pytest.mark.parametrize(("tag", "vr"), [(PRIVATE, "OB"), (PRIVATE, "OW"), (PIXEL_DATA, "OW"), (PIXEL_DATA, "OB")])
def test_fragments_are_stepped_over_and_not_looked_into(tag: tuple[int, int], vr: str) -> None:
    fragments = item(b"") + item(b"no elements.")
    encoded = element(tag, vr, fragments + SEQUENCE_END, length=UNDEFINED)
    assert walk_dataset(encoded, SYNTAXES["<"]) == [Element(number(tag), vr.encode(), 12, len(fragments), is_open=True)]


@pytest.mark.parametrize("vr", [*SHORT, *LONG, None])
def test_items_of_a_sequence_written_as_un_may_be_explicit_all_the_same(vr: str | None) -> None:
    """A VR there is taken for one; without one (PS3.5 6.2.2, note 4) the item is implicit."""
    inner = struct.pack("<HHL", *NEXT, 2) + b"AB" if vr is None else element(NEXT, vr, b"AB")
    encoded = element(PRIVATE, "UN", item(inner) + SEQUENCE_END, length=UNDEFINED)
    assert walk_dataset(encoded, SYNTAXES["<"]) == [Element(number(PRIVATE), b"UN", 12, len(item(inner)), is_open=True)]


def test_items_elsewhere_are_written_as_what_holds_them() -> None:
    implicit = struct.pack("<HHL", *NEXT, 2) + b"LO"
    with pytest.raises(MalformedInstance):
        walk_dataset(element(PRIVATE, "SQ", item(struct.pack("<HHL", *NEXT, 0x4F4C) + b"AB")), SYNTAXES["<"])
    assert walk_dataset(struct.pack("<HHL", 0x0040, 0xA730, 18) + item(implicit), uid.ImplicitVRLittleEndian) == [
        Element(0x0040A730, None, 8, 18)
    ]


def test_a_length_that_spells_a_vr_is_a_length_where_no_vr_is_written() -> None:
    """A sequence of VR UN has none in its items unless their first element shows one."""
    spelt = struct.pack("<HHL", *NEXT, 0x4F4C) + bytes(0x4F4C)  # LO, and behind it an empty value
    content = item(spelt)
    assert walk_dataset(struct.pack("<HHL", 0x0040, 0xA730, len(content)) + content, uid.ImplicitVRLittleEndian) == [
        Element(0x0040A730, None, 8, len(content))
    ]
    content = item(struct.pack("<HHL", *PRIVATE, 2) + b"AB" + spelt)
    written_as_un = element(PRIVATE, "UN", content + SEQUENCE_END, length=UNDEFINED)
    assert walk_dataset(written_as_un, SYNTAXES["<"]) == [
        Element(number(PRIVATE), b"UN", 12, len(content), is_open=True)
    ]


@pytest.mark.parametrize("length", [b"lo", b"A1", b"1A"])
def test_a_length_that_spells_no_vr_shows_an_element_without_one(length: bytes) -> None:
    value = bytes(int.from_bytes(length, "little"))
    encoded = struct.pack("<HH2s2x", *PRIVATE, length) + value + element(NEXT, "LO", b"AB")
    assert walk_dataset(encoded, SYNTAXES["<"]) == [
        Element(number(PRIVATE), None, 8, len(value)),
        Element(number(NEXT), b"LO", 8 + len(value) + 8, 2),
    ]


@pytest.mark.parametrize("group", [0x0000, 0x0002, 0x0004, 0x0006])
def test_groups_that_no_data_set_holds_are_refused_within_one(group: int) -> None:
    with pytest.raises(MalformedInstance, match="does not belong in a data set"):
        walk_dataset(element((group, 0x0010), "LO", b"AB") + element(PRIVATE, "LO", b"AB"), SYNTAXES["<"])


@pytest.mark.parametrize("missing_bytes", range(1, 12))
def test_a_last_element_whose_header_is_cut_is_refused_and_a_whole_one_is_kept(missing_bytes: int) -> None:
    encoded = element(PRIVATE, "LO", b"AB") + element(NEXT, "UT", b"")
    assert len(walk_dataset(encoded, SYNTAXES["<"])) == 2
    with pytest.raises(MalformedInstance, match="cut off"):
        walk_dataset(encoded[:-missing_bytes], SYNTAXES["<"])


@pytest.mark.parametrize(("depth", "is_kept"), [(32, True), (33, False)])
@pytest.mark.parametrize("is_open", [True, False])
def test_sequences_may_lie_thirty_two_deep(depth: int, is_kept: bool, is_open: bool) -> None:
    encoded = b""
    for _ in range(depth):
        content = item(encoded)
        length = UNDEFINED if is_open else len(content)
        encoded = element(PRIVATE, "SQ", content + SEQUENCE_END * is_open, length=length)
    if is_kept:
        assert len(walk_dataset(encoded, SYNTAXES["<"])) == 1
    else:
        with pytest.raises(MalformedInstance, match="nested more than 32 deep"):
            walk_dataset(encoded, SYNTAXES["<"])


@pytest.mark.parametrize("start", [0, 6])
def test_an_offset_counts_from_where_the_data_set_begins(start: int) -> None:
    encoded = bytes(start) + element(NEXT, "LO", b"AB") + element(PRIVATE, "LO", b"AB")
    with pytest.raises(MalformedInstance, match=r"^data set, byte 10: "):
        walk_dataset(encoded, SYNTAXES["<"], start)


@pytest.mark.parametrize("order", SYNTAXES)
def test_what_the_walk_has_found_can_be_read_again_where_it_lies(order: str) -> None:
    explicit = element(NEXT, "UT", b"AB", order) + element(PIXEL_DATA, "OW", b"CDEF", order)
    implicit = struct.pack(f"{order}HHL", *NEXT, 2) + b"ABCD"
    is_little = order == "<"
    assert read_element(explicit, 14, Encoding(is_implicit=False, is_little=is_little)) == Element(
        number(PIXEL_DATA), b"OW", 26, 4
    )
    assert read_element(implicit, 0, Encoding(is_implicit=True, is_little=is_little)) == Element(
        number(NEXT), None, 8, 2
    )


def test_a_sequence_of_implicit_vr_that_states_its_length_is_looked_into() -> None:
    """Only the dictionary tells that it is one; a value of another tag may hold anything."""
    torn = item(struct.pack("<HHL", *NEXT, 4) + b"AB")
    value = struct.pack("<L", len(torn)) + torn
    assert len(walk_dataset(struct.pack("<HH", 0x0040, 0xA160) + value, uid.ImplicitVRLittleEndian)) == 1
    with pytest.raises(MalformedInstance, match="runs past its end"):
        walk_dataset(struct.pack("<HH", 0x0040, 0xA730) + value, uid.ImplicitVRLittleEndian)


@pytest.mark.parametrize(
    ("tag", "vr", "is_one"),
    [
        (0x00091001, b"SQ", True),
        (0x0040A730, b"LO", False),
        (0x0040A730, b"UN", False),  # only one without a length may be made of items
        (0x0040A730, None, True),
        (0x0040A160, None, False),
    ],
)
def test_a_sequence_is_one_by_its_vr_or_where_none_is_written_by_its_tag(
    tag: int, vr: bytes | None, is_one: bool
) -> None:
    assert is_sequence(Element(tag, vr, 12, 8)) is is_one


@pytest.mark.parametrize("last_byte", [0, 1, ord("x")])
@pytest.mark.parametrize("padding_bytes", [8, (1 << 20) - 1, 1 << 20, (2 << 20) + 8])
def test_padding_is_looked_at_to_its_last_byte(padding_bytes: int, last_byte: int) -> None:
    encoded = element(PRIVATE, "LO", b"AB") + bytes(padding_bytes) + bytes([last_byte])
    if last_byte:
        with pytest.raises(MalformedInstance, match="does not belong in a data set"):
            walk_dataset(encoded, SYNTAXES["<"])
    else:
        assert len(walk_dataset(encoded, SYNTAXES["<"])) == 1
