"""Adds channels that hold zero, so that an identity can be added to features that have more."""

from __future__ import annotations

from typing import Any

import keras
from keras import KerasTensor, ops


@keras.saving.register_keras_serializable(package="radnode")
class ZeroChannels(keras.layers.Layer):
    """Puts channels of zero before and after those of (batch, …, channels)."""

    def __init__(self, around: tuple[int, int], **options: Any) -> None:
        super().__init__(**options)
        self.around = (around[0], around[1])

    def call(self, inputs: KerasTensor) -> KerasTensor:
        """Return the wider map."""
        return ops.pad(inputs, [*[(0, 0)] * (len(inputs.shape) - 1), self.around])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape with the channels added."""
        channels = input_shape[-1]
        return *input_shape[:-1], None if channels is None else channels + sum(self.around)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "around": self.around}
