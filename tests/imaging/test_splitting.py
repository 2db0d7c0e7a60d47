"""Phases, echoes and localizers in one series are told apart by an attribute, or the series is refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from volumes import ct_study, mr_study

from node.errors import GantryTilt, RepeatedPositions, SeriesRefused, SeveralVolumes, SingleSlice, UnevenSlices
from node.imaging.series import read_volume, read_volumes
from node.imaging.splitting import SplitKey, split_series


def shuffled(*parts: list[Dataset]) -> list[Dataset]:
    instances = [instance for part in parts for instance in part]
    random.Random(3).shuffle(instances)
    return instances


def uids(instances: list[Dataset]) -> set[str]:
    return {instance.SOPInstanceUID for instance in instances}


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("EchoTime", (4.6, 10.2)),
        ("EchoNumbers", (1, 2)),
        ("TemporalPositionIdentifier", (2, 10)),
        ("AcquisitionNumber", (1, 2)),
        ("DiffusionBValue", (0.0, 800.0)),
        ("ImageType", (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"])),
        ("TriggerTime", (20.0, 400.0)),
        ("StackID", ("1", "2")),
    ],
)
def test_volumes_in_one_series_are_split_by_the_attribute_that_tells_them_apart(
    keyword: str, values: tuple[Any, Any]
) -> None:
    first, second = (mr_study(slices=6, **{keyword: value}) for value in values)
    series = shuffled(first, second)
    parts = split_series(series)
    assert [uids(part) for part in parts.values()] == [uids(first), uids(second)]
    assert all(key.attributes[0][0] == keyword for key in parts)
    with pytest.raises(SeveralVolumes, match=f"{keyword}: found 2 volumes in one series"):
        read_volume(series)


def test_each_part_is_read_as_its_own_volume() -> None:
    series = shuffled(*(ct_study(slices=6, hu=40 * phase, AcquisitionNumber=phase) for phase in (1, 2, 3)))
    volumes = read_volumes(series)
    assert [str(key) for key in volumes] == [f"AcquisitionNumber {phase}" for phase in (1, 2, 3)]
    assert [int(np.unique(volume.voxels)[0]) for volume in volumes.values()] == [40, 80, 120]


def test_magnitude_and_phase_of_two_echoes_are_four_volumes() -> None:
    series = shuffled(
        *(
            mr_study(slices=5, EchoTime=echo, ImageType=["ORIGINAL", "PRIMARY", kind])
            for echo in (4.9, 7.4)
            for kind in ("M", "P")
        )
    )
    assert [key.attributes for key in split_series(series)] == [
        (("ImageType", f"ORIGINAL\\PRIMARY\\{kind}"), ("EchoTime", echo))
        for kind in ("M", "P")
        for echo in ("4.9", "7.4")
    ]


def test_a_localizer_in_the_series_is_set_apart_and_the_volume_read() -> None:
    volume = ct_study()
    localizer = ct_study(orientation="coronal", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[:1]
    parts = split_series(shuffled(volume, localizer))
    assert sorted(map(len, parts.values())) == [1, 20]
    assert [len(read.sources) for read in read_volumes([*localizer, *volume]).values()] == [20]
    with pytest.raises(SeveralVolumes, match="ImageOrientationPatient: found 2 volumes"):
        read_volume([*localizer, *volume])


def test_three_planes_in_one_series_are_three_volumes() -> None:
    series = shuffled(*(mr_study(slices=4, orientation=plane) for plane in ("axial", "sagittal", "coronal")))
    assert [len(part) for part in split_series(series).values()] == [4, 4, 4]


def test_a_series_that_is_one_volume_comes_back_whole() -> None:
    series = ct_study(AcquisitionNumber=lambda index: index // 5)
    assert split_series(series) == {SplitKey(): series}


def test_instances_can_be_split_without_their_pixels() -> None:
    series = shuffled(*(mr_study(slices=5, EchoTime=echo) for echo in (4.9, 7.4)))
    for instance in series:
        del instance.PixelData
    assert len(split_series(series)) == 2


@pytest.mark.parametrize(
    ("make", "refusal"),
    [
        (lambda: ct_study(gap_at=5, AcquisitionNumber=lambda index: index % 3), UnevenSlices),
        (lambda: [*ct_study(), *ct_study(SeriesDescription="Sent again")], RepeatedPositions),
        (lambda: [*ct_study(), *ct_study(AcquisitionNumber=lambda index: index)], RepeatedPositions),
        (lambda: [*ct_study(), *ct_study(AcquisitionNumber=2)[:1]], RepeatedPositions),
        (lambda: ct_study(shear=2.0, AcquisitionNumber=lambda index: index // 10), GantryTilt),
        (lambda: ct_study()[:1], SingleSlice),
    ],
)
def test_a_series_that_no_attribute_makes_consistent_is_refused_for_its_own_reason(
    make: Callable[[], list[Dataset]], refusal: type[SeriesRefused]
) -> None:
    for read in (split_series, read_volumes, read_volume):
        with pytest.raises(refusal):
            read(make())
