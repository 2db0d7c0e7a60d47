"""Requests for results of real chest radiographs, with the reference masks as what the model found."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from builders import chest_dx
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.results.encode import encode_results
from node.results.request import KeyPicture, NodeDevice, ResultKind, ResultRequest
from node.vocabulary import Finding, Mask, Measurement, ModelIdentity

PICTURE = "1676264"
SQUARE_CENTIMETRE = Code("cm2", "UCUM", "square centimeter")
PIXEL_CM2 = 0.0049
MODEL = ModelIdentity("chest_dx_lungs", "Lungs on chest radiographs", "1.2.3", "c0ffee" * 10 + "c0de")
NO_AREA = "No area is stated: the header gives no distance between pixels."
PINNED_AT = datetime(2025, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
ODD_SIZE = (slice(0, 333), slice(0, 467))


def lung_mask(shared: Path) -> Mask:
    """Return the reference mask of the picture, both lungs in one."""
    return np.asarray(Image.open(shared / f"data/cxr_v7/open/masks/{PICTURE}.png")) == 255


def lung_dx(shared: Path, crop: tuple[slice, slice] | None = None, **facts: Any) -> Dataset:
    """Return the picture as a DX instance without its pixel data, as the encoder may get it."""
    picture = np.asarray(Image.open(shared / f"data/cxr_v7/open/images/{PICTURE}.jpg").convert("L"))
    return chest_dx(picture if crop is None else picture[crop], **facts)


def finding(
    mask: Mask, side: str = "", *, is_measured: bool = True, measurements: tuple[Measurement, ...] = ()
) -> Finding:
    """Return a lung, or the lung of a side, with the measurements, or with its area when there are none."""
    area = Measurement(codes.SCT.Area, float(mask.sum()) * PIXEL_CM2, SQUARE_CENTIMETRE, "at the detector")
    return Finding(
        name=f"{side}_lung".lstrip("_"),
        label=f"{side} lung".strip().capitalize(),
        category=codes.SCT.AnatomicalStructure,
        property_type=codes.SCT.Lung,
        modifier={"right": codes.SCT.Right, "left": codes.SCT.Left, "": None}[side],
        colour_rgb=(60, 160, 220) if side == "right" else (220, 120, 60),
        mask=mask,
        measurements=measurements or ((area,) if is_measured else ()),
    )


def request(source: Dataset, findings: Iterable[Finding], **facts: Any) -> ResultRequest:
    """Return a request whose other values are fixed, so that equal sources give equal requests."""
    uids = f"{source.get('StudyInstanceUID')} {source.get('SOPInstanceUID')}"
    values: dict[str, Any] = {
        "remarks": (),
        "model": MODEL,
        "inputs_digest": sha256(uids.encode()).hexdigest(),
        "pinned_at": PINNED_AT,
        "device": NodeDevice("RADNODE", "0.1.0"),
    }
    return ResultRequest(sources=(source,), findings=tuple(findings), **(values | facts))


def two_lungs(shared: Path, **facts: Any) -> ResultRequest:
    """Return right and left lung of a DX that states spacing and orientation."""
    mask = lung_mask(shared)
    middle = 226  # column, between the lungs of this picture
    right, left = mask.copy(), mask.copy()
    right[:, middle:], left[:, :middle] = False, False
    source = lung_dx(shared, **facts)
    picture = KeyPicture(np.linspace(0, 1, mask.size, dtype=np.float32).reshape(mask.shape))
    return request(source, [finding(right, "right"), finding(left, "left")], picture=picture)


def unsided_lungs(shared: Path) -> ResultRequest:
    """Return both lungs as one finding without area, of an odd-sized DX without spacing and orientation."""
    source = lung_dx(shared, ODD_SIZE, spacing=None, PatientOrientation=None, patient_id="PHANTOM-002")
    return request(source, [finding(lung_mask(shared)[ODD_SIZE], is_measured=False)], remarks=(NO_AREA,))


def nothing_found(shared: Path) -> ResultRequest:
    """Return a request without findings."""
    return request(lung_dx(shared, patient_id="PHANTOM-003"), [])


def found_on(path: Path) -> ResultRequest:
    """Return two separate regions, one at the edge of the picture, found on a file of a real device."""
    source = dcmread(path, stop_before_pixels=True)
    mask = np.zeros((source.Rows, source.Columns), dtype=bool)
    mask[10:100, 0:60] = True
    mask[120 : source.Rows, 90:130] = True
    return request(source, [finding(mask, is_measured=False)], remarks=(NO_AREA,))


def encoded(result_request: ResultRequest) -> dict[ResultKind, Dataset]:
    """Return the encoded results as a receiver reads them."""
    return {result.kind: dcmread(BytesIO(result.encoded)) for result in encode_results(result_request)}


def content_items(parent: Dataset) -> list[Dataset]:
    """Return every content item below the parent, depth first."""
    items: list[Dataset] = []
    for child in parent.get("ContentSequence", []):
        items += [child, *content_items(child)]
    return items


def items_named(report: Dataset, code_value: str) -> list[Dataset]:
    """Return the content items of a report whose concept name has this code value."""
    return [
        item
        for item in content_items(report)
        if "ConceptNameCodeSequence" in item and item.ConceptNameCodeSequence[0].CodeValue == code_value
    ]
