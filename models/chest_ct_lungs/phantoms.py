"""Made-up chest CT scans with exact lungs, each drawn from one number: what this model learns from."""

from __future__ import annotations

import numpy as np

from .abdomen import draw_abdomen
from .body import body_space, draw_body, draw_build
from .chest import draw_chest
from .disease import add_disease
from .scanner import Phantom, Protocol, Scan, scan

DRAWN_MM = (2.5, 1.8, 1.8)


def draw_phantom(seed: int, protocol: Protocol) -> Scan:
    """Return the scan of a made-up patient; the same seed and protocol give the same voxels."""
    rng = np.random.default_rng(seed)
    build = draw_build(rng)
    space = body_space(build, DRAWN_MM)
    hu, cavity = draw_body(space, build, rng)
    chest = draw_chest(hu, space, build, cavity, rng)
    lungs = add_disease(hu, space, build, chest, rng)
    draw_abdomen(hu, space, build, chest.lungs | chest.airways, rng)
    return scan(Phantom(build, space, hu, lungs), protocol, rng)
