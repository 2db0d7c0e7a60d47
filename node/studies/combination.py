"""Combination: the inputs of a model put together, one job for each way they go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.selector import InputSelector
from node.studies.traits import IndexedInstance

MOST_COMBINATIONS = 100

Images = tuple[IndexedInstance, ...]


@dataclass(frozen=True)
class JobInputs:
    """The instances of each input of one job, by its role."""

    by_role: Mapping[str, Images]

    @property
    def instances(self) -> list[tuple[str, IndexedInstance]]:
        """Return every instance with its role, in the order of the model's inputs."""
        return [(role, image) for role, images in self.by_role.items() for image in images]


@dataclass(frozen=True)
class Combined:
    """The jobs that came of it, or the sentence why none did."""

    jobs: tuple[JobInputs, ...] = ()
    refusal: str = ""


def combine_inputs(model: str, inputs: Mapping[str, InputSelector], chosen: Mapping[str, Sequence[Images]]) -> Combined:
    """Make one job of every combination of the series (or instances, by level) chosen for each input.

    An image serves one input of a job only. An optional input that nothing is left for stays empty.
    """
    missing = [role for role, wanted in inputs.items() if wanted.required and not chosen[role]]
    if missing:
        return Combined(refusal=f"no job: nothing fits input {' or '.join(missing)}, which model {model} requires")
    jobs: list[dict[str, Images]] = [{}]
    for role in sorted(inputs, key=lambda name: not inputs[name].required):
        jobs = _extend(jobs, role, inputs[role], chosen[role])
        if len(inputs) > 1 and len(jobs) > MOST_COMBINATIONS:
            return Combined(
                refusal=f"no job: more than {MOST_COMBINATIONS} combinations of the inputs of model {model}; "
                "narrow the rule, or let the inputs choose one series"
            )
    if not jobs:
        return Combined(refusal=f"no job: the same images are all that fits two inputs of model {model}")
    return Combined(tuple(JobInputs({role: job[role] for role in inputs if role in job}) for job in jobs))


def _extend(
    jobs: list[dict[str, Images]], role: str, wanted: InputSelector, series: Sequence[Images]
) -> list[dict[str, Images]]:
    """Add one more input to every job begun, in as many ways as there are."""
    units = series if wanted.level == "series" else [(image,) for images in series for image in images]
    extended: list[dict[str, Images]] = []
    for job in jobs:
        free = [unit for unit in units if _is_free(unit, job)]
        extended += [job | {role: unit} for unit in free]
        if not free and not wanted.required:
            extended.append(job)
    return extended


def _is_free(unit: Images, job: Mapping[str, Images]) -> bool:
    taken = {image.number for images in job.values() for image in images}
    return not any(image.number in taken for image in unit)
