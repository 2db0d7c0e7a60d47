"""What lies in a file of weights."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np


def read_weights(path: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}

    def keep(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            found[name] = np.asarray(node)

    with h5py.File(path) as opened:
        opened.visititems(keep)
    return found
