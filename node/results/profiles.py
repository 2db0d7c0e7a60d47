"""Which kinds of result objects a destination gets, by the profile that peers.toml names."""

from __future__ import annotations

from node.results.request import ResultKind
from node.vocabulary import ResultProfile

_KINDS = {
    ResultProfile.ARCHIVE: frozenset(ResultKind),
    # OHIF shows an empty viewport for a report in which some group has no outline.
    ResultProfile.OHIF: frozenset(
        {
            ResultKind.SEGMENTATION,
            ResultKind.CONTOUR_REPORT,
            ResultKind.FRAME_REPORT,
            ResultKind.TEXT_REPORT,
            ResultKind.PARAMETRIC_MAP,
            ResultKind.DERIVED_SERIES,
        }
    ),
    ResultProfile.BASIC: frozenset({ResultKind.TEXT_REPORT, ResultKind.KEY_IMAGE, ResultKind.DERIVED_SERIES}),
}


def kinds_for(profile: ResultProfile) -> frozenset[ResultKind]:
    """Return the kinds a destination with this profile gets; each holds at least the report in words.

    A job without findings makes that report only, so that every destination hears of it.
    """
    return _KINDS[profile]
