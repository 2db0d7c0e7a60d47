"""What the index keeps of a header."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest
from indexed import instance
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from node.studies.header import select_header
from node.studies.traits import read_traits


def coded(code_value: str, scheme: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code_value, scheme
    return item


def test_a_code_is_kept_as_scheme_and_value() -> None:
    header = Dataset()
    header.AnatomicRegionSequence = [coded(codes.SCT.Lung.value, "SCT"), coded("T-28000", "SRT")]
    assert select_header(header) == {"AnatomicRegionSequence": [f"SCT:{codes.SCT.Lung.value}", "SRT:T-28000"]}


def test_what_the_header_leaves_empty_is_not_kept() -> None:
    header = Dataset()
    header.BodyPartExamined, header.SliceThickness, header.ImageType = "", None, None
    assert select_header(header) == {}


def test_nothing_of_the_patient_is_kept() -> None:
    header = Dataset()
    header.PatientName, header.PatientID, header.PatientBirthDate = "Made^Up", "P1", "19700101"
    assert select_header(header) == {}


def test_an_enhanced_instance_states_its_geometry_in_functional_groups() -> None:
    def group(name: str, **values: object) -> Dataset:
        outer, inner = Dataset(), Dataset()
        for keyword, value in values.items():
            setattr(inner, keyword, value)
        setattr(outer, name, [inner])
        return outer

    header = Dataset()
    shared = group("PlaneOrientationSequence", ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared.update(group("PixelMeasuresSequence", SliceThickness=2, PixelSpacing=[1, 1]))
    header.SharedFunctionalGroupsSequence = [shared]
    header.PerFrameFunctionalGroupsSequence = [
        group("PlanePositionSequence", ImagePositionPatient=[0, 0, z]) for z in (0, 2, 4)
    ]
    kept = select_header(header)
    assert (kept["SliceThickness"], kept["ImageOrientationPatient"]) == (2.0, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    assert kept["ImagePositionPatient"] == [[0.0, 0.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 4.0]]


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("written", [b"1,5", b"nan", b"thin"])
def test_a_number_that_is_none_counts_as_not_stated(written: bytes) -> None:
    encoded = b"\x08\x00\x60\x00CS\x02\x00CT" + b"\x18\x00\x50\x00DS\x04\x00" + written.ljust(4)
    kept = select_header(dcmread(BytesIO(encoded), force=True))
    traits = read_traits(instance(**kept))
    assert (traits.modality, traits.slice_thickness_mm) == ("CT", None)


def test_a_value_that_cannot_be_read_counts_as_not_stated() -> None:
    encoded = b"\x08\x00\x60\x00CS\x02\x00CT" + b"\x28\x00\x10\x00US\x03\x00abc"
    assert select_header(dcmread(BytesIO(encoded), force=True)) == {"Modality": "CT"}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_real_header_is_kept_as_json(shared: Path) -> None:
    paths = sorted((shared / "data" / "dicom_misc").rglob("*.dcm"))
    assert len(paths) > 100
    for path in paths:
        try:
            header = dcmread(path, stop_before_pixels=True, force=True)
        except (AttributeError, EOFError, KeyError, NotImplementedError, ValueError):
            continue  # what pydicom cannot read at all never reaches the index
        json.dumps(select_header(header), allow_nan=False)
