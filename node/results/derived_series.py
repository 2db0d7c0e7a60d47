"""A volume on a finer grid as a derived MR series: new instances in the same box, marked as not acquired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import highdicom as hd
import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import format_number_as_ds

from node.errors import FindingRefused
from node.imaging.slices import Slice
from node.imaging.volume import Grid, grid_with_spacing
from node.results.frame_groups import decimals, source_images
from node.results.header import creation_arguments, fit, state_origin
from node.results.mr_acquisition import state_acquisition
from node.results.planes import source_slices
from node.results.references import state_referenced_series
from node.results.request import ResultKind, ResultRequest
from node.results.stored_values import StoredScale, choose_scale
from node.results.uids import result_uid
from node.vocabulary import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, Pixels, Refinement

DERIVATIONS = (codes.DCM.SpatialResampling, codes.DCM.ArtificialIntelligence)
WINDOW_PERCENTILES = (1.0, 99.0)
LONGEST_ST = 1024

MOST_VOXELS = 200_000_000  # 400 MB of pixels; the worker holds them about three times

@dataclass(frozen=True)
class _Making:
    """What the instances of one derived series have in common."""

    request: ResultRequest
    number: int
    slices: tuple[Slice, ...]
    scale: StoredScale

    @property
    def refinement(self) -> Refinement:
        return self.request.refinements[self.number]

    @cached_property
    def grid(self) -> Grid:
        return refined_grid(self.request, self.refinement)

    @cached_property
    def common(self) -> Dataset:
        return _common(self.request, self.number)

    @cached_property
    def window(self) -> tuple[float, float]:
        return _window(self.refinement.voxels)

    def neighbours(self, place: int) -> tuple[int, int]:
        """Return the two source slices next to each other between or beside which a derived slice lies."""
        exact = (place + 0.5) / self.refinement.factors[0] - 0.5
        first = min(max(int(np.floor(exact)), 0), len(self.slices) - 2)
        return first, first + 1

    def nearest(self, place: int) -> Slice:
        """Return the source slice that a derived slice lies in."""
        return self.slices[place // self.refinement.factors[0]]


def encode_derived_series(request: ResultRequest, number: int) -> Iterator[Dataset]:
    """Yield the MR images (PS3.3 A.4) of the request's refinement with this number, along the normal.

    Voxels keep their intensities, those of the source after its rescale: whole numbers are stored as
    they are where the source had no others and they fit, else with the rescale that spends most bits.
    Raises FindingRefused for a refinement of anything but MR, one off the finer grid, and one too large.
    """
    _check(request.refinements[number], request)
    voxels = request.refinements[number].voxels
    slices = source_slices(request)
    scale = choose_scale(voxels, are_whole=all(part.rescale.is_whole for part in slices))
    making = _Making(request, number, slices, scale)
    for place, values in enumerate(voxels):
        yield _image(making, place, values)


def refined_grid(request: ResultRequest, refinement: Refinement) -> Grid:
    """Return the grid of a refinement: over the same box as the source's, finer by its factors."""
    assert request.grid is not None
    slice_mm, row_mm, column_mm = request.grid.spacing_mm
    slices, rows, columns = refinement.factors
    return grid_with_spacing(request.grid, (slice_mm / slices, row_mm / rows, column_mm / columns))


def describe_refinement(request: ResultRequest, refinement: Refinement) -> str:
    """Return what the derived series is as a sentence, with its distances in mm."""
    slice_mm, row_mm, column_mm = refined_grid(request, refinement).spacing_mm
    return (
        f"{refinement.label}: a derived series of {len(refinement.voxels)} slices, {slice_mm:.2f} mm apart, with "
        f"pixels of {row_mm:.2f} by {column_mm:.2f} mm; what lies between acquired pixels is estimated."
    )


