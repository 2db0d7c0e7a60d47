"""The shapes of a made-up chest seen from the front, varied by a random generator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from node.demo.canvas import Layer, Points, curve, ellipse

# Where a lung's outline runs on the patient's right, as (distance from the spine, height): up the
# mediastinum, over the apex, down the chest wall to the costophrenic angle, back over the diaphragm.
MEDIASTINAL = ((0.105, 0.775), (0.092, 0.68), (0.080, 0.54), (0.074, 0.40), (0.080, 0.28), (0.098, 0.20))
APEX_AND_WALL = (
    (0.098, 0.20), (0.125, 0.157), (0.175, 0.140), (0.233, 0.156), (0.295, 0.212),
    (0.345, 0.305), (0.378, 0.42), (0.398, 0.55), (0.410, 0.70), (0.418, 0.845),
)  # fmt: skip
DIAPHRAGM = ((0.418, 0.845), (0.375, 0.790), (0.315, 0.752), (0.245, 0.738), (0.170, 0.748), (0.105, 0.775))

RIBS = 10
RIB_STEP = 0.0665


@dataclass(frozen=True)
class Build:
    """What differs from one chest to the next; lengths in heights of the picture.

    `spread` widens the chest, `stretch` lengthens the lungs, `top` is where the apices lie,
    `left_dome` is how much lower the left half of the diaphragm stands.
    """

    spread: float
    stretch: float
    top: float
    left_dome: float
    heart: float
    slope: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Build:
        """Return a build drawn at random within what adults show."""
        return cls(
            spread=rng.uniform(0.88, 1.04),
            stretch=rng.uniform(0.86, 1.06),
            top=rng.uniform(0.11, 0.17),
            left_dome=rng.uniform(0.005, 0.035),
            heart=rng.uniform(0.88, 1.15),
            slope=rng.uniform(0.8, 1.2),
        )

    def place(self, side: int, point: tuple[float, float]) -> tuple[float, float]:
        """Return a point of the drawing above in this chest; `side` is -1 for the patient's right."""
        distance, height = point
        return side * distance * self.spread, self.top + (height - 0.142) * self.stretch


def lung_outline(build: Build, side: int, rng: np.random.Generator) -> Points:
    """Return the closed outline of one lung, the part behind the heart included."""
    lower = build.left_dome if side > 0 else 0.0
    wander = rng.normal(0, 0.004, 3)

    def path(points: tuple[tuple[float, float], ...]) -> Points:
        moved = [
            (distance + _bulge(height, wander), height + lower * _low(height)) for distance, height in points
        ]
        return curve(*(build.place(side, point) for point in moved))

    return np.concatenate([path(MEDIASTINAL), path(APEX_AND_WALL), path(DIAPHRAGM)])


def posterior_ribs(build: Build, side: int) -> list[Points]:
    """Return the middle lines of the ribs behind the lung, from the spine to the chest wall."""
    ribs = []
    for number in range(RIBS):
        start = 0.150 + RIB_STEP * number
        reach = float(np.interp(number, (0, 2, 5, 9), (0.22, 0.335, 0.405, 0.425)))
        fall = build.slope * float(np.interp(number, (0, 3, 9), (0.045, 0.075, 0.145)))
        rib = (
            (0.035, start),
            (0.35 * reach, start - 0.012),
            (0.72 * reach, start + 0.25 * fall),
            (reach, start + fall),
        )
        ribs.append(curve(*(build.place(side, point) for point in rib)))
    return ribs


def anterior_ribs(build: Build, side: int) -> list[Points]:
    """Return the middle lines of the ribs in front of the lung, from the chest wall to the cartilage."""
    ribs = []
    for number in range(6):
        start = 0.215 + RIB_STEP * number * 1.1
        reach = float(np.interp(number, (0, 2, 5), (0.25, 0.36, 0.41)))
        fall = build.slope * (0.10 + 0.018 * number)
        rib = (
            (reach, start),
            (0.86 * reach, start + 0.5 * fall),
            (0.55 * reach, start + 0.9 * fall),
            (0.125 + 0.02 * number, start + fall),
        )
        ribs.append(curve(*(build.place(side, point) for point in rib)))
    return ribs


def clavicle(build: Build, side: int, tilt: float) -> Points:
    """Return the middle line of a collar bone, from the sternum to the shoulder."""
    bone = (
        (0.035, 0.232),
        (0.12, 0.205 - tilt),
        (0.22, 0.178 - tilt),
        (0.33, 0.150 - 2 * tilt),
        (0.55, 0.135 - 2 * tilt),
    )
    return curve(*(build.place(side, point) for point in bone))


def heart_outlines(build: Build) -> list[Points]:
    """Return the heart's two ellipses: the ventricles to the patient's left, the right atrium."""
    size = build.heart
    x, y = build.place(1, (0.075, 0.655))
    atrium = build.place(-1, (0.035, 0.645))
    return [
        ellipse((x, y), (0.178 * size, 0.118 * size), tilt=0.62),
        ellipse(atrium, (0.085 * size, 0.115 * size)),
    ]


def vessels(build: Build, side: int, rng: np.random.Generator) -> tuple[list[Points], list[float]]:
    """Return the branching vessels of one lung from its hilum outwards, and their widths."""
    lines: list[Points] = []
    widths: list[float] = []
    for angle in np.linspace(-1.25, 1.35, 9) + rng.normal(0, 0.1, 9):
        _grow((0.095, 0.475), float(angle), 0.011, rng, (lines, widths))
    return [np.array([build.place(side, (x, y)) for x, y in line]) for line in lines], widths


def _grow(
    start: tuple[float, float],
    angle: float,
    width: float,
    rng: np.random.Generator,
    tree: tuple[list[Points], list[float]],
) -> None:
    """Add a vessel that winds on and forks until it is too thin to be seen."""
    if width < 0.0016:
        return
    points = [start]
    for _ in range(4):
        angle += rng.normal(0, 0.13)
        step = 0.9 * width + 0.006
        points.append((points[-1][0] + step * np.cos(angle), points[-1][1] + step * np.sin(angle)))
    tree[0].append(np.array(points))
    tree[1].append(width)
    for turn in (rng.uniform(0.1, 0.45), -rng.uniform(0.1, 0.45)):
        _grow(points[-1], angle + turn, width * rng.uniform(0.66, 0.82), rng, tree)


def _bulge(height: float, wander: Layer) -> float:
    """Return how far this chest's wall differs from the drawing at a height."""
    return float(wander @ np.sin(np.arange(1, 4) * np.pi * height))


def _low(height: float) -> float:
    """Return 0 above the middle of the lung rising to 1 at its base."""
    return float(np.clip((height - 0.45) / 0.28, 0, 1))
