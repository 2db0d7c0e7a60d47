"""A header like the one before is read by what both have in common, and is what the walk alone would find."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from dcmtk import data_set_bytes, transfer_syntax
from hunt import SECONDS, for_seconds, hunt, hunting
from mutated import mutated
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from node.archive.file_head import AnnouncedInstance, encode_file_head
from node.archive.outline import Outline, OutlineReader
from node.archive.walk import walk_dataset
from node.errors import MalformedInstance

pytestmark = pytest.mark.filterwarnings("ignore")

FOUND = Path(__file__).parent / "found"
SYNTAXES = (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian)
EXPLICIT = uid.ExplicitVRLittleEndian


def one_of_a_series(number: int, **stated: object) -> Dataset:
    """Return an instance: text, numbers and a sequence differ, and there is a sequence without a length in all."""
    dataset, same, other = Dataset(), Dataset(), Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID, dataset.SOPInstanceUID = uid.CTImageStorage, f"1.2.{10**number}"
    same.CodeValue = "T-1"
    dataset.AnatomicRegionSequence = Sequence([same])
    dataset["AnatomicRegionSequence"].is_undefined_length = True
    other.ReferencedSOPInstanceUID = f"1.3.{number}"
    dataset.ReferencedImageSequence = Sequence([other])
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.PatientID = "1.2", "1.2.3", "P1"
    dataset.ImagePositionPatient, dataset.InstanceNumber = [0, 0, number * 2.5], number
    dataset.ImageComments = "" if number % 2 else "even"
    dataset.Rows = dataset.Columns = 2
    dataset.add_new(0x7FE00010, "OW", bytes([number] * 8))
    for keyword, value in stated.items():
        setattr(dataset, keyword, value)
    return dataset


def encode(dataset: Dataset, syntax: str = EXPLICIT) -> bytes:
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = uid.UID(syntax).is_little_endian, uid.UID(syntax).is_implicit_VR
    write_dataset(file, dataset)
    return file.getvalue()


def as_file(encoded: bytes, syntax: str) -> tuple[bytes, str, int]:
    """Return what is given to a reader that admits: a whole file, and where in it the data set begins."""
    head = encode_file_head(AnnouncedInstance(uid.CTImageStorage, "1.2", syntax))
    return head + encoded, syntax, len(head)


@cache
def series(syntax: str) -> tuple[bytes, ...]:
    return tuple(encode(one_of_a_series(number), syntax) for number in range(1, 6))


def taught(syntax: str, count: int = 4) -> OutlineReader:
    """Return a reader that has read the beginning of a series."""
    reader = OutlineReader(is_admitting=False)
    for encoded in series(syntax)[:count]:
        reader.read(encoded, syntax, 0)
    return reader


def alike(found: Outline, expected: Outline) -> bool:
    """Tell whether both say the same, but for where in its file a value of the head lies."""
    heads = [[element._replace(value_tell=0) for element in one.head.values()] for one in (found, expected)]
    return heads[0] == heads[1] and list(found.tail) == list(expected.tail)


def read_afresh(encoded: bytes, syntax: str, start: int = 0) -> Outline:
    return OutlineReader(is_admitting=False).read(encoded, syntax, start)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_third_of_a_series_is_familiar_and_read_alike(syntax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = taught(syntax, count=2)
    encoded = bytes(100) + series(syntax)[4]
    expected = read_afresh(encoded, syntax, 100)
    walked: list[tuple[object, ...]] = []

    # To listen alone: it walks all the same.
    def walk(*given: object) -> list[object]:
        walked.append(given[2:])
        return walk_dataset(*given)

    monkeypatch.setattr("node.archive.outline.walk_dataset", walk)
    found = reader.read(encoded, syntax, 100)
    assert alike(found, expected)
    assert len(expected.opened) == 1
    pixels_at = expected.tail[0].value_at - (8 if uid.UID(syntax).is_implicit_VR else 12)
    assert (len(found.opened), walked[-1]) == (0, (pixels_at,))  # the walk has begun behind the head


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    "changed",
    [
        {"PatientID": "P2"},
        {"SpecificCharacterSet": "ISO_IR 192"},
        {"StudyDescription": "one more"},
        {"Rows": 3},
        {"ReferencedImageSequence": Sequence([])},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_was_the_same_in_all_so_far_may_differ(changed: dict[str, object], syntax: str) -> None:
    reader = taught(syntax)
    for number in (4, 5, 6, 7):
        encoded = encode(one_of_a_series(number, **changed), syntax)
        assert alike(reader.read(encoded, syntax, 0), read_afresh(encoded, syntax))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_series_is_familiar_wherever_in_its_files_it_begins(syntax: str) -> None:
    reader = OutlineReader(is_admitting=False)
    for start, encoded in zip((300, 40, 1000, 7, 300), series(syntax), strict=True):
        outline = reader.read(bytes(start) + encoded, syntax, start)
        assert alike(outline, read_afresh(bytes(start) + encoded, syntax, start))
    assert not outline.opened


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_differs_may_follow_a_sequence_without_a_length(syntax: str) -> None:
    reader = OutlineReader(is_admitting=False)
    for number in range(1, 5):
        encoded = encode(one_of_a_series(number, FrameType=["ORIGINAL", f"{10**number}"]), syntax)
        outline = reader.read(encoded, syntax, 0)
        assert alike(outline, read_afresh(encoded, syntax))
    assert not outline.opened


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("comments", [("one", "two", "three"), ("one", "two", "")])
def test_what_differs_may_end_a_data_set_without_pixels(syntax: str, comments: tuple[str, ...]) -> None:
    reader = OutlineReader(is_admitting=False)
    for number, comment in enumerate(comments, start=1):
        dataset = one_of_a_series(number, ImageComments=comment)
        del dataset.Rows, dataset.Columns, dataset.PixelData
        encoded = encode(dataset, syntax)
        outline = reader.read(encoded, syntax, 0)
        assert alike(outline, read_afresh(encoded, syntax))
    assert not outline.opened


def test_a_sequence_that_calls_itself_unknown_is_looked_at_each_time() -> None:
    """Only pydicom knows how pydicom reads it."""
    reader = OutlineReader(is_admitting=False)
    item = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    unknown = b"\x09\x00\x01\x10UN\x00\x00\xff\xff\xff\xff" + item
    for number in range(1, 5):
        head = b"\x08\x00\x60\x00CS\x02\x00CT" + unknown + b"\x20\x00\x13\x00IS\x02\x00%d " % number
        assert [element.vr for element in reader.read(head, EXPLICIT, 0).opened] == [b"UN"]


@pytest.mark.parametrize("is_admitting", [True, False])
def test_only_who_admits_leaves_long_values_out(is_admitting: bool) -> None:
    dataset = one_of_a_series(1)
    del dataset.AnatomicRegionSequence
    dataset.add_new(0x00420011, "OB", bytes(1 << 17))
    head = OutlineReader(is_admitting=is_admitting).read(encode(dataset), EXPLICIT, 0).head
    assert (0x00420011 in head) is not is_admitting


def test_a_long_value_is_left_out_of_a_familiar_header_too() -> None:
    """Else a document behind a few short ones of its kind would fill the memory."""
    reader = OutlineReader(is_admitting=True)
    for number, length in enumerate((2, 4, 6, 1 << 16, (1 << 16) + 2), start=1):
        dataset = one_of_a_series(number)
        del dataset.AnatomicRegionSequence
        dataset.add_new(0x00420011, "OB", bytes(length))
        head = reader.read(*as_file(encode(dataset), EXPLICIT)).head
        assert (0x00420011 in head) is (length <= 1 << 16)


def test_pixels_of_any_kind_may_follow_a_familiar_header() -> None:
    reader = OutlineReader(is_admitting=False)
    for number in range(1, 5):
        dataset = one_of_a_series(number)
        del dataset.PixelData
        dataset.FloatPixelData = bytes(16)
        outline = reader.read(encode(dataset), EXPLICIT, 0)
        assert [element.tag for element in outline.tail] == [0x7FE00008]
    assert not outline.opened


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_beginning_of_a_familiar_instance_is_enough(syntax: str) -> None:
    encoded, size = bytes(40) + series(syntax)[4], 40 + len(series(syntax)[4])
    shortest = size - (4 if uid.UID(syntax).is_implicit_VR else 8)  # twelve bytes of the pixel data are needed
    for length in range(shortest, size + 1):
        found = taught(syntax).recognise(encoded[:length], syntax, 40, size)
        assert found is not None
        assert alike(found, read_afresh(encoded, syntax, 40))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_beginning_is_not_enough_for_what_may_be_otherwise(syntax: str) -> None:
    encoded, size = series(syntax)[4], len(series(syntax)[4])
    assert OutlineReader(is_admitting=False).recognise(encoded, syntax, 0, size) is None
    assert taught(syntax).recognise(encoded, uid.JPEG2000Lossless, 0, size) is None
    for other_size in (size - 1, size + 1):
        assert taught(syntax).recognise(encoded, syntax, 0, other_size) is None
    for length in range(size - 8):
        found = taught(syntax).recognise(encoded[:length], syntax, 0, size)
        assert found is None or length >= size - 12  # implicit VR has shorter heads of elements
    another = encode(one_of_a_series(7, BitsAllocated=8), syntax)
    assert taught(syntax).recognise(another, syntax, 0, len(another)) is None


@pytest.mark.parametrize(("last", "vr"), [(0x00290010, "OB"), (0x7FE00010, "SQ")])
def test_a_beginning_is_not_enough_for_an_end_of_another_kind(last: int, vr: str) -> None:
    reader = OutlineReader(is_admitting=False)
    for number in range(1, 5):
        dataset = one_of_a_series(number)
        del dataset.PixelData
        encoded = encode(dataset)
        reader.read(encoded, EXPLICIT, 0)
    encoded += struct.pack("<HH2s2xL", last >> 16, last & 0xFFFF, vr.encode(), 100) + bytes(100)
    assert reader.recognise(encoded[:-90], EXPLICIT, 0, len(encoded)) is None


def test_compressed_pixels_are_looked_at_to_their_end() -> None:
    reader = OutlineReader(is_admitting=False)
    for number in range(1, 5):
        dataset = one_of_a_series(number, PixelData=b"\xfe\xff\0\xe0\0\0\0\0")
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        encoded = encode(dataset)
        assert reader.recognise(encoded, EXPLICIT, 0, len(encoded)) is None
        reader.read(encoded, EXPLICIT, 0)
    assert not reader.read(encoded, EXPLICIT, 0).opened


def test_two_series_by_turns_are_read_alike() -> None:
    reader = taught(EXPLICIT)
    for number in range(1, 7):
        encoded = encode(one_of_a_series(number, **({"StudyDescription": "other"} if number % 2 else {})))
        assert alike(reader.read(encoded, EXPLICIT, 0), read_afresh(encoded, EXPLICIT))


def test_the_same_bytes_in_another_transfer_syntax_are_not_familiar() -> None:
    encoded = series(EXPLICIT)[4]
    with pytest.raises(MalformedInstance):
        read_afresh(encoded, uid.ImplicitVRLittleEndian)
    with pytest.raises(MalformedInstance):
        taught(EXPLICIT).read(encoded, uid.ImplicitVRLittleEndian, 0)


def test_a_new_character_set_is_never_a_value_like_another() -> None:
    """With it all text means something else, and pydicom may break on it."""
    reader = OutlineReader(is_admitting=True)
    for number, stated in enumerate(["ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110"], start=1):
        file = as_file(encode(one_of_a_series(number, SpecificCharacterSet=stated)), EXPLICIT)
        assert len(reader.read(*file).opened) == 1


def test_a_header_that_pydicom_cannot_read_is_never_familiar() -> None:
    path = next(FOUND.glob("item_read_otherwise_by_pydicom-*.bin"))
    file = as_file(path.read_bytes(), f"{uid.ImplicitVRLittleEndian}.{path.stem.rsplit('-', 1)[1]}")
    reader = OutlineReader(is_admitting=True)
    for _ in range(4):
        with pytest.raises(MalformedInstance, match="header cannot be read"):
            reader.read(*file)


@pytest.mark.parametrize("too_many_bytes", [0, 2])
def test_a_header_of_more_than_64_kib_is_not_remembered(too_many_bytes: int) -> None:
    reader = OutlineReader(is_admitting=False)
    for _ in range(4):
        dataset = one_of_a_series(1)
        del dataset.PixelData
        size = len(encode(dataset)) + len(b"....OB..long")
        dataset.add_new(0x00291001, "OB", bytes((1 << 16) - size + too_many_bytes))
        encoded = encode(dataset)
        outline = reader.read(encoded, EXPLICIT, 0)
        assert len(encoded) == (1 << 16) + too_many_bytes
    assert len(outline.opened) == (1 if too_many_bytes else 0)


def test_every_real_file_is_read_alike_after_any_other(shared: Path) -> None:
    reader = OutlineReader(is_admitting=False)
    familiar = 0
    for path in sorted((shared / "data" / "dicom_misc").glob("*.dcm")) * 2:
        try:
            encoded, syntax = data_set_bytes(path), transfer_syntax(path)
            expected = read_afresh(encoded, syntax)
        except (MalformedInstance, AttributeError):
            continue
        for _ in range(2):
            found = reader.read(encoded, syntax, 0)
            assert alike(found, expected), path.name
            familiar += found.opened != expected.opened
    assert familiar > 10


def outcome(reader: OutlineReader, encoded: bytes, syntax: str) -> Outline | str:
    try:
        return reader.read(encoded, syntax, 0)
    except MalformedInstance as error:
        return str(error)


def compared(seeds: Iterator[int]) -> Iterator[int]:
    """Read data sets changed anywhere after a series, and give 1 for each that was read, 0 for each refused."""

    def make(chance: random.Random) -> tuple[str, bytes]:
        syntax = chance.choice(SYNTAXES)
        return syntax, mutated(chance.choice(series(syntax)), chance)

    def take(made: tuple[str, bytes]) -> int:
        syntax, encoded = made
        found, expected = outcome(taught(syntax), encoded, syntax), outcome(taught(syntax, 0), encoded, syntax)
        for short in (0, 4, 8, 16):
            known = taught(syntax).recognise(encoded[: len(encoded) - short], syntax, 0, len(encoded))
            assert known is None or (isinstance(expected, Outline) and alike(known, expected))
        if isinstance(expected, str) or isinstance(found, str):
            assert found == expected
            return 0
        assert alike(found, expected)
        return 1

    def keep(made: tuple[str, bytes], seed: int) -> Path:
        path = FOUND / f"outline{seed}-{made[0]}.bin"
        path.write_bytes(made[1])
        return path

    with hunting():
        yield from hunt(seeds, make, take, keep)


def test_a_data_set_changed_anywhere_is_read_as_the_walk_reads_it() -> None:
    assert set(compared(for_seconds(SECONDS))) == {0, 1}
