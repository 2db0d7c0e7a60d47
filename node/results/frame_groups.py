"""Frames of a result that lie where the slices of its sources lie: their place, and the source each names."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import highdicom as hd
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.valuerep import format_number_as_ds

from node.explicit_vr import element, sequence
from node.imaging.slices import Slice
from node.results.header import encoding_source
from node.results.references import instance_reference, state_sequence

PURPOSE = codes.DCM.SourceImageForImageProcessingOperation


@dataclass(frozen=True)
class SliceGroups:
    """Two groups of every frame that shows a slice, as they are written: what it was derived from, and where it lies.

    Others come before, between and behind them, for groups are in the order of their tags.
    """

    derivation: bytes
    position: bytes


def stand_in(part: Slice) -> Dataset:
    """Return a single-frame image of one pixel that gives highdicom the frame of reference.

    highdicom knows no source with an orientation per frame and finds the source of a frame by its place
    in a list, so it makes an object of one frame, and the true frames take its place.
    """
    reference = encoding_source(part.dataset)
    reference.SOPClassUID = uid.CTImageStorage
    reference.Rows = reference.Columns = reference.SliceThickness = 1
    reference.FrameOfReferenceUID = part.plane.frame_of_reference_uid
    for keyword in ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"):
        setattr(reference, keyword, decimals(part.header[keyword].value))
    return reference


def place_groups(part: Slice, step_mm: float) -> Dataset:
    """Return the groups that all frames share: orientation, and voxel size with the measured slice distance."""
    orientation, measures, shared = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = decimals(part.header.ImageOrientationPatient)
    measures.PixelSpacing = decimals(part.header.PixelSpacing)
    measures.SliceThickness = format_number_as_ds(float(part.header.get("SliceThickness") or step_mm))
    measures.SpacingBetweenSlices = format_number_as_ds(step_mm)
    shared.PlaneOrientationSequence = [orientation]
    shared.PixelMeasuresSequence = [measures]
    return shared


def slice_groups(parts: Sequence[Slice], derivation: Code) -> list[SliceGroups]:
    """Return for each slice the groups of all frames that show it: its instance as the source, and its place."""
    purpose = _code_sequence("PurposeOfReferenceCodeSequence", PURPOSE)
    derived_by = _code_sequence("DerivationCodeSequence", derivation)
    every = []
    for part in parts:
        frame = part.source.frame_number
        named = (
            instance_reference(part.dataset),
            b"" if frame is None else element(0x00081160, b"IS", str(frame).encode("ascii")),
            element(0x0028135A, b"CS", b"YES"),  # Spatial Locations Preserved
        )
        source = sequence(0x00082112, b"".join(named) + purpose)
        position = "\\".join(decimals(part.plane.position_mm.tolist())).encode("ascii")
        every.append(
            SliceGroups(
                derivation=sequence(0x00089124, source + derived_by),
                position=sequence(0x00209113, element(0x00200032, b"DS", position)),
            )
        )
    return every


def segment_group(number: int) -> bytes:
    """Return the group of every frame of a segment, counted from 1."""
    return sequence(0x0062000A, element(0x0062000B, b"US", struct.pack("<H", number)))


def frame_groups(on_slice: SliceGroups, dimensions: Sequence[int], segment: bytes = b"") -> bytes:
    """Return the groups of one frame: those of the slice it shows, its dimension indices, and its segment's."""
    indices = element(0x00209157, b"UL", struct.pack(f"<{len(dimensions)}L", *dimensions))
    return on_slice.derivation + sequence(0x00209111, indices) + on_slice.position + segment


def state_frames(result: Dataset, frames: Sequence[bytes]) -> None:
    """Give a result the groups of its frames, which pydicom writes as they are while nothing else is changed in it.

    Made of data sets, they would be most of the time that a large result takes.
    """
    state_sequence(result, "PerFrameFunctionalGroupsSequence", frames)


def _code_sequence(keyword: str, code: Code) -> bytes:
    """Return a sequence of one code, as every frame has it."""
    holder, file = Dataset(), DicomBytesIO()
    setattr(holder, keyword, [hd.sr.CodedConcept.from_code(code)])
    file.is_little_endian, file.is_implicit_VR = True, False
    write_dataset(file, holder)
    return file.getvalue()


def source_images(parts: Sequence[Slice]) -> list[Dataset]:
    """Return the items that name instances, and which frame of each, as what a result was made from."""
    purpose = hd.sr.CodedConcept.from_code(PURPOSE)
    sources = []
    for part in parts:
        source = Dataset()
        source.ReferencedSOPClassUID = part.dataset.SOPClassUID
        source.ReferencedSOPInstanceUID = part.source.sop_instance_uid
        if part.source.frame_number is not None:
            source.ReferencedFrameNumber = part.source.frame_number
        source.PurposeOfReferenceCodeSequence = [purpose]
        sources.append(source)
    return sources


def pin_dimensions(result: Dataset, organization_uid: str) -> None:
    """Give the dimension indices (PS3.3 C.7.6.17) a UID that follows from the job."""
    for item in (*result.DimensionOrganizationSequence, *result.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization_uid


def decimals(values: Sequence[float]) -> list[str]:
    """Return the values as decimal strings of at most 16 characters."""
    return [format_number_as_ds(float(value)) for value in values]
