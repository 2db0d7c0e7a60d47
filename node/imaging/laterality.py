"""Which of a pair, such as the eyes, an image shows, as far as its header says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

SIDES = frozenset({"R", "L"})


def stated_laterality(header: Dataset) -> str:
    """Return "R" or "L"; "" where the header states none, both, or one side here and the other there.

    It may stand in ImageLaterality, in Laterality of the series, or in the anatomy that all frames share
    (PS3.3 C.8.17.5, C.7.3.1, C.7.6.16.2.8).
    """
    stated = {side for side in _stated(header) if side}
    side = stated.pop() if len(stated) == 1 else ""
    return side if side in SIDES else ""


def _stated(header: Dataset) -> Iterator[str]:
    yield _word(header, "ImageLaterality")
    yield _word(header, "Laterality")
    for shared in _items(header, "SharedFunctionalGroupsSequence"):
        for anatomy in _items(shared, "FrameAnatomySequence"):
            yield _word(anatomy, "FrameLaterality")


def _word(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip().upper()


def _items(header: Dataset, keyword: str) -> Sequence[Dataset]:
    """Return the items of a sequence; none where the header holds something else under its name."""
    if keyword not in header or header[keyword].VR != "SQ":
        return ()
    items: Sequence[Dataset] = header[keyword].value or ()
    return items
