"""A class activation shows the place that made the network decide."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from node.training.grad_cam import class_activation


def corner_finder() -> keras.Model:
    """Return a network whose class 1 speaks of bright places, and class 0 of nothing."""
    picture = keras.Input((32, 32, 1))
    features = layers.Conv2D(1, 4, strides=4, use_bias=False, kernel_initializer="ones", name="features")(picture)
    pooled = layers.GlobalAveragePooling2D()(features)
    network = keras.Model(picture, layers.Dense(2, name="classes")(pooled))
    network.get_layer("classes").set_weights([np.array([[-1.0, 1.0]]), np.zeros(2)])
    return network


def test_the_place_that_speaks_for_a_class_is_where_the_picture_is_bright() -> None:
    picture = np.zeros((32, 32, 1), np.float32)
    picture[4:8, 20:24] = 1.0
    shown = class_activation(corner_finder(), picture, "features", 1)
    assert shown.shape == (32, 32)
    assert shown.max() <= 1
    row, column = np.unravel_index(int(shown.argmax()), shown.shape)
    assert (4 <= row < 8, 20 <= column < 24) == (True, True)


def test_where_nothing_speaks_for_a_class_nothing_is_shown() -> None:
    picture = np.ones((32, 32, 1), np.float32)
    assert not class_activation(corner_finder(), picture, "features", 0).any()
