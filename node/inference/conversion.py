"""Converts a model's Keras network to OpenVINO, and lets it serve only where it answers as Keras does."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from node.catalog import Model
from node.inference.artefact import (
    GRAPH,
    WEIGHTS,
    Artefact,
    Origin,
    Record,
    new_folder,
    put_in_place,
)
from node.inference.examples import examples
from node.inference.network import Network
from node.inference.openvino_network import OpenVinoNetwork, can_reduce, import_openvino
from node.vocabulary import Pixels

TOLERANCE = 1e-4  # a hundredth of what any threshold or report shows; sound conversions stay below a fifth of it

MOST_CHARACTERS = 300  # of what the converter says; a dump of the graph may follow


def build_artefact(root: Path, model: Model, tolerance: float = TOLERANCE) -> Record:
    """Convert the model, compare it, keep what came of it in `root`, and return the record; call it in `changing`.

    Raises ModelCardError or WeightsMismatch where Keras could not serve the model either.
    """
    record = Record(Origin.of(model), keras=version("keras"), tolerance=tolerance)
    network = Network(model)
    folder = new_folder(root)
    try:
        artefact = _convert(network, folder, record)
        batch = examples(network.shape)
        reference = network.predict(batch)
        record = _judge(artefact, network, batch, reference)
        if not record.fault and model.card.reduced is not None and can_reduce():
            record = _judge_reduced(replace(artefact, record=record), batch, reference, model.card.reduced.changed)
    except (MemoryError, OSError):
        raise  # the next attempt may fare better
    except Exception as error:  # noqa: BLE001 - each step of the converter has errors of its own
        record = replace(record, fault=f"cannot be converted: {_in_one_line(error)}")
    model.seen_again().require(record.origin.model_sha256)
    if record.fault:
        for path in folder.iterdir():
            path.unlink()
    put_in_place(root, folder, record)
    return record


def difference(reference: Pixels, found: Pixels) -> float:
    """Return the largest difference of two answers, relative where the reference is above one; NaN if one has it."""
    return float(np.max(np.abs(found - reference) / np.maximum(1.0, np.abs(reference))))


def changed(reference: Pixels, found: Pixels) -> float:
    """Return the share of decisions that differ: the largest of several channels, or whether one is above a half."""
    if not np.isfinite(found).all():
        return 1.0
    first, second = (one.argmax(-1) if one.shape[-1] > 1 else one > 0.5 for one in (reference, found))
    return float(np.mean(first != second))


def _convert(network: Network, folder: Path, record: Record) -> Artefact:
    """Write the network as files of OpenVINO for one image at a time, with all 32 bits of the weights."""
    openvino = import_openvino()
    from openvino.tools.ovc import convert_model  # noqa: PLC0415 - only now it cannot report

    with _log_as_it_is():
        whole = convert_model(network.traced())
    # TensorFlow lets a trace return what gradients would need, too; the answer comes first.
    converted = openvino.Model([whole.output(0)], whole.get_parameters(), "network")
    converted.reshape([1, *network.shape])
    openvino.save_model(converted, folder / GRAPH, compress_to_fp16=False)
    graph, weights = (folder / GRAPH).read_bytes(), (folder / WEIGHTS).read_bytes()
    record = replace(record, graph_sha256=_sha256(graph), weights_sha256=_sha256(weights))
    return Artefact(record, graph, weights)


@contextmanager
def _log_as_it_is() -> Iterator[None]:
    """Put the root logger back as it was: the converter silences warnings, and for good where it fails."""
    root = logging.getLogger()
    level, filters, handlers = root.level, list(root.filters), list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters, root.handlers = filters, handlers


def _judge(artefact: Artefact, network: Network, batch: Pixels, reference: Pixels) -> Record:
    """Compare answers to one image and to several at once, from a network compiled as a worker compiles it."""
    served, record = OpenVinoNetwork(artefact), artefact.record
    found = served.predict(batch)
    if reference.shape != found.shape:
        return replace(record, fault=f"answers {found.shape}, expected {reference.shape} as Keras does")
    alone = difference(network.predict(batch[:1]), served.predict(batch[:1]))
    largest = max(alone, difference(reference, found))
    if not (alone <= record.tolerance and largest <= record.tolerance):  # NaN is neither
        fault = f"differs from Keras by {largest:.2g}, expected at most {record.tolerance:.2g}"
        return replace(record, difference=largest, fault=fault)
    return replace(record, difference=largest)


def _judge_reduced(artefact: Artefact, batch: Pixels, reference: Pixels, most: float) -> Record:
    """Compare answers in 16 bits, which change as many decisions as the model's card allows, or serve nobody."""
    try:
        found = OpenVinoNetwork(artefact, is_reduced=True).predict(batch)
    except RuntimeError as error:  # OpenVINO's own; the network serves in 32 bits all the same
        return replace(artefact.record, reduced_fault=f"cannot compute in 16 bits: {_in_one_line(error)}")
    share = changed(reference, found)
    if share > most:
        fault = f"16 bits change {share:.2%} of the decisions, expected at most {most:.2%} as its card says"
        return replace(artefact.record, reduced_fault=fault)
    return replace(artefact.record, reduced_changed=share)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _in_one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:MOST_CHARACTERS]
