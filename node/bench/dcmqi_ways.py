"""Encoding masks as a SEG with dcmqi's program, which reads them from NRRD files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.bench.encode_ways import read_series
from node.bench.facts import segmentation_facts
from node.bench.masks import make_masks
from node.bench.performing import Performance
from node.imaging.volume_files import write_mask_file

_SCHEMA = "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/schemas/seg-schema.json#"


def with_dcmqi(folder: str) -> Performance:
    """Run itkimage2segimage on masks and a folder of headers that have been written before."""
    _, volume = read_series(folder)
    work = Path(folder) / "dcmqi"
    headers = work / "headers"
    headers.mkdir(parents=True)
    for path in sorted((Path(folder) / "series").rglob("*.dcm")):
        (headers / path.name).symlink_to(path)
    masks = make_masks(volume.voxels.shape)
    files = [work / f"{number}.nrrd" for number in range(len(masks))]
    for file, mask in zip(files, masks.values(), strict=True):
        write_mask_file(mask, volume.grid, file)
    (work / "metadata.json").write_text(json.dumps(_metadata(list(masks))))
    command = _command(files, headers, work)

    def perform() -> bytes:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return (work / "segmentation.dcm").read_bytes()

    return Performance(perform, segmentation_facts)


def _command(files: Sequence[Path], headers: Path, work: Path) -> list[str]:
    program = Path(sys.executable).with_name("itkimage2segimage")
    options = {
        "--inputImageList": ",".join(map(str, files)),
        "--inputDICOMDirectory": str(headers),
        "--inputMetadata": str(work / "metadata.json"),
        "--outputDICOM": str(work / "segmentation.dcm"),
    }
    return [str(program), *(word for option in options.items() for word in option)]


def _metadata(labels: Sequence[str]) -> dict[str, Any]:
    """Return what dcmqi wants to know of each segment."""
    return {
        "@schema": _SCHEMA,
        "ContentCreatorName": "Bench",
        "SeriesDescription": "Bench",
        "SeriesNumber": "100",
        "InstanceNumber": "1",
        "segmentAttributes": [
            [
                {
                    "labelID": 1,
                    "SegmentDescription": label,
                    "SegmentLabel": label,
                    "SegmentAlgorithmType": "AUTOMATIC",
                    "SegmentAlgorithmName": "Bench",
                    "SegmentedPropertyCategoryCodeSequence": _code(codes.SCT.AnatomicalStructure),
                    "SegmentedPropertyTypeCodeSequence": _code(codes.SCT.Lung),
                }
            ]
            for label in labels
        ],
    }


def _code(code: Code) -> dict[str, str]:
    return {
        "CodeValue": code.value,
        "CodingSchemeDesignator": code.scheme_designator,
        "CodeMeaning": code.meaning,
    }
