"""Requests for results of volumes: real series and made-up ones, with made-up findings."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread, uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.misc import is_dicom
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from results.lung_requests import MODEL, PINNED_AT, finding

from node.imaging.volume import Grid, SliceSource
from node.results.request import NodeDevice, ResultRequest
from node.vocabulary import Finding, Mask, Measurement

FRAME_OF_REFERENCE = "1.2.826.0.1.3680043.8.498.8"
CUBIC_CENTIMETRE = Code("cm3", "UCUM", "cubic centimeter")
EMPHYSEMA = Code("LAA950", "99RADNODE", "Low attenuation area below -950 HU")
MEAN_HU = Measurement(codes.DCM.AttenuationCoefficient, -823.4, codes.UCUM.HounsfieldUnit, derivation=codes.SCT.Mean)
LOW_SHARE = Measurement(EMPHYSEMA, 7.25, codes.UCUM.Percent)

REAL_SERIES = {
    "ct": "dicom_series/ct_chest_philips_lidc_138of275",
    "enhanced_mr": "mr_dicom/mr_enhanced_t1_siemens_xa30_96frames",
    "oblique_mr": "mr_dicom/mr_pd_axial_ge_signa_5mm_20",
}
ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, -1),
    "oblique": (0.8, 0.6, 0, -0.36, 0.48, -0.8),
}


def real_series(shared: Path, name: str, folder: Path) -> list[Dataset]:
    """Return a real series, without its pixel data; its files lie in the folder.

    Of the CT series every twelfth slice is kept, with one frame of reference for all: a de-identifier
    gave each slice one of its own.
    """
    with tarfile.open(shared / "data" / f"{REAL_SERIES[name]}.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and is_dicom(path))
    if name != "ct":
        return [dcmread(path, stop_before_pixels=True) for path in paths]
    kept = sorted((dcmread(path) for path in paths), key=lambda instance: instance.ImagePositionPatient[2])[::12]
    for path in paths:
        path.unlink()
    for number, instance in enumerate(kept):
        instance.FrameOfReferenceUID = FRAME_OF_REFERENCE
        instance.save_as(folder / f"{number}.dcm")
        del instance.PixelData
    return kept


def mr_series(orientation: Sequence[float], size: tuple[int, int, int] = (5, 13, 11), **facts: Any) -> list[Dataset]:
    """Return single-frame MR instances, without pixel data, 2.5 mm apart along the normal.

    Their UIDs follow from orientation and facts.
    """
    uids = {
        keyword: uid.generate_uid("1.2.826.0.1.3680043.8.498.", entropy_srcs=[keyword, str(orientation), str(facts)])
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID")
    }
    normal = np.cross(orientation[:3], orientation[3:])
    slices, rows, columns = size
    positions = [np.array([-40.5, 12.25, 7]) + normal * number * 2.5 for number in range(slices)]
    return [
        mr_instance(
            number,
            Rows=rows,
            Columns=columns,
            ImageOrientationPatient=list(orientation),
            ImagePositionPatient=[round(float(value), 6) for value in position],
            **(uids | facts),
        )
        for number, position in enumerate(positions)
    ]


def enhanced_series(orientation: Sequence[float]) -> list[Dataset]:
    """Return the same slices as the frames of one Enhanced CT, without pixel data, the last slice first."""
    frames, slices = [], mr_series(orientation, Modality="CT")[::-1]
    for number in slices:
        position, frame = Dataset(), Dataset()
        position.ImagePositionPatient = number.ImagePositionPatient
        frame.PlanePositionSequence = [position]
        frames.append(frame)
    plane, measures, shared = Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = list(orientation)
    measures.PixelSpacing, measures.SliceThickness = [0.9, 0.7], 2.5
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [plane], [measures]
    instance = slices[0]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(instance, keyword)
    instance.SOPClassUID = uid.EnhancedCTImageStorage
    instance.NumberOfFrames = len(frames)
    instance.SharedFunctionalGroupsSequence, instance.PerFrameFunctionalGroupsSequence = [shared], frames
    return [instance]


def mr_instance(number: int, **facts: Any) -> Dataset:
    """Return an MR instance with the attributes that results copy or refer to."""
    instance = Dataset()
    values = {
        "SOPClassUID": uid.MRImageStorage,
        "FrameOfReferenceUID": FRAME_OF_REFERENCE,
        "PatientID": "PHANTOM-MR",
        "PatientName": "Phantom^Mr",
        "PatientBirthDate": "",
        "PatientSex": "",
        "StudyID": "7",
        "StudyDate": "20250102",
        "StudyTime": "030405",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "Modality": "MR",
        "SeriesNumber": 4,
        "InstanceNumber": number + 1,
        "PixelSpacing": [0.9, 0.7],
        "SliceThickness": 2.5,
    }
    for keyword, value in (values | facts).items():
        setattr(instance, keyword, value)
    instance.SOPInstanceUID = uid.generate_uid(entropy_srcs=[instance.SeriesInstanceUID, str(number)])
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    return instance


def volume_of(sources: Sequence[Dataset]) -> tuple[tuple[SliceSource, ...], Grid]:
    """Return slices and grid as the imaging step states them: sorted along the normal."""
    planes = sorted(_planes(sources), key=lambda plane: _height(plane[1], plane[2]))
    places = np.array([place for _, place, _, _ in planes])
    _, _, cosines, spacing = planes[0]
    steps = (
        (places[-1] - places[0]) / (len(places) - 1),
        np.array(cosines[3:]) * spacing[0],
        np.array(cosines[:3]) * spacing[1],
    )
    grid = Grid(
        shape=(len(planes), int(sources[0].Rows), int(sources[0].Columns)),
        origin_mm=tuple(places[0]),
        steps_mm=tuple(tuple(step) for step in steps),
    )
    return tuple(source for source, *_ in planes), grid


Place = tuple[SliceSource, NDArray[np.float64], tuple[float, ...], tuple[float, ...]]


def _planes(sources: Sequence[Dataset]) -> Iterable[Place]:
    for source in sources:
        groups = source.get("PerFrameFunctionalGroupsSequence")
        if groups is None:
            yield _place(SliceSource(str(source.SOPInstanceUID)), source, source, source)
            continue
        for number, frame in enumerate(groups, start=1):
            yield _place(
                SliceSource(str(source.SOPInstanceUID), number),
                frame.PlanePositionSequence[0],
                _macro(source, frame, "PlaneOrientationSequence"),
                _macro(source, frame, "PixelMeasuresSequence"),
            )


def _macro(source: Dataset, frame: Dataset, keyword: str) -> Dataset:
    holder = frame if keyword in frame else source.SharedFunctionalGroupsSequence[0]
    return holder[keyword].value[0]


def _place(source: SliceSource, position: Dataset, orientation: Dataset, measures: Dataset) -> Place:
    return (
        source,
        np.array([float(value) for value in position.ImagePositionPatient]),
        tuple(float(value) for value in orientation.ImageOrientationPatient),
        tuple(float(value) for value in measures.PixelSpacing),
    )


def _height(place: NDArray[np.float64], cosines: tuple[float, ...]) -> float:
    return float(place @ np.cross(cosines[:3], cosines[3:]))


def volume_request(sources: Sequence[Dataset], findings: Iterable[Finding], **facts: Any) -> ResultRequest:
    """Return a request on the volume of the sources, whose other values are fixed."""
    slice_sources, grid = volume_of(sources)
    values: dict[str, Any] = {
        "remarks": (),
        "model": MODEL,
        "inputs_digest": sha256(str(sources[0].SeriesInstanceUID).encode()).hexdigest(),
        "pinned_at": PINNED_AT,
        "device": NodeDevice("RADNODE", "0.1.0"),
        "slice_sources": slice_sources,
        "grid": grid,
    }
    return ResultRequest(sources=tuple(sources), findings=tuple(findings), **(values | facts))


def two_sides(sources: Sequence[Dataset], **facts: Any) -> ResultRequest:
    """Return a right and a left ball that overlap, and leave the outermost slices free."""
    _, grid = volume_of(sources)
    findings = [
        measured(ball(grid.shape, centre=share), side, grid) for side, share in (("right", 0.4), ("left", 0.55))
    ]
    return volume_request(sources, findings, **facts)


def measured(mask: Mask, side: str, grid: Grid) -> Finding:
    """Return a lung of a volume with volume, mean attenuation and share of low attenuation."""
    volume = Measurement(codes.SCT.Volume, float(mask.sum()) * grid.voxel_mm3 / 1000, CUBIC_CENTIMETRE)
    return finding(mask, side, measurements=(volume, MEAN_HU, LOW_SHARE))


def ball(shape: tuple[int, int, int], centre: float) -> Mask:
    """Return a ball with a rough surface, its centre at this share of the columns."""
    slices, rows, columns = (np.arange(size, dtype=np.float32) for size in shape)
    along = ((slices - (shape[0] - 1) / 2) / (shape[0] * 0.4)) ** 2
    down = ((rows - shape[1] * 0.45) / (shape[1] * 0.3)) ** 2
    across = ((columns - shape[2] * centre) / (shape[2] * 0.2)) ** 2
    rough = np.random.default_rng(5).random(shape[1:], dtype=np.float32) * 0.1
    return along[:, None, None] + (down[:, None] + across + rough) < 1
