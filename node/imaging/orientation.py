"""Turns a planar image to the radiological display and back, by PatientOrientation (PS3.3 C.7.6.1.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from node.errors import StudyRefused
from node.imaging.image import PlanarImage

Element = TypeVar("Element", bound=np.generic)

# The display of a frontal radiograph: the patient's left at the right edge, the feet at the bottom.
DISPLAY_ROW_DIRECTION = "L"
DISPLAY_COLUMN_DIRECTION = "F"

_SIDEWAYS = frozenset("LR")
_UPWARDS = frozenset("HF")


@dataclass(frozen=True)
class Turn:
    """The way from the stored grid to the display: transpose first, then reverse rows and columns."""

    transposes: bool = False
    reverses_rows: bool = False
    reverses_columns: bool = False

    def apply(self, stored: NDArray[Element]) -> NDArray[Element]:
        """Return a (rows, columns) array of the stored grid as it lies on the display."""
        turned = stored.T if self.transposes else stored
        return self._reverse(turned)

    def undo(self, displayed: NDArray[Element]) -> NDArray[Element]:
        """Return a (rows, columns) array of the display on the stored grid; exact inverse of `apply`."""
        turned = self._reverse(displayed)
        return turned.T if self.transposes else turned

    def _reverse(self, array: NDArray[Element]) -> NDArray[Element]:
        rows = slice(None, None, -1) if self.reverses_rows else slice(None)
        columns = slice(None, None, -1) if self.reverses_columns else slice(None)
        return np.ascontiguousarray(array[rows, columns])


def is_orientation_stated(image: PlanarImage) -> bool:
    """Say whether the header tells where both the rows and the columns run to."""
    return bool(image.row_direction and image.column_direction)


def turn_to_display(image: PlanarImage) -> Turn:
    """Return the turn that brings a frontal image to the display; none when the header does not say.

    A compound direction such as "FP" counts as its first letter, the principal one. Raises
    StudyRefused when the two directions do not span a frontal plane, as in a lateral view.
    """
    if not is_orientation_stated(image):
        return Turn()
    row, column = image.row_direction[0].upper(), image.column_direction[0].upper()
    if row in _SIDEWAYS and column in _UPWARDS:
        return Turn(False, column != DISPLAY_COLUMN_DIRECTION, row != DISPLAY_ROW_DIRECTION)
    if row in _UPWARDS and column in _SIDEWAYS:
        return Turn(True, row != DISPLAY_COLUMN_DIRECTION, column != DISPLAY_ROW_DIRECTION)
    raise StudyRefused(
        f"PatientOrientation is {image.row_direction}\\{image.column_direction}; a frontal image needs one "
        "of L, R and one of H, F; correct the header, or send a frontal view"
    )
