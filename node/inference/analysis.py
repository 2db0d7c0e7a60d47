"""One model on its inputs: from pixel data to findings with codes and measurements."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from node.catalog import Model
from node.errors import StudyRefused
from node.imaging.ophthalmic import is_eye, read_eye
from node.imaging.radiograph import read_radiograph
from node.imaging.series import read_volume
from node.inference.description import Description, Image, describe
from node.inference.loading import load_part
from node.selector import InputSelector
from node.vocabulary import Interpretation, Pixels

Inputs = Mapping[str, Sequence[Dataset]]
Predict = Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class Gate:
    """A model that only judges whether an image suits another model, and its network."""

    model: Model
    predict: Predict


@dataclass(frozen=True)
class Analysis:
    """What a model concluded, on which image, and how many milliseconds each step took.

    Masks and maps lie on the grid of `image`, read from the input called `role`: the first of the
    model's that is there.
    """

    role: str
    image: Image
    description: Description
    remarks: tuple[str, ...]
    embedding: tuple[float, ...]
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


def analyse(
    inputs: Inputs, model: Model, predict: Predict, gate: Gate | None = None, threads: int = 0
) -> Analysis:
    """Run `model` on instances with pixel data, given by the name of the input; `predict` is its network.

    A model with one input gets it as its only argument, a model with several gets each by its name,
    and those that are not there are left out. The `gate` sees the same image first. So many threads decode, 0 for
    as many as there are cores. Raises StudyRefused, with the reason for the operator, when the instances do not fit.
    """
    stopwatch = _Stopwatch()
    part = load_part(model.folder, "preprocess")
    at = time.perf_counter()
    images = {role: read_image(datasets, model.card.input[role], threads) for role, datasets in inputs.items()}
    at = stopwatch.lap("read_ms", at)
    role = next(role for role in model.card.input if role in images)
    image = images[role]
    if gate is not None:
        pass_gate(gate, image)
        at = stopwatch.lap("gate_ms", at)
    batch = part.prepare(image) if len(model.card.input) == 1 else part.prepare(**images)
    at = stopwatch.lap("prepare_ms", at)
    prediction = predict(batch)
    at = stopwatch.lap("network_ms", at)
    interpretation: Interpretation = part.interpret(prediction, image)
    description = describe(interpretation, model, image)
    stopwatch.lap("interpret_ms", at)
    return Analysis(
        role=role,
        image=image,
        description=description,
        remarks=interpretation.remarks + description.remarks,
        embedding=interpretation.embedding,
        durations_ms=stopwatch.durations_ms,
    )


def pass_gate(gate: Gate, image: Image) -> None:
    """Let the model `gate` judge the image; raises StudyRefused, which names it, if it turns the image down."""
    part = load_part(gate.model.folder, "preprocess")
    try:
        part.interpret(gate.predict(part.prepare(image)), image)
    except StudyRefused as refusal:
        raise type(refusal)(f"{gate.model.card.title}: {refusal}") from refusal


def read_image(datasets: Sequence[Dataset], wanted: InputSelector, threads: int = 0) -> Image:
    """Read the instances of one input: a radiograph or an eye from one instance, a volume from a series.

    A series of one slice is a volume only for an input that says so: `slices = {min = 1}`.
    """
    if wanted.level == "series":
        return read_volume(datasets, wanted.slices is not None and wanted.slices.min == 1, threads)
    if len(datasets) != 1:
        raise StudyRefused(f"found {len(datasets)} instances, expected one; this model takes single images")
    return read_eye(datasets[0]) if is_eye(datasets[0]) else read_radiograph(datasets[0])
