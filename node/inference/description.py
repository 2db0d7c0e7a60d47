"""What a model concluded, given its codes, its colour and the measurements that can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.card import ClassesOutput, MapOutput, QuantityOutput, RefinementOutput, SegmentOutput, code_of
from node.catalog import Model
from node.errors import ModelCardError
from node.imaging.image import PlanarImage
from node.imaging.measure import (
    NotMeasured,
    measure_area,
    measure_diameter,
    measure_emphysema_index,
    measure_mean_attenuation,
    measure_score,
    measure_share,
    measure_volume,
)
from node.imaging.volume import Volume
from node.vocabulary import (
    Classification,
    ClassProbability,
    Conclusion,
    Finding,
    Interpretation,
    Mask,
    Measurement,
    Quantity,
    QuantityMap,
    RefinedVolume,
    Refinement,
    Region,
    ValueMap,
)

Image = PlanarImage | Volume
Output = TypeVar("Output", SegmentOutput, ClassesOutput, QuantityOutput, MapOutput, RefinementOutput)

_OF_VOLUMES: dict[str, Callable[[Mask, Volume], Measurement | NotMeasured]] = {
    "volume": measure_volume,
    "diameter": measure_diameter,
    "mean_hu": measure_mean_attenuation,
    "laa_950": measure_emphysema_index,
}

_WORDS = {
    "area": "area",
    "volume": "volume",
    "diameter": "diameter",
    "mean_hu": "mean attenuation",
    "laa_950": "emphysema index",
    "fraction": "share",
    "score": "probability",
}

_SIDES = {"R": codes.SCT.Right, "L": codes.SCT.Left}


@dataclass(frozen=True)
class Description:
    """All that a model concluded of one image, coded; a remark says of each number why it is missing."""

    findings: tuple[Finding, ...]
    conclusions: tuple[Conclusion, ...]
    maps: tuple[QuantityMap, ...]
    refinements: tuple[Refinement, ...]
    remarks: tuple[str, ...]


def describe(interpretation: Interpretation, model: Model, image: Image) -> Description:
    """Describe everything as `[output.<name>]` of the model says; raises ModelCardError if it says nothing."""
    labels = _labels(interpretation.regions, model)
    outlined = [
        _finding(region, label, interpretation.regions, model, image)
        for region, label in zip(interpretation.regions, labels, strict=True)
    ]
    judged = [_judgement(classification, model, image) for classification in interpretation.classifications]
    return Description(
        findings=tuple(finding for finding, _ in outlined),
        conclusions=(
            *(conclusion for conclusion, _ in judged),
            *(_estimate(quantity, model) for quantity in interpretation.quantities),
        ),
        maps=tuple(_map(value_map, model) for value_map in interpretation.maps),
        refinements=tuple(_refinement(refined, model) for refined in interpretation.refinements),
        remarks=tuple(dict.fromkeys(remark for _, remarks in (*outlined, *judged) for remark in remarks)),
    )


def _output(model: Model, name: str, kind: type[Output]) -> Output:
    output = model.card.output.get(name)
    if not isinstance(output, kind):
        raise ModelCardError(
            f"{model.card.name}: interpret returned {name!r} as {kind.__name__}, which model.toml has no [output] for"
        )
    return output


def _labels(regions: Sequence[Region], model: Model) -> list[str]:
    """Return the label of each region, with a number where several regions share an output."""
    count = Counter(region.output for region in regions)
    seen: Counter[str] = Counter()
    labels = []
    for region in regions:
        seen[region.output] += 1
        label = _output(model, region.output, SegmentOutput).label
        labels.append(f"{label} {seen[region.output]}" if count[region.output] > 1 else label)
    return labels


def _finding(
    region: Region, label: str, beside: Sequence[Region], model: Model, image: Image
) -> tuple[Finding, tuple[str, ...]]:
    """Return the finding, and a sentence for each measurement that was asked for and cannot be given."""
    output = _output(model, region.output, SegmentOutput)
    results = {name: _measure(name, region, beside, image) for name in output.measure}
    finding = Finding(
        name=region.output,
        label=label,
        category=code_of(output.category),
        property_type=code_of(output.type),
        modifier=code_of(output.modifier) if output.modifier else None,
        colour_rgb=output.colour,
        mask=region.mask,
        measurements=tuple(result for result in results.values() if isinstance(result, Measurement)),
    )
    refused = ((name, result.reason) for name, result in results.items() if isinstance(result, NotMeasured))
    return finding, tuple(f"No {_WORDS[name]} is given: {reason}." for name, reason in refused)


def _judgement(
    classification: Classification, model: Model, image: Image
) -> tuple[Conclusion, tuple[str, ...]]:
    """Return the classes, the most probable first, and a remark where none of them is decisive."""
    output = _output(model, classification.output, ClassesOutput)
    if classification.probabilities.keys() != output.classes.keys():
        raise ModelCardError(
            f"{model.card.name}: interpret gave probabilities of {sorted(classification.probabilities)}; "
            f"[output.{classification.output}] has the classes {sorted(output.classes)}"
        )
    choices = [
        ClassProbability(part.label, code_of(part.code), classification.probabilities[name])
        for name, part in output.classes.items()
    ]
    choices.sort(key=lambda choice: -choice.probability)
    conclusion = Conclusion(
        name=classification.output,
        label=output.label,
        concept=code_of(output.concept),
        choices=tuple(choices),
        site=code_of(output.site) if output.site else None,
        side=_SIDES.get(image.laterality) if isinstance(image, PlanarImage) else None,
        slice_number=classification.slice_number,
        is_decided=choices[0].probability >= output.decisive,
    )
    if conclusion.is_decided:
        return conclusion, ()
    return conclusion, (f"{output.label}: undecided, as no class is as probable as {output.decisive:.2f}.",)


def _estimate(quantity: Quantity, model: Model) -> Conclusion:
    output = _output(model, quantity.output, QuantityOutput)
    measurement = Measurement(
        name=code_of(output.concept),
        value=quantity.value,
        unit=Code(output.unit, "UCUM", output.unit),
        derivation=codes.SCT.Estimated,
        interval=(quantity.low, quantity.high),
    )
    site = code_of(output.site) if output.site else None
    return Conclusion(quantity.output, output.label, code_of(output.concept), measurement=measurement, site=site)


def _map(value_map: ValueMap, model: Model) -> QuantityMap:
    output = _output(model, value_map.output, MapOutput)
    unit = Code(output.unit, "UCUM", output.unit)
    return QuantityMap(value_map.output, output.label, code_of(output.concept), unit, value_map.values)


def _refinement(refined: RefinedVolume, model: Model) -> Refinement:
    output = _output(model, refined.output, RefinementOutput)
    return Refinement(refined.output, output.label, refined.voxels, refined.factors)


def _measure(name: str, region: Region, beside: Sequence[Region], image: Image) -> Measurement | NotMeasured:
    """Measure one thing on one region, or say why it cannot be."""
    if name == "score":
        return measure_score(region.score)
    if name == "fraction":
        return measure_share(region.mask, [other.mask for other in beside])
    if isinstance(image, Volume):
        return _OF_VOLUMES[name](region.mask, image) if name in _OF_VOLUMES else NotMeasured("the image is a volume")
    if name != "area":
        return NotMeasured("the image is not a volume")
    if image.spacing is None:
        return NotMeasured(image.spacing_refusal)
    return measure_area(region.mask, image.spacing)