def _check(refinement: Refinement, request: ResultRequest) -> None:
    which = f"refinement {refinement.name}"
    if request.source.get("Modality") != "MR" or not request.is_volume:
        raise FindingRefused(
            f"{which}: its source is no MR volume but {request.source.get('Modality')}; derived series are made of MR "
            "only: restrict the model's input to it"
        )
    expected = tuple(size * factor for size, factor in zip(request.mask_shape, refinement.factors, strict=True))
    if refinement.voxels.shape != expected or not np.isfinite(refinement.voxels).all():
        raise FindingRefused(
            f"{which}: it has shape {refinement.voxels.shape}, expected {expected} finite numbers; a model must refine "
            "the whole volume by its factors"
        )
    if refinement.voxels.size > MOST_VOXELS:
        raise FindingRefused(
            f"{which}: it has {refinement.voxels.size:,} voxels, expected at most {MOST_VOXELS:,}; use a model with "
            "smaller factors, or send a coarser series"
        )


def _image(making: _Making, place: int, values: Pixels) -> Dataset:
    image = Dataset()
    image.update(making.common)
    image.SOPInstanceUID = result_uid(
        making.request.inputs_digest,
        making.request.model.sha256,
        f"{ResultKind.DERIVED_SERIES}/{making.number}",
        place,
    )
    image.InstanceNumber = place + 1
    state_acquisition(image, making.nearest(place))
    _state_sources(image, [making.slices[source] for source in making.neighbours(place)])
    _state_place(image, making, place)
    _state_pixels(image, making, values)
    state_origin(image, making.request)
    image.file_meta = _file_meta(image)
    return image


def _common(request: ResultRequest, number: int) -> Dataset:
    """Return what every instance of the series states in the same words."""
    refinement = request.refinements[number]
    arguments = creation_arguments(request, ResultKind.DERIVED_SERIES, number)
    common = Dataset()
    common.SpecificCharacterSet = arguments["specific_character_set"]
    common.SOPClassUID = uid.MRImageStorage
    common.Modality = "MR"
    common.SeriesInstanceUID = arguments["series_instance_uid"]
    common.SeriesNumber = arguments["series_number"]
    common.SeriesDescription = arguments["series_description"]
    common.Manufacturer = arguments["manufacturer"]
    common.ManufacturerModelName = arguments["manufacturer_model_name"]
    common.SoftwareVersions = arguments["software_versions"]
    common.DeviceSerialNumber = arguments["device_serial_number"]
    common.ContentQualification = arguments["content_qualification"].value
    common.ContributingEquipmentSequence = arguments["contributing_equipment"]
    common.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    finer = " x ".join(str(factor) for factor in refinement.factors)
    common.DerivationDescription = fit(
        f"{refinement.label} by {request.model.title}: {finer} times finer in slices, rows and columns; "
        "what lies between acquired pixels is estimated",
        LONGEST_ST,
    )
    common.DerivationCodeSequence = [hd.sr.CodedConcept.from_code(code) for code in DERIVATIONS]
    return common


def _state_sources(image: Dataset, parts: Sequence[Slice]) -> None:
    image.SourceImageSequence = source_images(parts)
    named = {part.source.sop_instance_uid: part.dataset for part in parts}
    state_referenced_series(image, list(named.values()))


def _state_place(image: Dataset, making: _Making, place: int) -> None:
    part, grid = making.nearest(place), making.grid
    slice_mm, row_mm, column_mm = grid.spacing_mm
    image.FrameOfReferenceUID = part.plane.frame_of_reference_uid
    image.ImageOrientationPatient = decimals(part.header.ImageOrientationPatient)
    image.ImagePositionPatient = decimals(list(grid.position_mm((place, 0, 0))))
    image.PixelSpacing = decimals((row_mm, column_mm))
    image.SliceThickness = image.SpacingBetweenSlices = format_number_as_ds(slice_mm)


def _state_pixels(image: Dataset, making: _Making, values: Pixels) -> None:
    image.Rows, image.Columns = values.shape
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 1
    scale = making.scale
    if not scale.is_identity:
        image.RescaleSlope, image.RescaleIntercept, image.RescaleType = scale.slope, scale.intercept, "US"
    image.WindowCenter, image.WindowWidth = decimals(making.window)
    image.add_new("PixelData", "OW", scale.store(values).astype("<i2").tobytes())


def _window(voxels: Pixels) -> tuple[float, float]:
    """Return centre and width of a window from the first to the last hundredth of the voxels."""
    low, high = np.percentile(voxels, WINDOW_PERCENTILES)
    return float(low + high) / 2, max(float(high - low), 1.0)


def _file_meta(image: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = image.SOPClassUID
    meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid.UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta
