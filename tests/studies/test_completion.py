"""What the headers of a study say of the instances that are still to come."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from indexed import SAGITTAL, ct_series, instance, joined

from node.studies.completion import Evidence, Patience, judge_completion, weigh_evidence
from node.studies.rehearsal import AssumedSender, read_headers
from node.studies.traits import IndexedSeries

PATIENCE = Patience(quiet_seconds=5.0, gap_seconds=60.0)


def test_a_study_is_complete_at_once_when_all_that_was_announced_is_there() -> None:
    evidence = weigh_evidence([ct_series(slices=10, NumberOfStudyRelatedInstances=10)])
    assert judge_completion(evidence, 0.0, PATIENCE) == "all 10 expected instances"


def test_a_study_that_lacks_announced_instances_waits_longer() -> None:
    evidence = weigh_evidence([ct_series(slices=9, NumberOfStudyRelatedInstances=10)])
    assert judge_completion(evidence, 59.9, PATIENCE) is None
    assert judge_completion(evidence, 60.0, PATIENCE) == "9 of 10 expected instances; waited 60 s"


def test_the_counts_of_all_series_complete_a_study_whose_number_of_series_is_known() -> None:
    counted = {"NumberOfSeriesRelatedInstances": 10, "NumberOfStudyRelatedSeries": 2}
    assert weigh_evidence([ct_series(1, **counted)]) == Evidence()
    both = weigh_evidence([ct_series(1, **counted), ct_series(2, **counted)])
    assert both.all_there == "all 2 expected series with 20 instances"


def test_the_count_of_a_series_says_nothing_of_the_series_still_to_come() -> None:
    evidence = weigh_evidence([ct_series(1, NumberOfSeriesRelatedInstances=10)])
    assert judge_completion(evidence, 4.9, PATIENCE) is None
    assert judge_completion(evidence, 5.0, PATIENCE) == "quiet for 5 s"


def test_a_series_with_fewer_instances_than_it_states_is_named() -> None:
    evidence = weigh_evidence([ct_series(3, slices=9, NumberOfSeriesRelatedInstances=10)])
    assert evidence.missing == ("9 of 10 expected instances in series 3",)


def test_an_acquisition_with_fewer_images_than_it_states_is_named() -> None:
    one = ct_series(3, slices=4, AcquisitionNumber=1, ImagesInAcquisition=4)
    other = ct_series(3, slices=3, AcquisitionNumber=2, ImagesInAcquisition=4)
    assert weigh_evidence([joined(one, other)]).missing == ("3 of 4 images of an acquisition in series 3",)


def test_frames_are_counted_where_an_acquisition_is_one_instance() -> None:
    enhanced = IndexedSeries("1.2.3.7", (instance(NumberOfFrames=96, ImagesInAcquisition=96),))
    assert weigh_evidence([enhanced]) == Evidence()


def test_a_hole_between_slices_is_found_and_placed() -> None:
    evidence = weigh_evidence([ct_series(2, slices=10, without=(4,))])
    assert evidence.missing == ("gap at z = -80.0 mm (1 missing) in series 2",)
    assert judge_completion(evidence, 60.0, PATIENCE) == "gap at z = -80.0 mm (1 missing) in series 2; waited 60 s"


def test_a_hole_in_a_study_of_which_all_was_announced_is_noted_and_not_waited_for() -> None:
    evidence = weigh_evidence([ct_series(2, slices=10, without=(4,), NumberOfStudyRelatedInstances=9)])
    reason = "all 9 expected instances; gap at z = -80.0 mm (1 missing) in series 2"
    assert judge_completion(evidence, 0.0, PATIENCE) == reason


def test_a_sender_more_patient_than_the_wait_for_a_gap_keeps_its_own() -> None:
    evidence = weigh_evidence([ct_series(without=(4,))])
    assert judge_completion(evidence, 90.0, Patience(quiet_seconds=120.0, gap_seconds=60.0)) is None


@pytest.mark.parametrize("without", [(), (0,), (9,), (0, 1, 9)])
def test_slices_missing_at_an_end_make_no_hole(without: tuple[int, ...]) -> None:
    assert weigh_evidence([ct_series(without=without)]) == Evidence()


def test_slices_in_any_order_make_no_hole() -> None:
    series = ct_series(slices=9)
    odd_first = IndexedSeries("1.2.3.1", series.instances[1::2] + series.instances[::2])
    assert weigh_evidence([odd_first]) == Evidence()


def test_a_scan_in_two_blocks_has_no_hole() -> None:
    base, vertex = ct_series(slices=14, step_mm=5.0), ct_series(slices=13, step_mm=10.0)
    moved = [i.header | {"ImagePositionPatient": [0.0, 0.0, 70.0 + 10 * n]} for n, i in enumerate(vertex.instances)]
    blocks = [*base.instances, *(instance(900 + n, **header) for n, header in enumerate(moved))]
    assert weigh_evidence([IndexedSeries("1.2.3.1", tuple(blocks))]) == Evidence()


def test_a_second_echo_does_not_hide_a_hole_in_the_first() -> None:
    echoes = joined(ct_series(EchoNumbers=1, without=(4,)), ct_series(EchoNumbers=2))
    assert weigh_evidence([echoes]).missing == ("gap at z = -80.0 mm (1 missing) in series 1",)


def test_a_scout_in_another_plane_makes_no_hole() -> None:
    scout = instance(900, ImageOrientationPatient=SAGITTAL, ImagePositionPatient=[3.0, 0.0, 0.0], SeriesNumber=1)
    series = ct_series(slices=10)
    assert weigh_evidence([IndexedSeries("1.2.3.1", (*series.instances, scout))]) == Evidence()


@pytest.mark.parametrize(
    ("archive", "missing"),
    [
        ("dicom_series/ct_chest_philips_lidc_138of275", ()),
        ("dicom_series/ct_head_ge_gantrytilt_28", ()),
        ("mr_dicom/mr_pd_axial_ge_signa_5mm_20", ()),
        ("mr_dicom/mr_enhanced_t1_siemens_xa30_96frames", ()),
        ("mr_dicom/mr_t1_memprage_siemens_trio_175", ("gap at x = -29.6 mm (1 missing) in series 5",)),
    ],
)
def test_real_series_have_a_hole_only_where_a_slice_is_missing(
    shared: Path, tmp_path: Path, archive: str, missing: tuple[str, ...]
) -> None:
    with tarfile.open(shared / "data" / f"{archive}.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    files = list(read_headers(sorted(path for path in tmp_path.rglob("*") if path.is_file()), AssumedSender()))
    series = IndexedSeries(files[0].series_instance_uid, tuple(file.instance for file in files if file.instance))
    assert len(series.instances) == len(files)
    assert weigh_evidence([series]).missing == missing
