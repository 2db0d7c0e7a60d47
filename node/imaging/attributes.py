"""Numbers read from a header that anyone may have written: finite, counted, or refused by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from node.errors import StudyRefused
from node.plain_values import UNREADABLE, read_value


@dataclass(frozen=True)
class NumberReader:
    """Reads numbers of one instance; what cannot be used raises `refusal` naming the attribute."""

    dataset: Dataset
    refusal: type[StudyRefused]

    def all(self, keyword: str) -> tuple[float, ...]:
        """Return every value of the attribute; none if it is absent or empty."""
        try:
            value = read_value(self.dataset, keyword)
            if value is None or value == "":
                return ()
            is_one = type(value) is float or not isinstance(value, list | MultiValue | Sequence)
            numbers = (float(value),) if is_one else tuple(map(float, value))
        except UNREADABLE as error:
            raise self.refusal(
                f"{keyword}: found a value that is no number ({error}), expected decimal numbers; "
                "correct the header and send again"
            ) from error
        if not all(map(math.isfinite, numbers)):
            raise self.refusal(
                f"{keyword}: found {list(numbers)}, expected finite numbers; correct the header and send again"
            )
        return numbers

    def first(self, keyword: str) -> float | None:
        """Return the first value, or None if the attribute is absent or empty."""
        numbers = self.all(keyword)
        return numbers[0] if numbers else None

    def whole(self, keyword: str) -> int | None:
        """Return the only value as a whole number, or None if the attribute is absent or empty."""
        numbers = self.all(keyword)
        if not numbers:
            return None
        if len(numbers) > 1 or numbers[0] != int(numbers[0]):
            raise self.refusal(
                f"{keyword}: found {len(numbers)} values beginning with {numbers[0]:g}, expected one whole "
                "number; correct the header and send again"
            )
        return int(numbers[0])


def words(header: Dataset, keyword: str) -> tuple[str, ...]:
    """Return every value of a text attribute, such as ImageType; none if it is absent or empty."""
    value = read_value(header, keyword)
    if value is None or value == "":
        return ()
    return tuple(map(str, value)) if isinstance(value, MultiValue | list | tuple) else (str(value),)
