"""Findings and conclusions as a colour secondary capture: one picture with outlines in it and bars below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from node.imaging.image import PlanarImage
from node.imaging.ophthalmic import frames_of
from node.imaging.volume import Unit, Volume
from node.results.header import UNPAIRED_PARTS, copy_valid, creation_arguments, encoding_source, state_origin
from node.results.legend import Line
from node.results.overlay import Overlay, draw_overlays
from node.results.request import KeyPicture, ResultKind, ResultRequest
from node.results.segmentation import stated_spacing_mm
from node.results.text_report import describe_conclusion, describe_finding, name_conclusion, name_image
from node.vocabulary import Conclusion, Finding, Mask, Pixels

WINDOW_HU = (-1000.0, 400.0)
PERCENTILES = (1.0, 99.0)

SIDES = {codes.SCT.Right: "R", codes.SCT.Left: "L"}


def encode_key_image(request: ResultRequest, picture: KeyPicture) -> Dataset:
    """Return an RGB Secondary Capture (PS3.3 A.8.1) of the picture, findings drawn into it and conclusions below."""
    image = hd.sc.SCImage(
        pixel_array=_draw(request, picture),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=request.source.StudyInstanceUID,
        patient_orientation=("L", "P"),
        **creation_arguments(request, ResultKind.KEY_IMAGE),
    )
    source, frame_number = request.pictured(picture.slice_number)
    image.PatientOrientation = source.get("PatientOrientation")
    image.BurnedInAnnotation = "NO"
    image.DerivationDescription = "Scaled copy with the outlines and conclusions of an AI result"
    image.SourceImageSequence = [_reference(source, frame_number)]
    copy_valid(encoding_source(source), image, ("LossyImageCompression", "LossyImageCompressionMethod"))
    copy_valid(request.source, image, ("BodyPartExamined",))
    if image.get("BodyPartExamined") not in UNPAIRED_PARTS:
        image.Laterality = _laterality(request, source)
    state_origin(image, request)
    image.DateOfSecondaryCapture, image.TimeOfSecondaryCapture = image.ContentDate, image.ContentTime
    return image


def picture_of(
    image: PlanarImage | Volume, findings: Sequence[Finding], conclusions: Sequence[Conclusion] = ()
) -> KeyPicture:
    """Return the picture to draw findings and conclusions on, as displayed."""
    if isinstance(image, Volume):
        return picture_of_volume(image, findings, conclusions)
    number = _named_slice(conclusions)
    return KeyPicture(frames_of(image)[number or 0].pixels, number)


def picture_of_volume(
    volume: Volume, findings: Sequence[Finding], conclusions: Sequence[Conclusion] = ()
) -> KeyPicture:
    """Return the slice on which the findings are largest, as displayed.

    Without findings it is the slice that a conclusion names, and where none does the middle one. HU are
    shown from -1000 to 400, other voxels from the first to the last hundredth of the slice.
    """
    number = _named_slice(conclusions)
    if findings:
        number = _largest_slice([finding.mask for finding in findings])
    elif number is None:
        number = len(volume.voxels) // 2
    voxels = volume.voxels[number].astype(np.float32)
    low, high = WINDOW_HU
    if volume.unit is not Unit.HOUNSFIELD:
        low, high = np.percentile(voxels, PERCENTILES)
    pixels: Pixels = np.clip((voxels - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    return KeyPicture(pixels, number)


def _named_slice(conclusions: Sequence[Conclusion]) -> int | None:
    named = (conclusion.slice_number for conclusion in conclusions)
    return next((number for number in named if number is not None), None)


def _largest_slice(masks: Sequence[Mask]) -> int:
    return int(np.argmax(sum(mask.sum(axis=(1, 2)) for mask in masks)))


def _draw(request: ResultRequest, picture: KeyPicture) -> np.ndarray:
    number = picture.slice_number

    def seen(mask: Mask) -> Mask:
        return np.asarray(mask[number]) if request.is_volume else mask

    overlays = [
        Overlay(describe_finding(finding), seen(finding.mask), finding.colour_rgb) for finding in request.findings
    ]
    spacing_mm = request.grid.spacing_mm[1:] if request.grid else stated_spacing_mm(request.source)
    source, frame_number = request.pictured(number)
    shown = name_image(source) if frame_number is None else f"frame {frame_number} of {name_image(source)}"
    status = ", experimental" if request.model.is_experimental else ""
    caption = Line(f"{request.model.title}, version {request.model.version}{status}; {shown}")
    return draw_overlays(picture.pixels, spacing_mm, overlays, [*_concluded(request.conclusions), caption])


def _concluded(conclusions: Sequence[Conclusion]) -> Iterator[Line]:
    """Yield a bar for every class under the name of the conclusion, and an estimate as a sentence."""
    for conclusion in conclusions:
        if conclusion.measurement is not None:
            yield Line(describe_conclusion(conclusion))
            continue
        yield Line(f"{name_conclusion(conclusion)}, probability:")
        for choice in conclusion.choices:
            yield Line(choice.label, share=choice.probability)


def _laterality(request: ResultRequest, source: Dataset) -> str:
    """Return R or L, or the empty value of a type 2C attribute where nobody said (PS3.3 C.7.3.1)."""
    sides = [SIDES[conclusion.side] for conclusion in request.conclusions if conclusion.side in SIDES]
    stated = [source.get(keyword) for keyword in ("Laterality", "ImageLaterality")]
    return next((str(side) for side in (*sides, *stated) if side in SIDES.values()), "")


def _reference(source: Dataset, frame_number: int | None) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    if frame_number is not None:
        reference.ReferencedFrameNumber = frame_number
    purpose = hd.sr.CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    reference.PurposeOfReferenceCodeSequence = [purpose]
    return reference
