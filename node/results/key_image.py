"""Findings as a colour secondary capture: one picture with the outlines drawn into it."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from node.imaging.volume import Unit, Volume
from node.results.header import copy_valid, creation_arguments, encoding_source, state_origin
from node.results.overlay import Overlay, draw_overlays
from node.results.request import KeyPicture, ResultKind, ResultRequest
from node.results.segmentation import stated_spacing_mm
from node.results.text_report import describe_finding, name_image
from node.vocabulary import Finding, Mask, Pixels

WINDOW_HU = (-1000.0, 400.0)
PERCENTILES = (1.0, 99.0)

# Of these there is only one, so they have no side.
UNPAIRED_PARTS = frozenset({"ABDOMEN", "BRAIN", "CHEST", "HEAD", "HEART", "NECK", "PELVIS"})


def encode_key_image(request: ResultRequest, picture: KeyPicture) -> Dataset:
    """Return an RGB Secondary Capture (PS3.3 A.8.1) of the picture with the findings drawn into it."""
    image = hd.sc.SCImage(
        pixel_array=_draw(request, picture),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=request.source.StudyInstanceUID,
        patient_orientation=("L", "P"),
        **creation_arguments(request, ResultKind.KEY_IMAGE),
    )
    source, frame_number = _pictured(request, picture)
    image.PatientOrientation = source.get("PatientOrientation")
    image.BurnedInAnnotation = "NO"
    image.DerivationDescription = "Outlines of an AI result drawn into a scaled copy"
    image.SourceImageSequence = [_reference(source, frame_number)]
    copy_valid(encoding_source(source), image, ("LossyImageCompression", "LossyImageCompressionMethod"))
    copy_valid(request.source, image, ("BodyPartExamined",))
    if image.get("BodyPartExamined") not in UNPAIRED_PARTS:
        image.Laterality = source.get("Laterality")  # type 2C: empty where nobody said (PS3.3 C.7.3.1)
    state_origin(image, request)
    image.DateOfSecondaryCapture, image.TimeOfSecondaryCapture = image.ContentDate, image.ContentTime
    return image


def picture_of_volume(volume: Volume, findings: Sequence[Finding]) -> KeyPicture:
    """Return the slice on which the findings are largest, as displayed.

    HU are shown from -1000 to 400, other voxels from the first to the last hundredth of the slice.
    """
    number = _largest_slice([finding.mask for finding in findings])
    voxels = volume.voxels[number].astype(np.float32)
    low, high = WINDOW_HU
    if volume.unit is not Unit.HOUNSFIELD:
        low, high = np.percentile(voxels, PERCENTILES)
    pixels: Pixels = np.clip((voxels - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    return KeyPicture(pixels, number)


def _largest_slice(masks: Sequence[Mask]) -> int:
    return int(np.argmax(sum(mask.sum(axis=(1, 2)) for mask in masks)))


def _draw(request: ResultRequest, picture: KeyPicture) -> np.ndarray:
    number = picture.slice_number
    overlays = [
        Overlay(describe_finding(finding), finding.mask if number is None else finding.mask[number], finding.colour_rgb)
        for finding in request.findings
    ]
    spacing_mm = request.grid.spacing_mm[1:] if request.grid else stated_spacing_mm(request.source)
    source, frame_number = _pictured(request, picture)
    shown = name_image(source) if frame_number is None else f"frame {frame_number} of {name_image(source)}"
    caption = f"{request.model.title}, version {request.model.version}; {shown}"
    return draw_overlays(picture.pixels, spacing_mm, overlays, caption)


def _pictured(request: ResultRequest, picture: KeyPicture) -> tuple[Dataset, int | None]:
    """Return the instance that the picture shows, and the frame of a multi-frame one."""
    if picture.slice_number is None:
        return request.source, None
    shown = request.slice_sources[picture.slice_number]
    source = next(source for source in request.sources if source.SOPInstanceUID == shown.sop_instance_uid)
    return source, shown.frame_number


def _reference(source: Dataset, frame_number: int | None) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    if frame_number is not None:
        reference.ReferencedFrameNumber = frame_number
    purpose = hd.sr.CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    reference.PurposeOfReferenceCodeSequence = [purpose]
    return reference
