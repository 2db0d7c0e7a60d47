"""The planar image: what the imaging step hands to a model."""

from __future__ import annotations

from dataclasses import dataclass

from node.vocabulary import Mask, Pixels


@dataclass(frozen=True)
class PixelSpacing:
    """Distance between pixel centres in mm, and the plane it holds in.

    `row_mm` is the distance between rows (down the image), `column_mm` between columns, as in
    PixelSpacing (PS3.3 10.7.1.3). `plane` is a phrase for the report, such as
    "at the detector, not corrected for magnification".
    """

    row_mm: float
    column_mm: float
    plane: str


@dataclass(frozen=True)
class PlanarImage:
    """One frame of a projection image as it would be displayed.

    `pixels` is (rows, columns) float32 in 0..1, 0 black, after modality LUT, VOI LUT and
    presentation polarity (so MONOCHROME1 is already inverted). `padding` is (rows, columns), True
    where the detector saw nothing. `row_direction` and `column_direction` are the two values of
    PatientOrientation: where the rows run to (to the right of the picture) and where the columns
    run to (to its bottom), such as "L" and "F"; empty when the header does not say. `spacing` is
    None when no trustworthy one exists, and `spacing_refusal` then says why. `laterality` is "R" or
    "L" where the header says which of a pair the image shows, such as an eye.
    """

    pixels: Pixels
    padding: Mask
    row_direction: str = ""
    column_direction: str = ""
    spacing: PixelSpacing | None = None
    spacing_refusal: str = ""
    view_position: str = ""
    laterality: str = ""
    sop_instance_uid: str = ""
