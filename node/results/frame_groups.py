"""Frames of a result that lie where the slices of its sources lie: their place, and the source each names."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.valuerep import format_number_as_ds

from node.imaging.slices import Slice
from node.results.header import encoding_source

PURPOSE = codes.DCM.SourceImageForImageProcessingOperation


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


def slice_groups(parts: Sequence[Slice], derivation: Code) -> list[Dataset]:
    """Return for each slice the groups of all frames that show it: its place, and its instance as the source.

    Frames share them, and the codes in them are one item, for what pydicom makes once is the cost of a large result.
    """
    derived_by = hd.sr.CodedConcept.from_code(derivation)
    every = []
    for part, source in zip(parts, source_images(parts), strict=True):
        position, derived, groups = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = decimals(part.header.ImagePositionPatient)
        source.SpatialLocationsPreserved = "YES"
        derived.SourceImageSequence = [source]
        derived.DerivationCodeSequence = [derived_by]
        groups.PlanePositionSequence = [position]
        groups.DerivationImageSequence = [derived]
        every.append(groups)
    return every


def frame_groups(on_slice: Dataset, dimensions: Sequence[int]) -> Dataset:
    """Return the groups of one frame: its dimension indices, and those of the slice it shows."""
    content, groups = Dataset(), Dataset()
    content.DimensionIndexValues = list(dimensions)
    groups.FrameContentSequence = [content]
    groups.update(on_slice)
    return groups


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


def referenced_series(sources: Sequence[Dataset]) -> list[Dataset]:
    """Return one item per series of the sources that lists each of them once (PS3.3 C.12.2)."""
    by_series: dict[str, list[Dataset]] = {}
    for source in sources:
        reference = Dataset()
        reference.ReferencedSOPClassUID = source.SOPClassUID
        reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
        by_series.setdefault(str(source.SeriesInstanceUID), []).append(reference)
    items = []
    for series_uid, references in by_series.items():
        item = Dataset()
        item.SeriesInstanceUID = series_uid
        item.ReferencedInstanceSequence = references
        items.append(item)
    return items


def pin_dimensions(result: Dataset, organization_uid: str) -> None:
    """Give the dimension indices (PS3.3 C.7.6.17) a UID that follows from the job."""
    for item in (*result.DimensionOrganizationSequence, *result.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization_uid


def decimals(values: Sequence[float]) -> list[str]:
    """Return the values as decimal strings of at most 16 characters."""
    return [format_number_as_ds(float(value)) for value in values]
