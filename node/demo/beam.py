"""What X-rays meet on their way through a made-up chest, and what a detector shows of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from node.demo import anatomy
from node.demo.anatomy import Build
from node.demo.canvas import Canvas, Layer, Points, blur, ellipse
from node.demo.wrapping import Picture

SIDES = (-1, 1)  # the patient's right is at the left of the picture
BITS = 12


@dataclass(frozen=True)
class Exposure:
    """How a radiograph was taken: what the beam, the detector and its processing add to the anatomy.

    `scatter` is the share of the beam that is scattered, `noise` its relative standard deviation,
    `latitude` how much of the slow change of grey the processing takes out.
    """

    scatter: float
    noise: float
    gamma: float
    blur_pixels: float
    latitude: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Exposure:
        """Return an exposure drawn at random within what detectors deliver."""
        return cls(
            scatter=rng.uniform(0.25, 0.6),
            noise=rng.uniform(0.004, 0.012),
            gamma=rng.uniform(0.8, 1.15),
            blur_pixels=rng.uniform(0.7, 1.2),
            latitude=rng.uniform(0.3, 0.6),
        )


def chest_thickness(canvas: Canvas, build: Build, lungs: list[Layer], rng: np.random.Generator) -> Layer:
    """Return what attenuates the beam at each pixel, in decimetres of water, around these two lungs."""
    heart = np.maximum(*(_dome(canvas.fill(outline), 14) for outline in anatomy.heart_outlines(build)))
    aired = [lung * (1 - 0.72 * heart) for lung in lungs]
    thickness = _soft_tissue(canvas, build, rng) - _air(canvas, build, aired)
    return thickness + _bones(canvas, build, rng) + _vessels(canvas, build, aired, rng)


def expose(thickness: Layer, exposure: Exposure, rng: np.random.Generator) -> Picture:
    """Return what the detector shows of the thickness: attenuated, scattered, noisy, 12 bits."""
    beam = np.exp(-1.6 * np.clip(thickness, 0, None))
    beam = blur(beam, exposure.blur_pixels)
    beam = beam + exposure.scatter * blur(beam, 60)
    beam *= 1 + exposure.noise * rng.standard_normal(beam.shape) / np.sqrt(beam / beam.mean())
    grey = -np.log(np.clip(beam, 1e-6, None))
    grey -= exposure.latitude * blur(grey, 70)
    low, high = np.percentile(grey, (0.3, 99.9))
    shown = np.clip((grey - low) / (high - low), 0, 1) ** exposure.gamma
    picture: Picture = np.round(shown * (2**BITS - 1)).astype(np.uint16)
    return picture


def _soft_tissue(canvas: Canvas, build: Build, rng: np.random.Generator) -> Layer:
    """Return the body without lungs and bones, in tenths of a metre of water along the beam."""
    x, y = canvas.grid()
    shoulder = np.clip((y - build.top + 0.20) / 0.20, 0, 1)
    half_width = 0.17 + (0.42 + 0.12 * rng.random()) * build.spread * np.sqrt(shoulder)
    profile = np.sqrt(np.clip(1 - (x / half_width) ** 2, 0, None))
    depth = np.interp(y[:, 0], (0, build.top, 0.5, 0.75, 1), (1.5, 1.7, 2.0, 2.15, 2.3))[:, np.newaxis]
    return blur(depth * profile**0.7, 6) * (
        1 + _mottle(x.shape, 30, 0.03, rng) + _mottle(x.shape, 6, 0.012, rng)
    )


def _mottle(shape: tuple[int, ...], size_pixels: float, amount: float, rng: np.random.Generator) -> Layer:
    """Return unevenness of this typical size, with this standard deviation round 0."""
    grain = blur(rng.random(shape), size_pixels)
    return np.asarray((grain - grain.mean()) * (amount / grain.std()))


def _air(canvas: Canvas, build: Build, aired: list[Layer]) -> Layer:
    """Return what the air in lungs and trachea takes away."""
    knob = _dome(canvas.fill(ellipse(build.place(1, (0.062, 0.365)), (0.046, 0.052))), 8)
    air = np.zeros_like(knob)
    for lung in aired:
        air += 0.95 * lung * (0.35 + 0.65 * blur(lung, 45) ** 0.8) * (1 - 0.75 * knob)
    trachea = canvas.stroke(
        [np.array([build.place(1, (0.004, -0.2)), build.place(1, (-0.002, 0.39))])], [0.034]
    )
    return blur(air, 1.5) + 0.22 * blur(trachea, 5)


def _dome(share: Layer, softness: float) -> Layer:
    """Return a body that is thick in its middle and thins towards its outline."""
    return share * blur(share, softness) ** 0.6


def _bones(canvas: Canvas, build: Build, rng: np.random.Generator) -> Layer:
    bones = np.zeros((canvas.rows, canvas.columns))
    for side in SIDES:
        bones += 0.30 * _tube(canvas, anatomy.posterior_ribs(build, side), 0.021)
        bones += 0.17 * _tube(canvas, anatomy.anterior_ribs(build, side), 0.022)
        bones += 0.40 * _tube(canvas, [anatomy.clavicle(build, side, rng.normal(0.0, 0.012))], 0.026)
    return bones + _spine(canvas, build)


def _tube(canvas: Canvas, lines: list[Points], width: float) -> Layer:
    """Return bones as X-rays show them: dense along both edges, lighter in the marrow."""
    outer = canvas.stroke(lines, [width] * len(lines))
    marrow = canvas.stroke(lines, [0.62 * width] * len(lines))
    return blur(outer - 0.45 * marrow, 1.6)


def _spine(canvas: Canvas, build: Build) -> Layer:
    bodies = []
    for number in range(18):
        x, y = build.place(1, (0.0, 0.02 + 0.058 * number))
        half = 0.032 + 0.0008 * number
        bodies.append(np.array([(x - half, y), (x + half, y), (x + half, y + 0.046), (x - half, y + 0.046)]))
    return 0.26 * blur(canvas.fill(*bodies), 5)


def _vessels(canvas: Canvas, build: Build, aired: list[Layer], rng: np.random.Generator) -> Layer:
    drawn = np.zeros((canvas.rows, canvas.columns))
    for side, lung in zip(SIDES, aired, strict=True):
        drawn += 0.20 * lung * blur(canvas.stroke(*anatomy.vessels(build, side, rng)), 1.8)
        hilum = canvas.fill(ellipse(build.place(side, (0.108, 0.485)), (0.034, 0.062), tilt=-0.3 * side))
        drawn += 0.34 * blur(hilum, 14)
    return drawn
