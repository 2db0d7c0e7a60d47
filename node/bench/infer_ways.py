"""The ways of running a network: as a worker serves it, and with Keras' `predict`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from node.bench.cost import Facts
from node.bench.performing import Performance
from node.catalog import Catalog, Model, bundled_models
from node.errors import BenchFailed
from node.inference.artefact import read_artefact
from node.inference.loading import load_part
from node.inference.openvino_network import OpenVinoNetwork, can_reduce
from node.inference.serving import Serving, load_network, with_gates
from node.vocabulary import Pixels

Predict = Callable[[Pixels], Pixels]

PICTURE_RANK, VOLUME_RANK = 4, 5  # with the axes of the batch and the channels


def with_radnode(artefacts: str, name: str, *sides: str) -> Performance:
    """Run the network as a worker does, loaded before, and having answered once."""
    return _performance(_served(artefacts, name), name, _shape(sides))


def with_reduced(artefacts: str, name: str, *sides: str) -> Performance:
    """Run it as a worker does where the site wants 16 bits."""
    serving = Serving(Path(artefacts), is_reduced=True)
    return _performance(load_network(_model(name), serving).predict, name, _shape(sides))


def with_keras(_artefacts: str, name: str, *sides: str) -> Performance:
    """Run the same network with `keras.Model.predict`, which has run once before."""
    return _performance(_keras(name), name, _shape(sides))


def prepare(artefacts: str, rank: str) -> None:
    """Convert the first bundled model that segments images of this rank, and its gate, as a node does before workers.

    Prints its name and the shape its network takes, as JSON. Raises BenchFailed.
    """
    from node.inference.building import build_all  # noqa: PLC0415 - no other way here may import TensorFlow for it

    model, shape = _model_of(int(rank))
    for outcome in build_all(Path(artefacts), with_gates([model])):
        if outcome.fault:
            raise BenchFailed(f"{outcome.model}: {outcome.fault}; expected a network that answers as Keras does")
    print(json.dumps([model.card.name, *shape]))


def start(artefacts: str, name: str) -> None:
    """Do with the network what a worker does from its start to the first answer."""
    OpenVinoNetwork(read_artefact(Path(artefacts), _model(name))).warm_up()


def reduces() -> None:
    """Print whether the CPUs of this machine compute in 16 bits, as JSON."""
    print(json.dumps(can_reduce()))


def main(word: str, *rest: str) -> None:
    """Prepare, start, or tell what this machine can do."""
    ways: dict[str, Callable[..., None]] = {"prepare": prepare, "start": start, "reduces": reduces}
    ways[word](*rest)


def _served(artefacts: str, name: str) -> Predict:
    return OpenVinoNetwork(read_artefact(Path(artefacts), _model(name))).predict


def _keras(name: str) -> Predict:
    model = _model(name)
    graph = load_part(model.folder, "architecture").build()
    graph.load_weights(model.weights)
    return lambda batch: np.asarray(graph.predict(batch, verbose=0))


def _model(name: str) -> Model:
    return Catalog([bundled_models()])[name]


def _model_of(rank: int) -> tuple[Model, tuple[int, ...]]:
    """Return the first bundled model that segments images of this rank, and the shape its network takes."""
    for model in _segmenting(rank):
        shape: tuple[int, ...] = load_part(model.folder, "architecture").build().input_shape[1:]
        if len(shape) + 1 == rank:
            return model, shape
    raise LookupError(f"no model segments images of rank {rank}")


def _segmenting(rank: int) -> Iterator[Model]:
    level = "instance" if rank == PICTURE_RANK else "series"
    for _, model in sorted(Catalog([bundled_models()]).models.items()):
        if model.card.task == "segmentation" and model.level == level:
            yield model


def _shape(sides: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(map(int, sides))


def _batch(count: int, shape: tuple[int, ...]) -> Pixels:
    return np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32)


def _performance(predict: Predict, name: str, shape: tuple[int, ...]) -> Performance:
    """Call so many times with a batch of noise; the mean of the answer shows that the ways give the same."""
    predict(_batch(1, shape))

    def perform(batch: str, calls: str) -> Pixels:
        noise = _batch(int(batch), shape)
        for _ in range(int(calls)):
            answer = predict(noise)
        return answer

    def facts(answer: Pixels) -> Facts:
        size = " x ".join(map(str, shape))
        return {"model": name, "input": size, "mean_answer": f"{float(np.mean(answer)):.5f}"}

    return Performance(perform, facts)


if __name__ == "__main__":
    main(*sys.argv[1:])
