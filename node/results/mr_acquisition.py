"""How the source of a derived MR image was acquired, as far as it is still true of what was computed from it."""

from __future__ import annotations

from pydicom.dataset import Dataset

from node.imaging.slices import Slice
from node.results.header import LOSSY_KEYWORDS, copy_valid, encoding_source, state_body_part

ACQUISITION_KEYWORDS = (
    "AcquisitionDate",
    "AcquisitionNumber",
    "AcquisitionTime",
    "BurnedInAnnotation",
    "ContrastBolusAgent",
    "EchoNumbers",
    "EchoTime",
    "EchoTrainLength",
    "FlipAngle",
    "ImagedNucleus",
    "ImagingFrequency",
    "InversionTime",
    "MagneticFieldStrength",
    "MRAcquisitionType",
    "NumberOfAverages",
    "PatientPosition",
    "PositionReferenceIndicator",
    "ProtocolName",
    "ReceiveCoilName",
    "RepetitionTime",
    "ScanOptions",
    "ScanningSequence",
    "SequenceName",
    "SequenceVariant",
    "TransmitCoilName",
)

# Present even when nothing is known (types 2 and 2C).
NEVER_ABSENT = (
    "EchoTime",
    "EchoTrainLength",
    "MRAcquisitionType",
    "PatientPosition",
    "PositionReferenceIndicator",
    "RepetitionTime",
    "ScanOptions",
)


def state_acquisition(image: Dataset, part: Slice) -> None:
    """Copy what a slice says of its acquisition to an MR image (PS3.3 C.8.3.1), and how it lost detail since."""
    copy_valid(part.header, image, ACQUISITION_KEYWORDS)
    state_body_part(image, part.header)
    copy_valid(encoding_source(part.dataset), image, LOSSY_KEYWORDS)
    if "EchoTime" not in image and part.header.get("EffectiveEchoTime"):  # its name in enhanced instances
        image.EchoTime = part.header.EffectiveEchoTime
    if "ScanningSequence" not in image:
        image.ScanningSequence = "RM"  # research mode, as enhanced instances describe theirs in other words
    if "SequenceVariant" not in image:
        image.SequenceVariant = "NONE"
    for keyword in NEVER_ABSENT:
        if keyword not in image:
            setattr(image, keyword, None)
