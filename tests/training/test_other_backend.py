"""The same code trains on JAX, and what it wrote serves on TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

from node.networks.unet import UNetPlan, unet

TRAINING = """
import sys
from pathlib import Path

import keras
import numpy as np
from test_other_backend import PICTURES, marks

from node.training.batches import Dealing, DrawnBatches
from node.training.fit import Material, fit
from node.training.options import TrainingOptions
from node.training.precision import build_in_bfloat16
from node.training.schedule import Schedule

assert keras.backend.backend() == "jax"
keras.utils.set_random_seed(3)
output = Path(sys.argv[1])
targets = (PICTURES > 0.5).astype(np.float32)
batches = DrawnBatches(lambda index, _: (PICTURES[index], targets[index]), len(PICTURES), Dealing(4, 2, 3))
schedule = Schedule(epochs=3, learning_rate=0.01, warm_up=0, averaging=0.9, weight_decay=1e-3)
network = build_in_bfloat16(marks)
best = fit(network, Material(batches, (PICTURES, targets)), schedule, output, TrainingOptions(processes=2))
served = marks()
served.load_weights(best)
np.save(output / "marked.npy", served.predict(PICTURES, verbose=0))
"""

PICTURES = np.random.default_rng(1).random((8, 16, 16, 1), np.float32)


def marks() -> keras.Model:
    """Return a small U-Net."""
    picture = keras.Input((16, 16, 1), name="picture")
    features = unet(picture, UNetPlan(filters=(4,), bottom=8))
    return keras.Model(picture, keras.layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="mark")(features))


def test_weights_trained_on_jax_give_the_same_answers_on_tensorflow(tmp_path: Path) -> None:
    tests = Path(__file__).parent
    paths = os.pathsep.join([str(tests.parents[1]), str(tests)])
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths}
    command = [sys.executable, "-c", TRAINING, str(tmp_path)]
    ran = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-3000:]
    here = marks()
    here.load_weights(tmp_path / "best.weights.h5")
    assert keras.backend.backend() == "tensorflow"
    np.testing.assert_allclose(here.predict(PICTURES, verbose=0), np.load(tmp_path / "marked.npy"), atol=1e-5)
