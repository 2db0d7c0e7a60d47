"""Says which TensorFlow is installed and what it computes on; `python -m node.inference.devices` prints JSON.

Only ever a process of its own, so that the one who asks stays small.
"""

from __future__ import annotations

import json
from typing import Any


def describe_devices() -> dict[str, Any]:
    """Return TensorFlow's and Keras' versions, the number of GPUs seen, and whether TensorFlow was built for any."""
    import keras  # noqa: PLC0415 - reading this module must not take TensorFlow's seconds and memory
    import tensorflow as tf  # noqa: PLC0415

    return {
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "built_for_gpu": bool(tf.test.is_built_with_cuda()),
    }


if __name__ == "__main__":
    print(json.dumps(describe_devices()))
