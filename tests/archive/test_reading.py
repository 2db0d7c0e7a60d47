"""A kept file is read as pydicom reads it, from the walk, and its pixels only when they are asked for."""

from __future__ import annotations

import pickle
import struct
from copy import copy, deepcopy
from io import BytesIO
from pathlib import Path

import pytest
from dcmtk import data_set_bytes, transfer_syntax
from pydicom import dcmread, uid
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite, write_dataset

from node.archive import AnnouncedInstance, Archive
from node.archive.durability import Unflushed
from node.archive.outline import OutlineReader
from node.archive.reading import read_dataset
from node.errors import ArchiveError, MalformedInstance
from node.plain_values import transfer_syntax_of

pytestmark = pytest.mark.filterwarnings("ignore")


PIXELS = bytes(range(8))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def tiny_instance(private: bytes = b"") -> tuple[AnnouncedInstance, bytes]:
    """A CT of 2 by 2 pixels, with something private in it."""
    head, tail = Dataset(), Dataset()
    head.SOPClassUID, head.SOPInstanceUID = uid.CTImageStorage, "1.2.3.4"
    tail.PatientID, tail.StudyInstanceUID, tail.SeriesInstanceUID = "P1", "1.2", "1.2.3"
    tail.Rows = tail.Columns = 2
    tail.add_new(0x7FE00010, "OW", PIXELS)
    encoded = encode(head) + private + encode(tail)
    return AnnouncedInstance(uid.CTImageStorage, "1.2.3.4", uid.ExplicitVRLittleEndian), encoded


def encode(dataset: Dataset) -> bytes:
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, False
    write_dataset(file, dataset)
    return file.getvalue()


@pytest.fixture(scope="module")
def kept(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What the archive takes of the real images, as it lies there."""
    root = tmp_path_factory.mktemp("archive")
    archive = Archive(root, durability=Unflushed(root))
    paths = []
    for path in sorted((shared / "data" / "dicom_misc").glob("*.dcm")):
        try:
            paths.append(archive.path_of(archive.keep(announced(path), data_set_bytes(path)).path))
        except (ArchiveError, InvalidDicomError, AttributeError):
            continue
    return paths


def announced(path: Path) -> AnnouncedInstance:
    stated = dcmread(path, specific_tags=["SOPClassUID", "SOPInstanceUID"])
    return AnnouncedInstance(stated.SOPClassUID, stated.SOPInstanceUID, transfer_syntax(path))


def as_list(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def same(found: DataElement, expected: DataElement) -> bool:
    if isinstance(expected.value, bytes):
        return found.value == expected.value
    return repr(found.value) == repr(expected.value)  # of which no number differs from itself


@pytest.mark.parametrize("pixels", [True, False])
def test_every_real_file_is_what_pydicom_reads(kept: list[Path], pixels: bool) -> None:
    outlines = OutlineReader(is_admitting=False)
    for path in kept:
        found, expected = read_dataset(str(path), outlines, pixels=pixels), dcmread(path, stop_before_pixels=not pixels)
        assert found.file_meta.TransferSyntaxUID == expected.file_meta.TransferSyntaxUID
        assert found.original_encoding == expected.original_encoding
        assert as_list(found.original_character_set) == as_list(expected.original_character_set)
        tags = [tag for tag in list(expected.keys()) if pixels or tag < 0x7FE00008]
        assert list(found.keys()) == tags
        assert [tag for tag in tags if not same(found[tag], expected[tag])] == [], path.name
    assert len(kept) > 150


def test_pixels_stay_in_the_file_until_they_are_asked_for(archive: Archive) -> None:
    path = archive.path_of(archive.keep(*tiny_instance()).path)
    dataset = read_dataset(str(path), OutlineReader(is_admitting=False), pixels=True)
    assert dataset.get_item("PixelData", keep_deferred=True).value is None
    assert dataset.PixelData == PIXELS
    assert "PixelData" not in read_dataset(str(path), OutlineReader(is_admitting=False), pixels=False)


def test_a_kept_data_set_is_a_data_set_of_pydicom_in_every_copy(archive: Archive) -> None:
    kept = archive.keep(*tiny_instance())
    for copied in (copy, deepcopy, lambda dataset: pickle.loads(pickle.dumps(dataset))):
        found = copied(archive.read(kept.path))
        assert transfer_syntax_of(found) == found.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
        assert found.file_meta.MediaStorageSOPInstanceUID == "1.2.3.4"
        assert found.PixelData == PIXELS
        found.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian
        assert transfer_syntax_of(found) == uid.ImplicitVRLittleEndian
        found.file_meta = FileMetaDataset()
        assert transfer_syntax_of(found) is None
    assert transfer_syntax_of(Dataset()) is None


def test_a_torn_file_is_refused(archive: Archive) -> None:
    path = archive.path_of(archive.keep(*tiny_instance()).path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(MalformedInstance, match="runs past its end"):
        archive.read(str(path.relative_to(archive.path_of("."))))


def test_a_result_of_another_head_is_read_too(archive: Archive) -> None:
    made = Dataset()
    made.SOPInstanceUID, made.PatientID = "1.2.3", "P1"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = uid.SegmentationStorage, "1.2.3"
    file = BytesIO()
    dcmwrite(file, made, enforce_file_format=True)
    assert archive.read(archive.store_result(file.getvalue())[0]).PatientID == "P1"


def test_a_sequence_that_is_written_as_unknown_is_one(archive: Archive) -> None:
    """As pydicom takes such a one of an undefined length."""
    inner = struct.pack("<HHL", 0x0010, 0x4000, 4) + b"ABCD"
    items = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    unknown = struct.pack("<HH2s2xL", 0x0009, 0x1001, b"UN", 0xFFFFFFFF) + items
    kept = archive.keep(*tiny_instance(unknown))
    assert archive.read(kept.path)[0x00091001].value[0].PatientComments == "ABCD"
