"""Where the slices of a volume mask lie, read again from the headers of the instances they came from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from node.errors import FindingRefused, HeaderRefused
from node.imaging.geometry import Plane, check_alike
from node.imaging.slices import Slice, slices_of
from node.imaging.volume import Grid, Millimetres
from node.plain_values import read_text
from node.results.request import ResultRequest


def source_slices(request: ResultRequest) -> tuple[Slice, ...]:
    """Return the source of every slice of the request's masks, in their order.

    Slices are found by the UID of their instance and their frame number, never by order. Raises
    HeaderRefused when one is not among the sources, the SeriesRefused that fits when they differ in
    anything but position, and FindingRefused when they do not lie on the request's grid.
    """
    used = {source.sop_instance_uid for source in request.slice_sources}
    parts = slices_of([source for source in request.sources if read_text(source, "SOPInstanceUID") in used])
    known = {part.source: part for part in parts}
    for source in request.slice_sources:
        if source not in known:
            raise HeaderRefused(
                f"slice of instance {source.sop_instance_uid}, frame {source.frame_number or 'only'}: not among the "
                f"{len(request.sources)} source instances; results may refer only to what was analysed"
            )
    found = tuple(known[source] for source in request.slice_sources)
    planes = [part.plane for part in found]
    check_alike(planes)
    if request.grid is not None:
        _check_on_grid(planes, request.grid)
    return found


def _check_on_grid(planes: Sequence[Plane], grid: Grid) -> None:
    """Raise FindingRefused unless three corners of every slice lie within half a pixel of the grid's.

    Half a step is enough along the normal, where real headers round.
    """
    _, rows, columns = grid.shape
    corners = ((0, 0), (rows - 1, 0), (0, columns - 1))
    stated = np.stack([_places_mm(planes, *corner) for corner in corners], axis=1)
    indices = np.array([[(number, *corner, 1) for corner in corners] for number in range(len(planes))], np.float64)
    expected = (indices @ grid.affine.T)[..., :3]
    directions = np.stack([planes[0].normal, planes[0].along_column, planes[0].along_row])
    is_off = (np.abs((stated - expected) @ directions.T) > np.array(grid.spacing_mm) / 2).any(axis=-1)
    if is_off.any():
        number, which = (int(place) for place in np.argwhere(is_off)[0])
        row, column = corners[which]
        raise FindingRefused(
            f"slice {number} of the masks: pixel {row}, {column} lies at {_written(expected[number, which])} mm on "
            f"the volume's grid, its source says {_written(stated[number, which])} mm; masks and slices must be in the "
            "same order"
        )


def _places_mm(planes: Sequence[Plane], row: int, column: int) -> Millimetres:
    """Return where the centre of a pixel of each plane lies, (planes, 3) (PS3.3 C.7.6.2.1.1)."""
    positions = np.array([plane.position_mm for plane in planes])
    down = np.array([plane.along_column * plane.spacing_mm[0] for plane in planes])
    right = np.array([plane.along_row * plane.spacing_mm[1] for plane in planes])
    return np.asarray(positions + down * row + right * column)


def _written(place_mm: Millimetres) -> str:
    return ", ".join(f"{value:.2f}" for value in place_mm)
