"""A Keras network that is built once, stays in memory and answers one batch at a time: the reference for any other."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from node.catalog import Model
from node.errors import ModelCardError
from node.inference.loading import load_part
from node.vocabulary import Pixels

PIECE = 8  # images of a batch that are computed at once


class Network:
    """A model's Keras graph with its weights, compiled into one TensorFlow function."""

    def __init__(self, model: Model) -> None:
        """Check the weights' hash before anything is loaded; raises WeightsMismatch or ModelCardError."""
        model.check_weights()
        graph = load_part(model.folder, "architecture").build()
        try:
            graph.load_weights(model.weights)
        except ValueError as error:
            raise ModelCardError(
                f"{model.card.name}: {model.weights.name} does not fit architecture.py: {error}; "
                "train the model again or restore both files"
            ) from error
        self.shape: tuple[int, ...] = tuple(graph.input_shape[1:])
        signature = [tf.TensorSpec((None, *self.shape), tf.float32)]
        self._call = tf.function(
            lambda batch: graph(batch, training=False), input_signature=signature, autograph=False
        )

    def warm_up(self) -> None:
        """Trace the graph, so that the first job does not wait for it."""
        self.predict(np.zeros((1, *self.shape), np.float32))

    def predict(self, batch: Pixels) -> Pixels:
        """Return the network's output for `batch`, shaped as architecture.py says.

        A long batch, such as the slices of a series, goes through in pieces, so that memory does not
        grow with it. A compiled function is called rather than `keras.Model.predict`, which costs
        about three times as much for one image.
        """
        pieces = range(0, len(batch), PIECE)
        return np.concatenate([self._call(tf.constant(batch[at : at + PIECE])).numpy() for at in pieces])

    def traced(self) -> Any:
        """Return the graph as a concrete function of TensorFlow, to be converted."""
        return self._call.get_concrete_function()
