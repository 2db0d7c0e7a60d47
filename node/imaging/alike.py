"""What the headers of a series have in common is read once: most slices differ in a position and a UID."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Concatenate, ParamSpec, TypeVar

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from node.plain_values import tag_of

Answer = TypeVar("Answer")
Others = ParamSpec("Others")
Reading = Callable[Concatenate[Dataset, Others], Answer]


def once_if_alike(*keywords: str) -> Callable[[Reading[Others, Answer]], Reading[Others, Answer]]:
    """Let a function return what it last did, for a header that has the same elements with these keywords.

    The function reads nothing else of the header, returns what nobody changes, and needs its other arguments only to
    say what is wrong. Elements that were decoded, so that they may have been changed since, are read each time.
    """
    tags = [tag_of(tag) for tag in map(tag_for_keyword, keywords) if tag is not None]

    def decorate(read: Reading[Others, Answer]) -> Reading[Others, Answer]:
        last: tuple[list[object], Answer] | None = None

        def read_once(header: Dataset, /, *others: Others.args, **named: Others.kwargs) -> Answer:
            nonlocal last
            # The keys are those of a dict, which pydicom does not say; its own look-up takes twice as long.
            elements: list[object] = list(map(header.keys().mapping.get, tags))  # type: ignore[attr-defined]
            known = last  # another thread may have read another header by the next line
            if known is not None and known[0] == elements:
                return known[1]
            answer = read(header, *others, **named)
            if all(element is None or isinstance(element, RawDataElement) for element in elements):
                last = elements, answer
            return answer

        update_wrapper(read_once, read)
        return read_once

    return decorate
