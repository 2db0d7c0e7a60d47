"""What a model outlined, given its codes, its colour and the measurements that can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydicom.sr.coding import Code

from node.catalog import Model, OutputPart, sct
from node.errors import ModelCardError
from node.imaging.image import PlanarImage
from node.imaging.measure import (
    NotMeasured,
    measure_area,
    measure_emphysema_index,
    measure_mean_attenuation,
    measure_volume,
)
from node.imaging.volume import Volume
from node.vocabulary import Finding, Mask, Measurement, Region

Image = PlanarImage | Volume

_OF_VOLUMES: dict[str, Callable[[Mask, Volume], Measurement | NotMeasured]] = {
    "volume": measure_volume,
    "mean_hu": measure_mean_attenuation,
    "laa_950": measure_emphysema_index,
}

_WORDS = {"area": "area", "volume": "volume", "mean_hu": "mean attenuation", "laa_950": "emphysema index"}


@dataclass(frozen=True)
class Description:
    """A finding, and a sentence for each measurement that was asked for and cannot be given."""

    finding: Finding
    remarks: tuple[str, ...]


def describe(region: Region, model: Model, image: Image) -> Description:
    """Describe a region as `[output.<name>]` of its model says; raises ModelCardError if it says nothing."""
    output = model.card.output.get(region.output)
    if output is None:
        raise ModelCardError(
            f"{model.card.name}: interpret returned {region.output!r}, which model.toml has no [output] for"
        )
    results = {name: _measure(name, region.mask, image) for name in output.measure}
    finding = Finding(
        name=region.output,
        label=output.label,
        category=sct(output.category),
        property_type=sct(output.type),
        modifier=_modifier(output),
        colour_rgb=output.colour,
        mask=region.mask,
        measurements=tuple(result for result in results.values() if isinstance(result, Measurement)),
    )
    refused = ((name, result.reason) for name, result in results.items() if isinstance(result, NotMeasured))
    return Description(finding, tuple(f"No {_WORDS[name]} is given: {reason}." for name, reason in refused))


def _modifier(output: OutputPart) -> Code | None:
    return sct(output.modifier) if output.modifier else None


def _measure(name: str, mask: Mask, image: Image) -> Measurement | NotMeasured:
    """Measure one thing on one mask, or say why it cannot be."""
    if isinstance(image, Volume):
        if name in _OF_VOLUMES:
            return _OF_VOLUMES[name](mask, image)
        return NotMeasured("the image is a volume")
    if name != "area":
        return NotMeasured("the image is not a volume")
    if image.spacing is None:
        return NotMeasured(image.spacing_refusal)
    return measure_area(mask, image.spacing)
