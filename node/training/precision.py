"""Half precision in training: the arithmetic of layers in bfloat16, which current CPUs do faster."""

from __future__ import annotations

from collections.abc import Callable

import keras


def build_in_bfloat16(build: Callable[[], keras.Model]) -> keras.Model:
    """Build a network that computes in bfloat16, while its variables stay float32.

    Layers drawn with `dtype="float32"`, such as the last one, stay as they are. The weights fit the
    network that `build` alone returns.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return build()
    finally:
        keras.config.set_dtype_policy(before)
