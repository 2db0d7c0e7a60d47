"""Which kinds of results a destination gets: what it can keep or show, and always the report in words."""

from __future__ import annotations

import pytest

from node.results.profiles import kinds_for
from node.results.request import ResultKind
from node.vocabulary import ResultProfile


@pytest.mark.parametrize("profile", ResultProfile)
def test_every_destination_gets_the_report_in_words(profile: ResultProfile) -> None:
    assert ResultKind.TEXT_REPORT in kinds_for(profile)


def test_an_archive_gets_everything() -> None:
    assert kinds_for(ResultProfile.ARCHIVE) == frozenset(ResultKind)


def test_a_viewer_gets_no_report_without_outlines_which_it_would_show_as_an_empty_viewport() -> None:
    assert ResultKind.MEASUREMENT_REPORT not in kinds_for(ResultProfile.OHIF)
    assert ResultKind.CONCLUSION_REPORT not in kinds_for(ResultProfile.OHIF)
    drawn = {ResultKind.SEGMENTATION, ResultKind.CONTOUR_REPORT, ResultKind.FRAME_REPORT}
    assert drawn <= kinds_for(ResultProfile.OHIF)


def test_a_destination_for_pictures_and_text_gets_no_segmentation() -> None:
    assert ResultKind.SEGMENTATION not in kinds_for(ResultProfile.BASIC)
