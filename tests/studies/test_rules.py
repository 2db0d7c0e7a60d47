"""Rules and the reasons they give."""

from dataclasses import replace

from pydicom import uid

from node.catalog import InputPart
from node.settings import Rule
from node.studies.rules import Traits, judge

CHEST = Traits(
    modality="DX",
    body_part="CHEST",
    sop_class_uid=uid.DigitalXRayImageStorageForPresentation,
    view_position="PA",
    study_description="Thorax p.a.",
    series_description="",
    calling_ae_title="XRAY1",
)
ANYTHING = InputPart(level="instance")


def rule(**criteria: object) -> Rule:
    return Rule(name="r", model="m", destination=("sender",), **criteria)  # type: ignore[arg-type]


def test_a_rule_without_criteria_matches_everything() -> None:
    verdict = judge(rule(), ANYTHING, CHEST)
    assert verdict.is_match
    assert verdict.reasons == ("the rule asks for nothing",)


def test_every_criterion_is_reported_also_after_one_has_failed() -> None:
    verdict = judge(rule(modality=("CT",), body_part=("CHEST",), sender=("OTHER",)), ANYTHING, CHEST)
    assert not verdict.is_match
    assert verdict.reasons == (
        "Modality 'DX' does not match 'CT'",
        "BodyPartExamined 'CHEST' matches 'CHEST'",
        "sender 'XRAY1' does not match 'OTHER'",
    )


def test_upper_and_lower_case_are_one() -> None:
    assert judge(rule(body_part=("chest",)), ANYTHING, CHEST).is_match


def test_a_description_is_searched_in_study_and_series() -> None:
    assert judge(rule(description="thorax"), ANYTHING, CHEST).is_match
    in_series = replace(CHEST, study_description="", series_description="THORAX")
    assert judge(rule(description="thorax"), ANYTHING, in_series).is_match
    assert not judge(rule(description="^knee"), ANYTHING, CHEST).is_match


def test_a_sop_class_is_named_by_keyword() -> None:
    assert judge(rule(sop_class=("DigitalXRayImageStorageForPresentation",)), ANYTHING, CHEST).is_match
    verdict = judge(rule(sop_class=("CTImageStorage",)), ANYTHING, CHEST)
    assert verdict.reasons == ("SOP class 'DigitalXRayImageStorageForPresentation' does not match 'CTImageStorage'",)


def test_what_the_model_wants_is_asked_too_and_named_as_the_models() -> None:
    wanted = InputPart(level="instance", view_position=("PA", "AP", ""))
    lateral = judge(rule(), wanted, replace(CHEST, view_position="LL"))
    assert not lateral.is_match
    assert lateral.reasons == ("ViewPosition 'LL' does not match 'PA' or 'AP' or '' (model m)",)
    assert judge(rule(), wanted, replace(CHEST, view_position="")).is_match
