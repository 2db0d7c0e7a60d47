"""Instances to send: made up, or real ones copied; each turn sends them under UIDs that nobody has seen."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread, uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from node.archive.file_head import AnnouncedInstance, encode_file_head
from node.delivery.parcel import read_parcel

PARTS = 4  # folders, one for each of four associations
AIR_HU, TISSUE_HU, INTERCEPT = -1000, 40, -1024
_ROOT = "1.2.826.0.1.3680043.8.498"
_FIRST_RUN = 10000000  # as many digits as every later run, so that a run is written over another
_HEAD_BYTES = 65536
_RENAMED = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")


class Material:
    """Part 10 files as the archive keeps them, in the folders 0 to 3 of `folder`; UIDs can be changed in place."""

    def __init__(self, folder: Path, datasets: Iterator[Dataset], number: int) -> None:
        """Write the instances, by turns to each folder; materials of one benchmark have numbers from 1 to 8."""
        self.folder = folder
        self.paths: list[Path] = []
        self._run = _FIRST_RUN * (number + 1)
        for place, dataset in enumerate(datasets):
            part = folder / str(place % PARTS)
            part.mkdir(parents=True, exist_ok=True)
            self.paths.append(part / f"{place:05}.dcm")
            dataset.save_as(self.paths[-1], enforce_file_format=True)
            _write_head(self.paths[-1])
        self._places = {path: _places_of(path.read_bytes()[:_HEAD_BYTES]) for path in self.paths}

    @property
    def parts(self) -> list[Path]:
        """Return the folders, which have an equal share each."""
        return sorted(self.folder.iterdir())

    @property
    def described(self) -> str:
        """Return how many instances of which size they are, in words."""
        count = len(self.paths)
        return f"{count} instance{'s' * (count > 1)} of {self.size_bytes / count / 1e6:.2g} MB"

    @property
    def size_bytes(self) -> int:
        """Return how long all files are together."""
        return sum(path.stat().st_size for path in self.paths)

    def renew(self) -> None:
        """Give all instances UIDs that no turn before had, and let the disk come to rest."""
        self._run += 1
        for path in self.paths:
            with path.open("r+b") as file:
                for place in self._places[path]:
                    os.pwrite(file.fileno(), str(self._run).encode(), place)
        os.sync()  # what an earlier turn left to be written must not slow the next one down


def made_up_ct(slices: int, side: int) -> Iterator[Dataset]:
    """Yield the slices of one chest-like CT series, (side, side) int16 with noise, 1 mm apart."""
    rng = np.random.default_rng(1)
    down, across = np.indices((side, side)) / side - 0.5
    body = (down / 0.35) ** 2 + (across / 0.45) ** 2 < 1
    noise = rng.integers(0, 40, (side, side), np.int16)
    for number in range(slices):
        lung = ((np.abs(across) - 0.2) / 0.13) ** 2 + (down / 0.25) ** 2 < np.sin(np.pi * (number + 0.5) / slices)
        hu = np.where(body & ~lung, TISSUE_HU, AIR_HU).astype(np.int16) + np.roll(noise, 7 * number, axis=1)
        dataset = _slice(number, (hu - INTERCEPT).astype(np.int16), (1.0, 350 / side))
        dataset.Modality, dataset.SOPClassUID, dataset.BodyPartExamined = "CT", uid.CTImageStorage, "CHEST"
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, INTERCEPT, "HU"
        dataset.KVP, dataset.ImageType = 120, ["ORIGINAL", "PRIMARY", "AXIAL"]
        yield _named(dataset, number)


def made_up_mr(instances: int) -> Iterator[Dataset]:
    """Yield small slices, 64 by 64, of one MR series."""
    pixels = np.random.default_rng(2).integers(0, 1000, (64, 64), np.int16)
    for number in range(instances):
        dataset = _slice(number, np.roll(pixels, number, axis=0), (2.0, 3.0))
        dataset.Modality, dataset.SOPClassUID, dataset.BodyPartExamined = "MR", uid.MRImageStorage, "HEAD"
        dataset.ImageType, dataset.EchoTime, dataset.RepetitionTime = ["ORIGINAL", "PRIMARY", "M"], 3, 600
        yield _named(dataset, number)


def made_up_frames(frames: int, side: int) -> Iterator[Dataset]:
    """Yield one multi-frame instance of so many frames of (side, side) 16-bit pixels."""
    dataset = _slice(0, np.tile(np.arange(side, dtype=np.int16), (frames, side, 1)), (1.0, 1.0))
    dataset.Modality, dataset.SOPClassUID = "OT", uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    dataset.NumberOfFrames, dataset.ConversionType = frames, "WSD"
    yield _named(dataset, 0)


def copied(paths: Sequence[Path]) -> Iterator[Dataset]:
    """Yield real instances of one series under UIDs of ours."""
    for number, path in enumerate(paths):
        yield _named(dcmread(path), number)


def compressed(datasets: Iterable[Dataset], transfer_syntax: UID) -> Iterator[Dataset]:
    """Yield the same instances with their pixels in another transfer syntax; compressed ones are unpacked first."""
    for dataset in datasets:
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            dataset.decompress()
        _compress(dataset, transfer_syntax)
        yield dataset


def _compress(dataset: Dataset, transfer_syntax: UID) -> None:
    if transfer_syntax != uid.JPEGLosslessSV1:
        dataset.compress(transfer_syntax, generate_instance_uid=False)
        return
    stream = imagecodecs.jpeg8_encode(
        dataset.pixel_array.view(f"u{dataset.BitsAllocated // 8}"),
        lossless=True,
        predictor=1,
        bitspersample=dataset.BitsAllocated,
    )
    dataset.PixelData = encapsulate([bytes(stream)])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = transfer_syntax


def _slice(number: int, pixels: NDArray[np.int16], spacing_mm: tuple[float, float]) -> Dataset:
    """Return what slices of any modality have; the spacing is between slices and between pixels."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName, dataset.PatientID = "Bench^Made", "BENCH-1"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "1", "B1", ""
    dataset.StudyDate, dataset.StudyTime, dataset.Manufacturer = "20260102", "101112", "radnode"
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.PatientPosition = 1, number + 1, "HFS"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.ImagePositionPatient = [0.0, 0.0, number * spacing_mm[0]]
    dataset.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    dataset.PixelSpacing, dataset.SliceThickness = [round(spacing_mm[1], 4)] * 2, spacing_mm[0]
    dataset.PositionReferenceIndicator = ""
    dataset.PixelData = pixels.tobytes()
    return dataset


def _named(dataset: Dataset, number: int) -> Dataset:
    """Give an instance UIDs that hold the number of the run."""
    for place, keyword in enumerate(_RENAMED):
        suffix = f".{number}" if keyword == "SOPInstanceUID" else ""
        setattr(dataset, keyword, f"{_ROOT}.{_FIRST_RUN}.{place}{suffix}")
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _write_head(path: Path) -> None:
    """Give a file the head that the archive writes, whose files are what a worker reads."""
    found = read_parcel(path)
    head = encode_file_head(AnnouncedInstance(found.sop_class, found.sop_instance, found.transfer_syntax))
    path.write_bytes(head + path.read_bytes()[found.data_set_at :])


def _places_of(head: bytes) -> list[int]:
    """Return where the number of the run stands in the head of a file."""
    mark = f"{_ROOT}.{_FIRST_RUN}.".encode()
    places, at = [], head.find(mark)
    while at >= 0:
        places.append(at + len(_ROOT) + 1)
        at = head.find(mark, at + 1)
    return places
