"""Which jobs come of rules and series, and the reasons either way."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from indexed import ct_series, instance, joined

from node.selector import InputSelector
from node.settings import Rule
from node.studies.rules import check_instance
from node.studies.selection import Selection, apply_rules
from node.studies.traits import IndexedSeries


def wanted(level: str = "series", **criteria: Any) -> InputSelector:
    return InputSelector(level=level, **criteria)


def rule(**criteria: Any) -> Rule:
    return Rule(**{"name": "r", "model": "m", "destination": ("sender",)} | criteria)


def select(*series: IndexedSeries, rules: tuple[Rule, ...] = (), **inputs: InputSelector) -> Selection:
    return apply_rules(rules or (rule(),), {"m": inputs or {"image": wanted()}}, series)


def chosen(made: Selection) -> list[dict[str, list[str]]]:
    """Name the series of each input of each job by their number."""
    return [
        {role: sorted({str(i.header["SeriesNumber"]) for i in images}) for role, images in job.inputs.by_role.items()}
        for job in made.jobs
    ]


def test_each_series_that_fits_is_a_job() -> None:
    made = select(ct_series(1), ct_series(2, Modality="MR"), ct_series(3), image=wanted(modality=("CT",)))
    assert chosen(made) == [{"image": ["1"]}, {"image": ["3"]}]
    assert [(d.instances, d.is_match) for d in made.decisions] == [(10, True), (10, False), (10, True)]


def test_at_the_level_of_instances_each_that_fits_is_a_job() -> None:
    mixed = joined(ct_series(1, slices=2), ct_series(1, slices=1, ViewPosition="LL"))
    made = select(mixed, image=wanted("instance", view_position=("",)))
    assert [len(job.inputs.instances) for job in made.jobs] == [1, 1]


def test_images_that_do_not_fit_are_left_out_of_their_series() -> None:
    scout = ct_series(1, slices=2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    made = select(
        IndexedSeries("1.2.3.1", (*scout.instances, *ct_series(1, slices=30).instances[2:])),
        image=wanted(image_type=("!LOCALIZER",), slices={"min": 20}),
    )
    assert [len(job.inputs.instances) for job in made.jobs] == [28]
    assert [(d.instances, d.is_match) for d in made.decisions] == [(2, False), (28, True)]


def test_what_is_asked_of_the_whole_series_counts_the_images_that_fit() -> None:
    scouts = ct_series(1, slices=30, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    made = select(
        IndexedSeries("1.2.3.1", (*scouts.instances[:25], *ct_series(1, slices=30).instances[25:])),
        image=wanted(image_type=("!LOCALIZER",), slices={"min": 20}),
    )
    assert made.jobs == ()
    assert "slices 5 does not match at least 20 (model m)" in made.decisions[1].reasons


def test_the_thinnest_series_is_taken_and_the_others_say_why_not() -> None:
    made = select(ct_series(1, step_mm=5.0), ct_series(2, step_mm=1.0), image=wanted(choose="thinnest"))
    assert chosen(made) == [{"image": ["2"]}]
    assert [(d.is_match, d.reasons) for d in made.decisions] == [
        (False, ("thinnest: 5 mm, of 1 mm, 5 mm",)),
        (True, ("thinnest: 1 mm, of 1 mm, 5 mm",)),
    ]


def test_a_series_that_states_no_thickness_goes_by_the_distance_of_its_slices() -> None:
    made = select(
        ct_series(1, step_mm=5.0), ct_series(2, step_mm=1.0, SliceThickness=None), image=wanted(choose="thinnest")
    )
    assert chosen(made) == [{"image": ["2"]}]


def test_the_largest_series_has_the_most_slices() -> None:
    enhanced = IndexedSeries("1.2.3.7", (instance(7, Modality="CT", SeriesNumber=7, NumberOfFrames=96),))
    made = select(ct_series(1, slices=30), enhanced, image=wanted(choose="largest"))
    assert chosen(made) == [{"image": ["7"]}]
    assert made.decisions[0].reasons == ("largest: 30 slices, of 96 slices, 30 slices",)


def test_the_latest_series_began_last() -> None:
    early = ct_series(1, SeriesDate="20260301", SeriesTime="120000")
    late = ct_series(2, SeriesDate="20260301", SeriesTime="1201")
    unknown = ct_series(3)
    assert chosen(select(early, late, unknown, image=wanted(choose="latest"))) == [{"image": ["2"]}]


def test_the_only_series_that_fits_is_said_to_be_that() -> None:
    made = select(ct_series(1), ct_series(2, Modality="MR"), image=wanted(modality=("CT",), choose="thinnest"))
    assert made.decisions[0].reasons[-1] == "thinnest: 5 mm, no other series fits"


def test_of_series_that_compare_equal_the_same_is_taken_in_any_order() -> None:
    one, two = ct_series(1), ct_series(2)
    made = [chosen(select(*series, image=wanted(choose="thinnest"))) for series in ((one, two), (two, one))]
    assert made[0] == made[1] == [{"image": ["1"]}]


T1 = {"plain": wanted(contrast=False), "contrast": wanted(contrast=True)}


def test_a_model_with_two_inputs_gets_a_series_of_each() -> None:
    made = select(ct_series(1), ct_series(2, ContrastBolusAgent="X"), **T1)
    assert chosen(made) == [{"plain": ["1"], "contrast": ["2"]}]
    assert "ContrastBolusAgent '' matches no contrast agent (input plain of model m)" in made.decisions[0].reasons


def test_every_combination_of_the_inputs_is_a_job() -> None:
    made = select(ct_series(1), ct_series(2), ct_series(3, ContrastBolusAgent="X"), **T1)
    assert chosen(made) == [{"plain": ["1"], "contrast": ["3"]}, {"plain": ["2"], "contrast": ["3"]}]


def test_without_a_required_input_there_is_no_job_and_the_others_say_so() -> None:
    made = select(ct_series(1), **T1)
    assert made.jobs == ()
    assert not made.decisions[0].is_match
    assert "no job: nothing fits input contrast, which model m requires" in made.decisions[0].reasons


def test_an_optional_input_may_be_missing() -> None:
    inputs = {"plain": wanted(contrast=False), "contrast": wanted(contrast=True, required=False)}
    assert chosen(select(ct_series(1), **inputs)) == [{"plain": ["1"]}]
    both = select(ct_series(1), ct_series(2, ContrastBolusAgent="X"), **inputs)
    assert chosen(both) == [{"plain": ["1"], "contrast": ["2"]}]


def test_one_series_is_not_two_inputs_of_a_job() -> None:
    inputs = {"first": wanted(), "second": wanted(required=False)}
    assert chosen(select(ct_series(1), **inputs)) == [{"first": ["1"]}]
    required = select(ct_series(1), first=wanted(), second=wanted())
    assert required.jobs == ()
    assert required.decisions[0].reasons[-1].startswith("no job: the same images are all that fits two inputs")


def test_too_many_combinations_are_refused() -> None:
    series = [ct_series(number, slices=1) for number in range(1, 13)]
    made = select(*series, first=wanted(), second=wanted())
    assert made.jobs == ()
    assert "more than 100 combinations" in made.decisions[0].reasons[-1]


def test_a_rule_that_is_switched_off_is_tried_and_says_so() -> None:
    made = select(ct_series(1), rules=(rule(modality=("CT",), enabled=False),))
    assert made.jobs == ()
    assert made.decisions[0].reasons == ("the rule is switched off (enabled = false)", "Modality 'CT' matches 'CT'")


def test_a_rule_that_asks_for_nothing_says_so() -> None:
    assert select(ct_series(1)).decisions[0].reasons == ("the rule asks for nothing",)


def test_every_rule_decides_on_every_series() -> None:
    rules = (rule(name="a", modality=("CT",)), rule(name="b", modality=("MR",)))
    made = select(ct_series(1), ct_series(2, Modality="MR"), rules=rules)
    assert [(d.rule, d.series_instance_uid, d.is_match) for d in made.decisions] == [
        ("a", "1.2.3.1", True), ("a", "1.2.3.2", False), ("b", "1.2.3.1", False), ("b", "1.2.3.2", True),
    ]  # fmt: skip


@given(
    numbers=st.permutations(range(1, 6)),
    choose=st.sampled_from(["all", "largest", "thinnest", "latest"]),
    is_required=st.booleans(),
)
def test_no_order_of_arrival_changes_what_is_chosen_and_no_image_is_used_twice_in_a_job(
    numbers: list[int], choose: str, is_required: bool
) -> None:
    inputs = {"first": wanted(choose=choose), "second": wanted(required=is_required, slices={"max": 7})}

    def jobs_of(order: Sequence[int]) -> set[tuple[tuple[str, int], ...]]:
        series = [ct_series(n, slices=5 + n % 3, step_mm=1.0 + n % 2, SeriesTime=f"{n % 2:02}0000") for n in order]
        made = select(*series, **inputs).jobs
        used = [[image.number for _, image in job.inputs.instances] for job in made]
        assert all(len(set(images)) == len(images) for images in used)
        return {tuple((role, image.number) for role, image in job.inputs.instances) for job in made}

    assert jobs_of(numbers) == jobs_of(sorted(numbers))


def test_like_instances_are_decided_once_whatever_their_number() -> None:
    calls = 0

    def count(frame: FrameType, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code is check_instance.__code__

    sys.setprofile(count)
    try:
        select(ct_series(1, slices=300))
    finally:
        sys.setprofile(None)
    assert calls == 2  # the rule's own criteria and those of the model's input
