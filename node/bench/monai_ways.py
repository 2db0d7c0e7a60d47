"""The operators of MONAI Deploy App SDK at the work of `bench volume` and `bench encode`.

Its Python is that of an environment made for it, without the node's libraries: what this imports of `node` needs NumPy
and pydicom alone.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from pydicom.sr.codedict import codes

from node.bench.facts import segmentation_facts, study_facts, volume_facts
from node.bench.masks import STRUCTURES, make_masks, stack_masks
from node.bench.performing import Performance

_OPERATORS = "monai.deploy.operators"


def read_volume() -> Performance:
    """Read with the loader, the selector without rules, and the operator that makes a volume of a series."""
    reading = _Reading()
    return Performance(lambda series: reading.read(Path(series, "flat"))[1], volume_facts)


def encode(folder: str) -> Performance:
    """Write with the operator that makes a SEG, which writes a file and reads it back."""
    selected, voxels = _Reading().read(Path(folder, "series"))
    writing, masks = _Writing(Path(folder, "monai")), stack_masks(make_masks(voxels.shape))
    return Performance(lambda: writing.write(masks, selected), segmentation_facts)


def encode_study(folder: str) -> Performance:
    """Read the series, and write a SEG to a file."""
    reading, writing, series = _Reading(), _Writing(Path(folder, "monai study")), Path(folder, "series")
    masks = make_masks(reading.read(series)[1].shape)
    return Performance(lambda: [writing.write(stack_masks(masks), reading.read(series)[0])], study_facts)


class _Reading:
    """The operators that read, called one after the other as the SDK's own tests do, without its graph."""

    def __init__(self) -> None:
        fragment = _fragment()
        self._loader = _operator("dicom_data_loader").DICOMDataLoaderOperator(fragment, name="loader")
        self._selector = _operator("dicom_series_selector").DICOMSeriesSelectorOperator(fragment, name="selector")
        self._to_volume = _operator("dicom_series_to_volume").DICOMSeriesToVolumeOperator(fragment, name="volume")

    def read(self, folder: Path) -> tuple[Any, Any]:
        """Return the selected series, its slices sorted, and its voxels."""
        selected = self._selector.filter(None, self._loader.load_data_to_studies(folder))
        return selected, self._to_volume.convert_to_image(selected).asnumpy()


class _Writing:
    """The operator that writes, into a folder of its own."""

    def __init__(self, folder: Path) -> None:
        module = _operator("dicom_seg_writer")
        descriptions = [
            module.SegmentDescription(
                segment_label=label,
                segmented_property_category=codes.SCT.AnatomicalStructure,
                segmented_property_type=codes.SCT.Lung,
                algorithm_name="Bench",
                algorithm_version="1",
                tracking_id=label,
            )
            for label in STRUCTURES
        ]
        self._folder = folder
        self._writer = module.DICOMSegmentationWriterOperator(
            _fragment(), segment_descriptions=descriptions, output_folder=folder, name="writer"
        )

    def write(self, masks: Any, selected: Any) -> bytes:
        """Return the file that it wrote.

        What the operator documents is one array of labels; a stack of masks, which may overlap, it hands on as well.
        """
        self._writer.process_images(masks, selected, self._folder)
        (file,) = self._folder.iterdir()
        content = file.read_bytes()
        file.unlink()
        return content


def _fragment() -> Any:
    return import_module("monai.deploy.core").Fragment()


def _operator(name: str) -> ModuleType:
    """Import one operator's module alone: its package imports all of them, and with them torch and MONAI."""
    if _OPERATORS not in sys.modules:
        found = find_spec("monai.deploy")
        assert found is not None
        assert found.origin is not None
        package = ModuleType(_OPERATORS)
        package.__path__ = [str(Path(found.origin).with_name("operators"))]
        sys.modules[_OPERATORS] = package
    return import_module(f"{_OPERATORS}.{name}_operator")
