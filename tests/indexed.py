"""Series as the index knows them, made for a test in one line."""

from __future__ import annotations

from typing import Any

from pydicom import uid

from node.studies.traits import IndexedInstance, IndexedSeries

AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
SAGITTAL = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]
CORONAL = [1.0, 0.0, 0.0, 0.0, 0.0, -1.0]


def ct_series(
    number: int = 1, slices: int = 10, step_mm: float = 5.0, without: tuple[int, ...] = (), **header: Any
) -> IndexedSeries:
    """Return an axial CT series of `slices` positions, `step_mm` apart from z = -100, less those left out.

    Header values are by keyword; None takes one out.
    """
    common = {
        "Modality": "CT",
        "SeriesNumber": number,
        "SeriesDescription": f"Series {number}",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "ImageOrientationPatient": AXIAL,
        "SliceThickness": step_mm,
    } | header
    stated = {keyword: value for keyword, value in common.items() if value is not None}
    images = [
        instance(number * 10_000 + i, ImagePositionPatient=[0.0, 0.0, -100.0 + i * step_mm], **stated)
        for i in range(slices)
        if i not in without
    ]
    return IndexedSeries(f"1.2.3.{number}", tuple(images))


def instance(
    number: int = 1, sender: str = "CT1", sop_class: str = uid.CTImageStorage, **header: Any
) -> IndexedInstance:
    """Return one instance with these header values by keyword, sent by `sender` from 10.0.0.7."""
    return IndexedInstance(
        number=number,
        sop_instance_uid=f"1.2.3.9.{number}",
        sha256=f"{number:064x}",
        sop_class_uid=sop_class,
        sender=sender,
        sender_address="10.0.0.7",
        header=header,
    )


def joined(*series: IndexedSeries) -> IndexedSeries:
    """Return one series with the instances of several."""
    return IndexedSeries(series[0].series_instance_uid, tuple(i for one in series for i in one.instances))
