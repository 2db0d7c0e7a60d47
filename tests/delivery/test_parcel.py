"""What a file to send is: read from its first bytes as pydicom reads it from all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread, uid
from pynetdicom.dsutils import split_dataset

from node.delivery.parcel import Parcel, read_parcel
from node.errors import DeliveryRefused

EXPLICIT, IMPLICIT = str(uid.ExplicitVRLittleEndian), str(uid.ImplicitVRLittleEndian)


def as_pydicom_reads(path: Path) -> Parcel:
    meta, start = split_dataset(path)
    header = dcmread(path, stop_before_pixels=True)
    size = path.stat().st_size - start
    return Parcel(path, start, size, header.SOPClassUID, header.SOPInstanceUID, meta.TransferSyntaxUID)


def has_uids(path: Path) -> bool:
    header = dcmread(path, force=True, stop_before_pixels=True)
    return "SOPClassUID" in header and "SOPInstanceUID" in header


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom finds fault with some of them
def test_every_real_file_is_what_pydicom_says(shared: Path) -> None:
    paths = sorted((shared / "data" / "dicom_misc").glob("*.dcm"))
    paths += sorted((shared / "data" / "dicom_series").rglob("*.dcm"))[::20]
    readable = [path for path in paths if has_uids(path)]
    assert len(readable) > 20
    for path in readable:
        assert read_parcel(path) == as_pydicom_reads(path)


@pytest.fixture
def small(shared: Path) -> Path:
    (path,) = (shared / "data" / "dicom_misc").glob("*SR_d694cc*.dcm")
    return path


def rewritten(source: Path, target: Path, syntax: uid.UID = uid.ExplicitVRLittleEndian, **changes: Any) -> Path:
    dataset = dcmread(source)
    dataset.file_meta.TransferSyntaxUID = syntax
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(target, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    return target


@pytest.mark.parametrize(
    "syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian]
)
def test_whatever_the_transfer_syntax_it_is_what_pydicom_says(small: Path, tmp_path: Path, syntax: uid.UID) -> None:
    path = rewritten(small, tmp_path / "one.dcm", syntax)
    assert read_parcel(path) == as_pydicom_reads(path)


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian])
def test_of_a_file_like_most_pydicom_reads_nothing(
    small: Path, tmp_path: Path, syntax: uid.UID, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rewritten(small, tmp_path / "one.dcm", syntax)
    expected = as_pydicom_reads(path)

    def read(path: Path) -> None:
        raise AssertionError(f"{path} is read in ten times the time")

    monkeypatch.setattr("node.delivery.parcel.split_dataset", read)
    assert read_parcel(path) == expected


@pytest.mark.parametrize(
    ("syntax", "others"),
    [(EXPLICIT, [IMPLICIT]), (IMPLICIT, []), (str(uid.RLELossless), []), (str(uid.ExplicitVRBigEndian), [])],
)
def test_only_what_is_in_explicit_vr_little_endian_may_go_out_otherwise(syntax: str, others: list[str]) -> None:
    parcel = Parcel(Path("one.dcm"), 400, 100, "1.2", "1.2.3", syntax)
    assert parcel.contexts == (("1.2", syntax), *(("1.2", other) for other in others))


def test_uids_behind_more_than_the_first_bytes_are_found(small: Path, tmp_path: Path) -> None:
    path = rewritten(small, tmp_path / "one.dcm", ImageType=["ORIGINAL" * 2] * 400)
    assert read_parcel(path) == as_pydicom_reads(path)


@pytest.mark.parametrize("left", [0, 100, 131, 135, 140, 300, 400])
def test_a_file_that_is_cut_off_before_its_uids_is_refused_by_name(small: Path, tmp_path: Path, left: int) -> None:
    path = tmp_path / "cut.dcm"
    path.write_bytes(small.read_bytes()[:left])
    with pytest.raises(DeliveryRefused, match=r"cut\.dcm"):
        read_parcel(path)


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID"])
def test_a_file_without_one_of_its_uids_is_refused_by_name(small: Path, tmp_path: Path, keyword: str) -> None:
    dataset = dcmread(small)
    delattr(dataset, keyword)
    path = tmp_path / "bare.dcm"
    dataset.save_as(path, enforce_file_format=False)
    with pytest.raises(DeliveryRefused, match=r"bare\.dcm"):
        read_parcel(path)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID"])
@pytest.mark.parametrize("before", [1, 400], ids=["within the first bytes", "behind them"])
def test_a_uid_that_no_request_can_name_is_refused_with_its_file(
    small: Path, tmp_path: Path, keyword: str, before: int
) -> None:
    path = rewritten(small, tmp_path / "odd.dcm", ImageType=["ORIGINAL" * 2] * before, **{keyword: "1.2.8877"})
    path.write_bytes(path.read_bytes().replace(b"1.2.8877", b"1.2.887\xe9"))
    with pytest.raises(DeliveryRefused, match=r"odd\.dcm: found a UID"):
        read_parcel(path)
