"""The networks that several models are drawn from."""

from __future__ import annotations

import ast
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from node.networks.autoencoder import AutoencoderPlan, decode, encode
from node.networks.convolution import Norm
from node.networks.residual import ResidualPlan, residual_encoder, residual_scales, residual_unet, residual_unit
from node.networks.unet import UNetPlan, unet

NETWORKS = Path(__file__).resolve().parents[2] / "node" / "networks"


def test_no_network_needs_tensorflow() -> None:
    imported = set()
    for path in NETWORKS.glob("*.py"):
        for statement in ast.walk(ast.parse(path.read_text())):
            if isinstance(statement, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in statement.names}
            elif isinstance(statement, ast.ImportFrom):
                imported.add(str(statement.module).split(".")[0])
    assert imported <= {"__future__", "collections", "dataclasses", "enum", "keras", "math", "node", "typing"}


@pytest.mark.parametrize("axes", [2, 3])
def test_a_unet_has_the_parameters_of_its_figure(axes: int) -> None:
    picture = keras.Input((8,) * axes + (1,))
    network = keras.Model(picture, unet(picture, UNetPlan(filters=(2, 3), bottom=5)))
    kernel = 3**axes
    convolutions = [(1, 2), (2, 2), (2, 3), (3, 3), (3, 5), (5, 5), (6, 3), (3, 3), (4, 2), (2, 2)]
    expected = sum(kernel * before * after + 4 * after for before, after in convolutions)
    expected += 2**axes * 5 * 3 + 3 + 2**axes * 3 * 2 + 2
    assert network.count_params() == expected
    assert network.output_shape == (None, *(8,) * axes, 2)


@pytest.mark.parametrize("norm", list(Norm))
def test_training_reaches_every_weight_of_a_unet_whatever_its_norm(norm: Norm) -> None:
    keras.utils.set_random_seed(1)
    picture = keras.Input((8, 8, 1))
    features = unet(picture, UNetPlan(filters=(6,), bottom=6, norm=norm, dropout=0.1))
    network = keras.Model(picture, keras.layers.Conv2D(1, 1)(features))
    assert unreached(network, (4, 8, 8, 1)) == []


def unreached(network: keras.Model, shape: tuple[int, ...]) -> list[str]:
    """Return the weights that the error of the last output does not depend on."""
    noise = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    with tf.GradientTape() as tape:
        answers = network(noise, training=True)
        answer = answers[-1] if isinstance(answers, list) else answers
        error = tf.reduce_mean((answer - noise) ** 2)
    slopes = tape.gradient(error, [weight.value for weight in network.trainable_weights])
    pairs = zip(network.trainable_weights, slopes, strict=True)
    return [weight.path for weight, slope in pairs if slope is None or not np.abs(np.asarray(slope)).max() > 0]


@pytest.mark.parametrize("axes", [2, 3])
def test_an_untrained_unit_of_zeros_passes_the_identity_between_channels_of_zero(axes: int) -> None:
    volume = keras.Input((4,) * axes + (2,))
    network = keras.Model(volume, residual_unit(volume, 5, 1, Norm.BATCH, "unit"))
    network.set_weights([np.zeros_like(weights) for weights in network.get_weights()])
    values = np.random.default_rng(1).normal(size=(1, *(4,) * axes, 2)).astype(np.float32)
    found = np.asarray(network(values))
    np.testing.assert_array_equal(found[..., 1:3], values)
    assert not found[..., [0, 3, 4]].any()


def test_a_unit_with_a_step_makes_the_grid_coarser_and_one_with_fewer_filters_mixes() -> None:
    volume = keras.Input((8, 8, 8, 4))
    assert residual_unit(volume, 4, 2, Norm.BATCH, "coarser").shape == (None, 4, 4, 4, 4)
    assert residual_unit(volume, 3, 1, Norm.NONE, "fewer").shape == (None, 8, 8, 8, 3)


PLAN = ResidualPlan(filters=(4, 6, 8), steps=(1, 2, 2), units=1, norm=Norm.GROUP)


def test_residual_networks_answer_on_the_grid_they_promise() -> None:
    volume = keras.Input((8, 12, 16, 1))
    assert [scale.shape[1:] for scale in residual_scales(volume, PLAN)] == [(8, 12, 16, 4), (4, 6, 8, 6), (2, 3, 4, 8)]
    assert residual_unet(volume, PLAN).shape == (None, 8, 12, 16, 4)
    assert residual_encoder(volume, PLAN).shape == (None, 8)


def test_training_reaches_every_weight_of_a_residual_unet() -> None:
    keras.utils.set_random_seed(3)
    volume = keras.Input((4, 8, 8, 1))
    network = keras.Model(volume, keras.layers.Conv3D(1, 1)(residual_unet(volume, PLAN)))
    assert unreached(network, (2, 4, 8, 8, 1)) == []


@pytest.mark.parametrize("axes", [2, 3])
def test_an_autoencoder_passes_everything_through_its_code_and_back_to_the_grid_it_came_from(axes: int) -> None:
    keras.utils.set_random_seed(2)
    plan = AutoencoderPlan(filters=(4, 8), code=5)
    shape = (8,) * axes + (2,)
    volume = keras.Input(shape)
    code = encode(volume, plan)
    network = keras.Model(volume, [code, decode(code, plan, shape)])
    assert [output[1:] for output in network.output_shape] == [(5,), shape]
    assert unreached(network, (3, *shape)) == []
