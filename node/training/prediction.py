"""Runs weights of a training, of whichever variant they are, as an evaluation needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np

from node.training.options import SERVED
from node.training.run_record import variant_of
from node.vocabulary import Pixels

Build = Callable[[], keras.Model]
Predict = Callable[[Pixels], Pixels]

AT_ONCE = 8


def load_network(weights: Path, build: Build, variants: Mapping[str, Build]) -> keras.Model:
    """Return the network that the weights belong to, by the record beside them, with these weights."""
    variant = variant_of(weights)
    network = build() if variant == SERVED else variants[variant]()
    network.load_weights(weights)
    return network


def predict_with(network: keras.Model, at_once: int = AT_ONCE) -> Predict:
    """Return a function that maps a batch of any length, passed through the network a few entries at a time."""

    def predict(batch: Pixels) -> Pixels:
        parts = [batch[start : start + at_once] for start in range(0, len(batch), at_once)]
        return np.concatenate([np.asarray(network(part, training=False), np.float32) for part in parts])

    return predict
