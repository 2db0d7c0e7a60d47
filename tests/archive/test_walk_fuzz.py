"""Admission under bytes that nobody meant: kept or refused by name, never a crash, a hang or a torn file."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pydicom
import pytest
from hunt import SECONDS, for_seconds, hunt, hunting
from mutated import mutated
from pydicom import dcmread, uid
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from node.archive import AnnouncedInstance, Archive
from node.errors import ArchiveError
from node.studies.header import select_header, stated_text
from node.vocabulary import study_identity

pytestmark = pytest.mark.filterwarnings("ignore")

FOUND = Path(__file__).parent / "found"
SYNTAXES = (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.RLELossless)
CLASS_UID, INSTANCE_UID = str(uid.CTImageStorage), "1.2.3.4"
LONG_DATA_SETS = int(os.environ.get("RADNODE_FUZZ_DATA_SETS", "1000000"))
LONG_SEED = int(os.environ.get("RADNODE_FUZZ_SEED", "0"))

# Pixel data with an empty offset table and one fragment (PS3.5 A.4).
_FRAGMENTS = (
    b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0"
    b"\xfe\xff\x00\xe0\x04\0\0\0\1\2\3\4" + b"\xfe\xff\xdd\xe0\0\0\0\0"
)  # fmt: skip


def whole_set(depth: int = 3) -> Dataset:
    """Return a data set with something of everything: sequences, codes, private elements, UN, numbers, text."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 149"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = CLASS_UID, INSTANCE_UID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", "1.2.3"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Hong^Gildong", "P1", "19700101"
    dataset.Modality, dataset.InstanceNumber, dataset.ImageType = "CT", 7, ["ORIGINAL", "PRIMARY"]
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [1.5, -2, 3], [1, 0, 0, 0, 1, 0]
    dataset.Rows, dataset.Columns, dataset.EchoTime = 4, 4, 2.5
    inner = dataset
    for number in range(depth):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = f"{number}", "SCT", "Lung"
        inner.AnatomicRegionSequence = Sequence([item, Dataset()])
        inner["AnatomicRegionSequence"].is_undefined_length = number % 2 == 0
        inner = item
    block = dataset.private_block(0x0009, "A MAKER", create=True)
    block.add_new(1, "UN", b"\1\2\3\4")
    dataset.add_new(0x7FE00010, "OW", bytes(range(32)))
    return dataset


@cache
def seeds(syntax: str) -> tuple[bytes, ...]:
    """Return valid data sets in a transfer syntax, all of the same instance."""
    encoded = []
    for depth in (0, 3, 20):
        file = DicomBytesIO()
        file.is_little_endian = uid.UID(syntax).is_little_endian
        file.is_implicit_VR = uid.UID(syntax).is_implicit_VR
        dataset = whole_set(depth)
        if uid.UID(syntax).is_encapsulated:
            del dataset.PixelData
        write_dataset(file, dataset)
        encoded.append(file.getvalue() + (_FRAGMENTS if uid.UID(syntax).is_encapsulated else b""))
    return tuple(encoded)


def admit(archive: Archive, encoded: bytes, syntax: str) -> bool:
    """Admit a data set as the receiver does, up to its row; return whether it was kept."""
    try:
        received = archive.keep(AnnouncedInstance(CLASS_UID, INSTANCE_UID, syntax), encoded)
    except ArchiveError:
        return False
    archive.settle(received)
    path = archive.path_of(received.path)
    assert received.sha256 == hashlib.sha256(encoded).hexdigest()
    assert archive.examine(received.path).sha256 == received.sha256
    row = (select_header(received.header), vars(study_identity(received.header)))
    json.dumps(row).encode()
    texts = (stated_text(received.header, keyword) for keyword in ("StudyDescription", "SeriesDescription", "Modality"))
    for text in (*row[1].values(), *texts):
        text.encode()
    dcmread(path)
    path.unlink()
    return True


@pytest.fixture(scope="module", autouse=True)
def silent_pydicom() -> Iterator[None]:
    """Let pydicom warn of nothing, as it does in the node."""
    level, mode = logging.getLogger("pydicom").level, pydicom.config.settings.reading_validation_mode
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    yield
    logging.getLogger("pydicom").setLevel(level)
    pydicom.config.settings.reading_validation_mode = mode


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return Archive(tmp_path_factory.mktemp("fuzz"))


def mutate(chance: random.Random) -> tuple[str, bytes]:
    """Return a transfer syntax, and a data set in it that was changed in up to four places."""
    syntax = chance.choice(SYNTAXES)
    return syntax, mutated(chance.choice(seeds(syntax)), chance)


def keep(found: tuple[str, bytes], seed: int) -> Path:
    syntax, encoded = found
    end = "0" if syntax == uid.ImplicitVRLittleEndian else syntax.removeprefix(f"{uid.ImplicitVRLittleEndian}.")
    path = FOUND / f"seed{seed}-{end}.bin"
    path.write_bytes(encoded)
    return path


def attempts(archive: Archive, seeds: Iterator[int]) -> Iterator[int]:
    """Admit data sets changed anywhere, and give 1 for each that was kept, 0 for each that was refused."""

    def take(made: tuple[str, bytes]) -> int:
        kept = admit(archive, made[1], made[0])
        assert not list(archive.path_of("incoming").iterdir())
        return kept

    with hunting():
        yield from hunt(seeds, mutate, take, keep)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_the_fuzz_begins_with_is_kept(archive: Archive, syntax: str) -> None:
    assert all(admit(archive, encoded, syntax) for encoded in seeds(syntax))


def test_a_data_set_changed_anywhere_is_kept_or_refused(archive: Archive) -> None:
    assert set(attempts(archive, for_seconds(SECONDS))) == {0, 1}


@pytest.mark.long
@pytest.mark.timeout(0)
def test_a_million_data_sets_changed_anywhere_are_kept_or_refused(
    archive: Archive, note_figures: Callable[..., None]
) -> None:
    kept = sum(attempts(archive, iter(range(LONG_SEED, LONG_SEED + LONG_DATA_SETS))))
    note_figures(first_seed=LONG_SEED, data_sets=LONG_DATA_SETS, kept=kept)


@pytest.mark.parametrize("path", sorted(FOUND.glob("*.bin")), ids=lambda path: path.stem)
def test_what_a_fuzz_once_found_is_refused(archive: Archive, path: Path) -> None:
    """Each file is named `what-syntax.bin`, after the end of its transfer syntax UID, "0" for implicit VR."""
    end = path.stem.rsplit("-", 1)[1]
    syntax = uid.ImplicitVRLittleEndian if end == "0" else f"{uid.ImplicitVRLittleEndian}.{end}"
    assert not admit(archive, path.read_bytes(), syntax)
    assert not list(archive.path_of("incoming").iterdir())
