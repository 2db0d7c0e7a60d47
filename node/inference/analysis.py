"""One model on one instance: from pixel data to findings with codes and measurements."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from node.catalog import Model, OutputPart, sct
from node.errors import ModelCardError
from node.imaging.image import PlanarImage
from node.imaging.measure import measure_area
from node.imaging.radiograph import read_radiograph
from node.inference.loading import load_part
from node.vocabulary import Finding, Interpretation, Measurement, Pixels, Region


@dataclass(frozen=True)
class Analysis:
    """What a model concluded of an instance, and how many milliseconds each step took."""

    findings: tuple[Finding, ...]
    remarks: tuple[str, ...]
    durations_ms: dict[str, float]


@dataclass
class _Stopwatch:
    """Notes how long each step took."""

    durations_ms: dict[str, float] = field(default_factory=dict)

    def lap(self, name: str, since: float) -> float:
        """Note the time since `since` under `name` and return the time now."""
        now = time.perf_counter()
        self.durations_ms[name] = round((now - since) * 1000, 1)
        return now


def analyse(dataset: Dataset, model: Model, predict: Callable[[Pixels], Pixels]) -> Analysis:
    """Run `model` on one instance with pixel data; `predict` is its network.

    Raises StudyRefused, with the reason for the operator, when the instance does not fit.
    """
    stopwatch = _Stopwatch()
    part = load_part(model.folder, "preprocess")
    at = time.perf_counter()
    image = read_radiograph(dataset)
    at = stopwatch.lap("read_ms", at)
    batch = part.prepare(image)
    at = stopwatch.lap("prepare_ms", at)
    prediction = predict(batch)
    at = stopwatch.lap("network_ms", at)
    interpretation: Interpretation = part.interpret(prediction, image)
    findings = tuple(describe(region, model, image) for region in interpretation.regions)
    stopwatch.lap("interpret_ms", at)
    remarks = interpretation.remarks + _why_not_measured(findings, model, image)
    return Analysis(findings, remarks, stopwatch.durations_ms)


def describe(region: Region, model: Model, image: PlanarImage) -> Finding:
    """Give a region the codes and colour of its output, and the measurements that can be trusted."""
    output = model.card.output.get(region.output)
    if output is None:
        raise ModelCardError(
            f"{model.card.name}: interpret returned {region.output!r}, which model.toml has no [output] for"
        )
    return Finding(
        name=region.output,
        label=output.label,
        category=sct(output.category),
        property_type=sct(output.type),
        modifier=sct(output.modifier) if output.modifier else None,
        colour_rgb=output.colour,
        mask=region.mask,
        measurements=_measure(region, output, image),
    )


def _measure(region: Region, output: OutputPart, image: PlanarImage) -> tuple[Measurement, ...]:
    if "area" in output.measure and image.spacing is not None:
        return (measure_area(region.mask, image.spacing),)
    return ()


def _why_not_measured(findings: tuple[Finding, ...], model: Model, image: PlanarImage) -> tuple[str, ...]:
    """Return the reason, once, when an area was asked for and no spacing can be trusted."""
    is_wanted = any("area" in model.card.output[finding.name].measure for finding in findings)
    if not is_wanted or image.spacing is not None:
        return ()
    return (f"No area is given: {image.spacing_refusal}",)
