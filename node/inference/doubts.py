"""Tells where what a model estimates of a person disagrees strongly with the header: the images may be another's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date

from pydicom.dataset import Dataset

from node.card import AnyOutput, ClassesOutput, ComparedClass, ComparedQuantity, QuantityOutput
from node.vocabulary import Conclusion

_AGE = re.compile(r"(\d{3})([DWMY])")  # PS3.5 6.2, AS
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_PER_YEAR = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}


def find_doubts(
    conclusions: Sequence[Conclusion], outputs: Mapping[str, AnyOutput], source: Dataset
) -> tuple[str, ...]:
    """Return a phrase for each estimate that disagrees strongly with the header of an instance it was made from.

    What strongly means stands in `compared` of the output. Where the header does not state the attribute there is
    no doubt. A phrase holds no value of the patient's, for it goes to the log.
    """
    doubts = []
    for conclusion in conclusions:
        output = outputs[conclusion.name]
        match output:
            case QuantityOutput(compared=ComparedQuantity() as compared):
                is_doubtful = _is_far(conclusion, compared, source)
            case ClassesOutput(compared=ComparedClass() as compared):
                is_doubtful = _is_improbable(conclusion, output, compared, source)
            case _:
                continue
        if is_doubtful:
            doubts.append(f"{output.label} disagrees strongly with {compared.attribute} of the header")
    return tuple(doubts)


def stated_age_years(source: Dataset) -> float | None:
    """Return PatientAge, or the time from PatientBirthDate to StudyDate, in years; None where neither is stated."""
    age = _AGE.fullmatch(str(source.get("PatientAge") or ""))
    if age:
        return int(age[1]) / _PER_YEAR[age[2]]
    birth, study = (_date(source, keyword) for keyword in ("PatientBirthDate", "StudyDate"))
    if birth is None or study is None or study < birth:
        return None
    return (study - birth).days / _PER_YEAR["D"]


def _is_far(conclusion: Conclusion, compared: ComparedQuantity, source: Dataset) -> bool:
    """Say whether the stated age lies outside the 95 % interval, widened as the card says."""
    stated, estimate = stated_age_years(source), conclusion.measurement
    if stated is None or estimate is None or estimate.interval is None:
        return False
    low, high = estimate.interval
    below = compared.intervals * (estimate.value - low)
    above = compared.intervals * (high - estimate.value)
    return not estimate.value - below <= stated <= estimate.value + above


def _is_improbable(
    conclusion: Conclusion, output: ClassesOutput, compared: ComparedClass, source: Dataset
) -> bool:
    """Say whether the stated class is less probable than the card says; one that is no class is no doubt."""
    stated = output.classes.get(str(source.get(compared.attribute) or ""))
    probabilities = {choice.label: choice.probability for choice in conclusion.choices}
    return stated is not None and probabilities[stated.label] < compared.probability


def _date(source: Dataset, keyword: str) -> date | None:
    """Return the date an attribute states; None where it states none that is in the calendar."""
    stated = _DATE.fullmatch(str(source.get(keyword) or ""))
    try:
        return date(int(stated[1]), int(stated[2]), int(stated[3])) if stated else None
    except ValueError:
        return None
