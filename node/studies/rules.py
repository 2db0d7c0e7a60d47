"""Rules: which like instances of a series a model wants, and the reason either way."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.uid import UID

from node.catalog import InputPart
from node.settings import Rule


@dataclass(frozen=True)
class Traits:
    """What rules look at; instances of a series that share all of it are decided as one."""

    modality: str
    body_part: str
    sop_class_uid: str
    view_position: str
    study_description: str
    series_description: str
    calling_ae_title: str

    @property
    def sop_class(self) -> str:
        """Return the SOP class by keyword, or its UID when it has none."""
        return UID(self.sop_class_uid).keyword or self.sop_class_uid


@dataclass(frozen=True)
class Verdict:
    """Whether everything asked for was found, and one sentence for each thing looked at."""

    is_match: bool
    reasons: tuple[str, ...]


def judge(rule: Rule, wanted: InputPart, traits: Traits) -> Verdict:
    """Try a rule, then the input its model wants, on instances with these traits.

    Every criterion is looked at, also after one has failed, so that the stored reasons are whole.
    """
    checks = [*_check_rule(rule, traits), *_check_input(rule.model, wanted, traits)]
    reasons = tuple(sentence for _, sentence in checks)
    return Verdict(all(is_met for is_met, sentence in checks), reasons or ("the rule asks for nothing",))


_Check = tuple[bool, str]


def _check_rule(rule: Rule, traits: Traits) -> Iterable[_Check]:
    yield from _one_of("Modality", traits.modality, rule.modality)
    yield from _one_of("BodyPartExamined", traits.body_part, rule.body_part)
    yield from _one_of("SOP class", traits.sop_class, rule.sop_class)
    yield from _one_of("sender", traits.calling_ae_title, rule.sender)
    if rule.description:
        texts = (traits.study_description, traits.series_description)
        is_met = any(re.search(rule.description, text, re.IGNORECASE) for text in texts)
        yield is_met, f"description {_quote(texts)} {_verb(is_met)} {rule.description!r}"


def _check_input(model: str, wanted: InputPart, traits: Traits) -> Iterable[_Check]:
    owner = f" (model {model})"
    yield from _one_of("Modality", traits.modality, wanted.modality, owner)
    yield from _one_of("BodyPartExamined", traits.body_part, wanted.body_part, owner)
    yield from _one_of("SOP class", traits.sop_class, wanted.sop_class, owner)
    yield from _one_of("ViewPosition", traits.view_position, wanted.view_position, owner)


def _one_of(name: str, found: str, expected: tuple[str, ...], owner: str = "") -> Iterable[_Check]:
    """Check one value against a list, ignoring case; an empty list asks for nothing."""
    if expected:
        is_met = found.casefold() in {value.casefold() for value in expected}
        yield is_met, f"{name} {found!r} {_verb(is_met)} {_quote(expected)}{owner}"


def _verb(is_met: bool) -> str:
    return "matches" if is_met else "does not match"


def _quote(values: Iterable[str]) -> str:
    return " or ".join(repr(value) for value in values)
