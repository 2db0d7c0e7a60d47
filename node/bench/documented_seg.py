"""A BINARY SEG as highdicom's documentation shows it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid


def segmentation(sources: Sequence[Dataset], pixels: NDArray[np.uint8], labels: Sequence[str]) -> Dataset:
    """Return a SEG of one array of (frames, rows, columns, segments); the labels are those of the segments."""
    algorithm = hd.AlgorithmIdentificationSequence("Bench", codes.DCM.ArtificialIntelligence, "1")
    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=codes.SCT.Lung,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            tracking_uid=generate_uid(),
            tracking_id=label,
        )
        for number, label in enumerate(labels, start=1)
    ]
    return hd.seg.Segmentation(
        source_images=sources,
        pixel_array=pixels,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(),
        series_number=100,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="radnode",
        manufacturer_model_name="bench",
        software_versions=version("radnode"),
        device_serial_number="1",
    )
