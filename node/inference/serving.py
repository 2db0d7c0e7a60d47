"""Chooses what a model is served with: its converted network where it has one that passed, or Keras."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Protocol

from node.catalog import Catalog, Model
from node.errors import ArtefactUnusable
from node.imports import without_collection
from node.inference.artefact import Record, in_words, is_to_build, read_artefact
from node.inference.openvino_network import OpenVinoNetwork, can_reduce, import_openvino
from node.settings import Settings
from node.vocabulary import Pixels

logger = logging.getLogger("radnode.serving")

_BUILT_FOR_GPU = "tensorflow"  # tensorflow-cpu is another distribution
_GPUS = [Path(f"/dev/nvidia{number}") for number in range(32)]  # by name, for a confined worker may not list /dev


class ServedNetwork(Protocol):
    """A network that is loaded."""

    def warm_up(self) -> None:
        """Answer once, so that the first job does not wait for what is done at the first answer."""

    def predict(self, batch: Pixels) -> Pixels:
        """Return the network's output for `batch`, shaped as architecture.py says."""


@dataclass(frozen=True)
class Serving:
    """What a site serves networks with: artefacts from `root`, on so many threads, unless `why_keras` has a reason.

    With `is_reduced` they compute in 16 bits, those that may.
    """

    root: Path
    threads: int = 0
    why_keras: str = ""
    is_reduced: bool = False


def serving_of(settings: Settings) -> Serving:
    """Return how a node with these settings serves."""
    workers = settings.workers
    return Serving(
        settings.artefacts_folder, workers.threads, _why_keras(workers.engine), workers.precision == "reduced"
    )


def load_network(model: Model, serving: Serving | None) -> ServedNetwork:
    """Return the network to serve a model with, from its artefact or from Keras, which without `serving` it always is.

    Raises WeightsMismatch or ModelCardError where the model cannot be served at all.
    """
    if serving is not None and not serving.why_keras:
        try:
            artefact = read_artefact(serving.root, model)
            is_reduced = serving.is_reduced and not _why_exact(model, artefact.record)
            network = OpenVinoNetwork(artefact, serving.threads, is_reduced=is_reduced)
        except (ArtefactUnusable, RuntimeError) as error:  # OpenVINO's own errors are RuntimeErrors
            fields = {"model": model.card.name, "reason": str(error)}
            logger.warning("Keras serves instead of OpenVINO", extra={"fields": fields})
        else:
            return network
    with without_collection():
        from node.inference.network import Network  # noqa: PLC0415 - seconds and memory that OpenVINO does without

    return Network(model)


def import_library(serving: Serving) -> None:
    """Import what runs the networks here, before there is one to load."""
    with without_collection():
        if serving.why_keras:
            import node.inference.network  # noqa: F401, PLC0415 - seconds and memory that OpenVINO does without
        else:
            import_openvino()


def how_served(model: Model, serving: Serving) -> str:
    """Return in words what a model is served with, and why where that is Keras."""
    if serving.why_keras:
        return f"Keras: {serving.why_keras}"
    try:
        record = read_artefact(serving.root, model).record
    except ArtefactUnusable as unusable:
        return f"Keras: {str(unusable).removeprefix(f'{model.card.name}: ')}"
    exact = f"OpenVINO, at most {record.difference:.2g} from Keras"
    if not serving.is_reduced:
        return exact
    why = _why_exact(model, record)
    return f"{exact}; in 32 bits: {why}" if why else f"OpenVINO; {in_words(record)}"


def _why_exact(model: Model, record: Record) -> str:
    """Return why a network must not compute in 16 bits on this machine; "" where it may."""
    if model.card.reduced is None:
        return "its card allows no other"
    if not can_reduce():
        return "this machine's CPUs have no 16-bit arithmetic"
    if record.reduced_changed is None:
        return record.reduced_fault or "not compared in 16 bits yet; `radnode models build` does so"
    return ""


def models_of_rules(settings: Settings, catalog: Catalog) -> list[Model]:
    """Return the models that enabled rules name, by name, with their gates; those that are not there are left out."""
    names = sorted({rule.model for rule in settings.enabled_rules} & catalog.models.keys())
    return with_gates(catalog[name] for name in names)


def with_gates(models: Iterable[Model]) -> list[Model]:
    """Return the models and their gates, each once."""
    both = [one for model in models for one in (model, model.gate) if one is not None]
    return list({model.card.name: model for model in both}.values())


def missing(models: Iterable[Model], serving: Serving) -> list[Model]:
    """Return those of the models whose conversion could still make a difference."""
    return [] if serving.why_keras else [model for model in models if is_to_build(serving.root, model)]


def has_gpu() -> bool:
    """Tell whether this machine has a GPU, and a TensorFlow that computes on it; the same in a confined worker."""
    return _is_installed(_BUILT_FOR_GPU) and any(map(Path.exists, _GPUS))


def _why_keras(engine: str) -> str:
    """Return why this machine serves all models with Keras; "" where it need not."""
    if engine == "keras":
        return "[workers] engine says so"
    if not _is_installed("openvino"):
        return "openvino is not installed; it comes with 'radnode[cpu]'"
    if has_gpu():
        return "this machine has a GPU"
    return ""


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
