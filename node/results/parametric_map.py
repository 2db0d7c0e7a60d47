"""A number for each voxel as a float32 Parametric Map on the grid of the source."""

from __future__ import annotations

from io import BytesIO

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.tag import Tag

from node.errors import FindingRefused
from node.results.coding_schemes import name_private_schemes
from node.results.frame_groups import (
    frame_groups,
    pin_dimensions,
    place_groups,
    slice_groups,
    stand_in,
    state_frames,
)
from node.results.header import copy_valid, creation_arguments, fit, state_body_part, state_origin
from node.results.planes import source_slices
from node.results.references import state_referenced_series
from node.results.request import ResultKind, ResultRequest
from node.results.uids import result_uid
from node.vocabulary import Pixels, QuantityMap

LONGEST_SH = 16
WINDOW_PERCENTILES = (1.0, 99.0)
NARROWEST_WINDOW = 1e-6


def encode_parametric_map(request: ResultRequest, number: int) -> hd.pm.ParametricMap:
    """Return a Parametric Map (PS3.3 A.75) of the request's map with this number, counted from 0.

    It has one frame per slice of the volume, in their order along the normal. The values are stored as
    they are; a real world value mapping says which quantity they are and in which unit. Raises
    FindingRefused for values that are not on the grid of a volume, or are no numbers.
    """
    value_map = request.maps[number]
    _check(value_map, request)
    assert request.grid is not None
    slices = source_slices(request)
    made = _one_frame(request, number, stand_in(slices[0]))
    pin_dimensions(made, result_uid(request.inputs_digest, request.model.sha256, "map/dimension_organization", number))
    assert [item.DimensionIndexPointer for item in made.DimensionIndexSequence] == [Tag("ImagePositionPatient")]
    made.SharedFunctionalGroupsSequence[0].update(place_groups(slices[0], request.grid.spacing_mm[0]))
    del made.PerFrameFunctionalGroupsSequence
    made.NumberOfFrames, made.Rows, made.Columns = value_map.values.shape
    stored = np.ascontiguousarray(value_map.values, dtype="<f4").tobytes()
    made.FloatPixelData = BytesIO(stored)  # plain bytes pydicom copies once more to write them
    made.pop("SourceImageSequence", None)
    copy_valid(request.source, made, ("PositionReferenceIndicator",))
    state_body_part(made, request.source)
    name_private_schemes(made)
    state_origin(made, request)
    state_referenced_series(made, request.evidence)
    shown = slice_groups(slices, codes.DCM.ArtificialIntelligence)
    state_frames(made, [frame_groups(on_slice, (place,)) for place, on_slice in enumerate(shown, start=1)])
    return made


def _check(value_map: QuantityMap, request: ResultRequest) -> None:
    if not request.is_volume or value_map.values.shape != request.mask_shape:
        raise FindingRefused(
            f"map {value_map.name}: it has shape {value_map.values.shape}, its source {request.mask_shape}; a model "
            "must return a value for every voxel of a volume"
        )
    if not np.isfinite(value_map.values).all():
        raise FindingRefused(f"map {value_map.name}: some of its values are no numbers; look at the model's interpret")


def _one_frame(request: ResultRequest, number: int, reference: Dataset) -> hd.pm.ParametricMap:
    """Return highdicom's object for one frame of one pixel, which the true frames then replace."""
    value_map = request.maps[number]
    low, high = float(value_map.values.min()), float(value_map.values.max())
    mapping = hd.pm.RealWorldValueMapping(
        lut_label=fit(value_map.name, LONGEST_SH),
        lut_explanation=fit(value_map.label),
        unit=value_map.unit,
        value_range=(low, high),
        slope=1.0,
        intercept=0.0,
        quantity_definition=value_map.quantity,
    )
    center, width = _window(value_map.values)
    return hd.pm.ParametricMap(
        source_images=[reference],
        pixel_array=np.ones((1, 1, 1), np.float32),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[
            # The plain function knows no window narrower than 1 (PS3.3 C.11.2.1.2).
            hd.VOILUTTransformation(center, width, voi_lut_function=hd.VOILUTFunctionValues.LINEAR_EXACT)
        ],
        content_label="MAP",
        content_description=fit(value_map.label),
        derived_pixel_contrast=hd.pm.DerivedPixelContrastValues.NONE,
        **creation_arguments(request, ResultKind.PARAMETRIC_MAP, number),
    )


def _window(values: Pixels) -> tuple[float, float]:
    """Return centre and width of a window from the first to the last hundredth of the values."""
    low, high = np.percentile(values, WINDOW_PERCENTILES)
    return float(low + high) / 2, max(float(high - low), NARROWEST_WINDOW)
