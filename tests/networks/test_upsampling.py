"""Feature maps on a finer grid."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from node.networks.upsampling import LinearUpsampling


@pytest.mark.parametrize("factors", [(2, 3), (2, 3, 4), (1, 4, 1)])
def test_a_ramp_stays_a_ramp_inside_the_outermost_half_voxel(factors: tuple[int, ...]) -> None:
    sides = (5, 6, 7)[: len(factors)]
    places = np.meshgrid(*[np.arange(side, dtype=np.float32) for side in sides], indexing="ij")
    ramp = sum((3, -2, 5)[axis] * place for axis, place in enumerate(places))
    finer = np.asarray(LinearUpsampling(factors)(ramp[None, ..., None]))[0, ..., 0]
    centres = [
        (np.arange(side * factor) + 0.5) / factor - 0.5 for side, factor in zip(sides, factors, strict=True)
    ]
    fine = np.meshgrid(*centres, indexing="ij")
    expected = sum((3, -2, 5)[axis] * place for axis, place in enumerate(fine))
    inside = np.all([(place >= 0) & (place <= side - 1) for place, side in zip(fine, sides, strict=True)], axis=0)
    np.testing.assert_allclose(finer[inside], expected[inside], atol=1e-5)
    assert finer.shape == tuple(side * factor for side, factor in zip(sides, factors, strict=True))


def test_it_is_what_tensorflow_calls_bilinear() -> None:
    picture = np.random.default_rng(1).normal(size=(2, 5, 7, 3)).astype(np.float32)
    theirs = tf.image.resize(picture, (20, 21), "bilinear")
    np.testing.assert_allclose(np.asarray(LinearUpsampling((4, 3))(picture)), np.asarray(theirs), atol=1e-5)


def test_the_mean_of_a_volume_is_kept_by_its_gradient() -> None:
    volume = tf.Variable(np.random.default_rng(2).normal(size=(1, 3, 4, 5, 1)).astype(np.float32))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(LinearUpsampling((2, 2, 2))(volume))
    np.testing.assert_allclose(np.asarray(tape.gradient(total, volume)), 8.0, rtol=1e-5)


def test_it_takes_any_length_of_an_axis_and_survives_its_configuration() -> None:
    layer = LinearUpsampling((2, 1, 2))
    again = LinearUpsampling.from_config(layer.get_config())
    network = keras.Model(volume := keras.Input((None, None, None, 8)), again(volume))
    assert network.output_shape == (None, None, None, None, 8)
    assert again.compute_output_shape((None, 3, 4, None, 8)) == (None, 6, 4, None, 8)
    assert network(np.zeros((1, 3, 4, 5, 8), np.float32)).shape == (1, 6, 4, 10, 8)
