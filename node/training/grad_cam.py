"""Shows where a network looked: the places of a picture that speak for a class."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from node.imaging.resample import undo_letterbox
from node.vocabulary import Pixels


def class_activation(
    network: keras.Model, picture: Pixels, layer: str, number: int, head: str = "classes"
) -> Pixels:
    """Return (rows, columns) in 0..1 on the grid of a square picture: how much each place speaks for a class.

    `layer` names the last features (batch, rows, columns, channels), of which the network takes the mean over
    places, and `head` the dense layer after that mean. For such a network the gradient of Grad-CAM is the
    class's column of the dense layer, the same everywhere (Selvaraju RR et al.: Grad-CAM, ICCV 2017, section
    3.1), so nothing has to be differentiated. All zero where nothing speaks for the class.
    """
    features = keras.Model(network.input, network.get_layer(layer).output)
    maps = np.asarray(features(picture[np.newaxis], training=False), np.float32)[0]
    weights: NDArray[np.float32] = np.asarray(network.get_layer(head).kernel, np.float32)[:, number]
    speaking = np.maximum(maps @ weights, 0.0)
    largest = float(speaking.max())
    shares = speaking / largest if largest > 0 else speaking
    return np.clip(undo_letterbox(shares, picture.shape[:2]), 0.0, 1.0)
