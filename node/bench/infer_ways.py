"""The ways of running a network: as a worker runs it, and with Keras' `predict`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator

import numpy as np

from node.bench.cost import Facts
from node.bench.infer import PICTURE_RANK
from node.bench.performing import Performance
from node.catalog import Catalog, Model, bundled_models
from node.inference.loading import load_part
from node.inference.network import Network
from node.vocabulary import Pixels


def with_radnode(rank: str) -> Performance:
    """Run the network as a worker does, loaded and traced before."""
    model, shape = _model_of(int(rank))
    network = Network(model)
    network.warm_up()
    return _performance(network.predict, shape, model)


def with_keras(rank: str) -> Performance:
    """Run the same network with `keras.Model.predict`, which has run once before."""
    model, shape = _model_of(int(rank))
    predict = _keras(model)
    predict(_batch(1, shape))
    return _performance(predict, shape, model)


def start_radnode(name: str, shape: tuple[int, ...]) -> None:
    """Do what a worker does from its start to its first answer."""
    Network(Catalog([bundled_models()])[name]).predict(_batch(1, shape))


def start_keras(name: str, shape: tuple[int, ...]) -> None:
    """Do the same with `keras.Model.predict`."""
    _keras(Catalog([bundled_models()])[name])(_batch(1, shape))


def main(word: str, *rest: str) -> None:
    """Say which model segments images of a rank, as JSON, or start as this way does."""
    if word == "choose":
        model, shape = _model_of(int(rest[0]))
        print(json.dumps([model.card.name, *shape]))
    else:
        {"radnode": start_radnode, "keras": start_keras}[word](rest[0], tuple(map(int, rest[1:])))


def _keras(model: Model) -> Callable[[Pixels], Pixels]:
    graph = load_part(model.folder, "architecture").build()
    graph.load_weights(model.weights)
    return lambda batch: np.asarray(graph.predict(batch, verbose=0))


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


def _batch(count: int, shape: tuple[int, ...]) -> Pixels:
    return np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32)


def _performance(predict: Callable[[Pixels], Pixels], shape: tuple[int, ...], model: Model) -> Performance:
    """Call so many times with a batch of noise; the mean of the answer shows that the ways give the same."""

    def perform(batch: str, calls: str) -> Pixels:
        noise = _batch(int(batch), shape)
        for _ in range(int(calls)):
            answer = predict(noise)
        return answer

    def facts(answer: Pixels) -> Facts:
        size = " x ".join(map(str, shape))
        return {"model": model.card.name, "input": size, "mean_answer": f"{float(np.mean(answer)):.5f}"}

    return Performance(perform, facts)


if __name__ == "__main__":
    main(*sys.argv[1:])
