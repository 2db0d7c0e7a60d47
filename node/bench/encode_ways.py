"""The ways of encoding masks as a BINARY SEG: the node's, and highdicom's as documented."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.archive import Archive
from node.bench.documented_seg import segmentation
from node.bench.facts import segmentation_facts, study_facts
from node.bench.masks import make_masks, stack_masks
from node.bench.performing import Performance
from node.imaging.series import read_volume
from node.imaging.volume import Volume
from node.results.encode import encode_results
from node.results.request import NodeDevice, ResultRequest
from node.results.volume_segmentation import encode_volume_segmentation
from node.vocabulary import Finding, Mask, Measurement, ModelIdentity

CUBIC_CENTIMETRE = Code("cm3", "UCUM", "cubic centimeter")
PINNED_AT = datetime(2026, 1, 2, tzinfo=UTC)


def with_radnode(folder: str) -> Performance:
    """Encode as a worker does."""
    datasets, volume = read_series(folder)
    request = _request(datasets, volume, _findings(make_masks(volume.voxels.shape)))
    return _performance(lambda: encode_volume_segmentation(request))


def with_highdicom(folder: str) -> Performance:
    """Encode as highdicom's documentation shows it, from one array of (slices, rows, columns, segments)."""
    datasets, volume = read_series(folder)
    ordered = sorted(datasets, key=_height)
    masks = make_masks(volume.voxels.shape)
    pixels = stack_masks(masks)
    return _performance(lambda: segmentation(ordered, pixels, list(masks)))


def study_with_radnode(folder: str) -> Performance:
    """Do all that a worker does with a series but run a network: read it, encode all results, keep them durably."""
    findings = _findings(make_masks(read_series(folder)[1].voxels.shape))
    archive = Archive(Path(folder))

    def perform() -> list[bytes]:
        request = _request(*read_series(folder), findings)
        encoded = [result.encoded for result in encode_results(request)]
        for content in encoded:
            archive.store_result(content)
        return encoded

    return Performance(perform, study_facts)


def study_with_highdicom(folder: str) -> Performance:
    """Do the least that a script does: pixel arrays in HU as float64, highdicom's SEG alone, written to a file."""
    masks = make_masks(read_series(folder)[1].voxels.shape)
    target = Path(folder) / "highdicom.dcm"

    def perform() -> list[bytes]:
        datasets = sorted((dcmread(path) for path in _files(folder)), key=_height)
        np.stack([one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in datasets])
        pixels = stack_masks(masks)
        segmentation(datasets, pixels, list(masks)).save_as(target, enforce_file_format=True)
        return [target.read_bytes()]

    return Performance(perform, study_facts)


def read_series(folder: str) -> tuple[list[Dataset], Volume]:
    """Return the instances below the folder, and the volume they form."""
    archive = Archive(Path(folder))
    datasets = list(archive.read_all(str(path.relative_to(folder)) for path in _files(folder)))
    return datasets, read_volume(datasets)


def _files(folder: str) -> list[Path]:
    return sorted((Path(folder) / "series").rglob("*.dcm"))


def _height(dataset: Dataset) -> float:
    return float(dataset.ImagePositionPatient[2])


def _request(datasets: Sequence[Dataset], volume: Volume, findings: tuple[Finding, ...]) -> ResultRequest:
    return ResultRequest(
        sources=tuple(datasets),
        findings=findings,
        remarks=(),
        model=ModelIdentity("bench", "Bench", "1", "0" * 64),
        inputs_digest="0" * 64,
        pinned_at=PINNED_AT,
        device=NodeDevice("RADNODE", version("radnode")),
        slice_sources=volume.sources,
        grid=volume.grid,
    )


def _findings(masks: Mapping[str, Mask]) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            name=label.lower().replace(" ", "_"),
            label=label,
            category=codes.SCT.AnatomicalStructure,
            property_type=codes.SCT.Lung,
            modifier=None,
            colour_rgb=(60, 160, 220),
            mask=mask,
            measurements=(Measurement(codes.SCT.Volume, float(mask.sum()) / 1000, CUBIC_CENTIMETRE),),
        )
        for label, mask in masks.items()
    )


def _performance(encode: Callable[[], Dataset]) -> Performance:
    """Encode to a whole Part 10 file, and state its size, that of its pixels deflated, and their checksum."""

    def perform() -> bytes:
        file = BytesIO()
        encode().save_as(file, enforce_file_format=True)
        return file.getvalue()

    return Performance(perform, segmentation_facts)
