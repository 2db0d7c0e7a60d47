"""Makes volumes that are no upright T1 brain out of volumes that are, each in a way that has happened somewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from node.imaging.volume import Volume
from node.training.smooth_fields import smooth_field

from .kinds import Kind
from .placing import axis_towards, cut, draw_turn, draw_wrong_axes, move, stretch
from .variations import Limits, Subject, Tissues, add_noise, blur, draw_shading, place, recolour, vary, vary_scan

MILD = Limits(bias=0.25, noise=0.03, blur_voxels=0.6, turn_degrees=12.0)

Make = Callable[[Subject, Generator], Volume]


def exchange_axes(subject: Subject, rng: Generator) -> Volume:
    """Exchange or reverse axes, as a header does that states another orientation."""
    return move(vary(subject, MILD, rng), draw_wrong_axes(rng))


def turn_far(subject: Subject, rng: Generator) -> Volume:
    """Turn by 45 to 180 degrees about one axis."""
    axis = int(rng.integers(0, 3))
    angle = np.deg2rad(rng.uniform(45, 180) * rng.choice((-1, 1)))
    turn = np.eye(3)
    one, other = (axis + 1) % 3, (axis + 2) % 3
    turn[one, one] = turn[other, other] = np.cos(angle)
    turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
    return move(vary(subject, MILD, rng), turn)


def change_contrast(subject: Subject, rng: Generator) -> Volume:
    """Make fluid bright, or white matter no brighter than grey: T2, proton density, FLAIR and others."""
    if rng.random() < 0.25:  # white matter brightest, but fluid brighter still
        white, grey = 1.0, rng.uniform(0.6, 0.95)
        fluid = rng.uniform(1.05, 2.0)
    else:
        white = 1.0
        grey = white * rng.uniform(1.02, 1.8)
        fluid = grey * (rng.uniform(1.1, 2.5) if rng.random() < 0.5 else rng.uniform(0.1, 1.1))
    scale = subject.tissues.white * rng.uniform(0.3, 1.0)
    tissues = Tissues(scale * fluid, scale * grey, scale * white)
    return vary_scan(recolour(subject, tissues, float(rng.uniform(0.2, 2.5))), MILD, rng)


def misstate_spacing(subject: Subject, rng: Generator) -> Volume:
    """Multiply the distances along one axis, or all, by less than 0.7 or more than 1.45."""
    factor = float(rng.uniform(0.3, 0.7) if rng.random() < 0.5 else rng.uniform(1.45, 2.5))
    factors = [1.0, 1.0, 1.0]
    if rng.random() < 0.25:
        factors = [factor] * 3
    else:
        factors[int(rng.integers(0, 3))] = factor
    return stretch(vary(subject, MILD, rng), (factors[0], factors[1], factors[2]))


def drown_in_noise(subject: Subject, rng: Generator) -> Volume:
    """Add noise that is still 12 to 50 % of the bright grey values where 4 mm are averaged."""
    volume = vary(subject, MILD, rng)
    level = float(np.percentile(volume.voxels, 95)) * float(np.sqrt(64.0 / volume.grid.voxel_mm3))
    return replace(volume, voxels=add_noise(volume.voxels, rng.uniform(0.12, 0.5) * level, rng))


def smear(subject: Subject, rng: Generator) -> Volume:
    """Blur by 10 to 24 mm along every axis."""
    volume = vary(subject, MILD, rng)
    return replace(volume, voxels=blur(volume.voxels, rng.uniform(10.0, 24.0) / min(volume.grid.spacing_mm)))


def shade_strongly(subject: Subject, rng: Generator) -> Volume:
    """Multiply by a coil's sensitivity so uneven that parts of the head vanish."""
    volume = vary(subject, replace(MILD, bias=0.0, noise=0.0), rng)
    shading = draw_shading(volume.voxels.shape, rng.uniform(1.2, 2.0), rng)
    grey = volume.voxels * shading
    return replace(volume, voxels=add_noise(grey, 0.03 * float(np.percentile(grey, 95)), rng))


def shuffle_slices(subject: Subject, rng: Generator) -> Volume:
    """Put slices, or blocks of them, into another order."""
    volume = vary(subject, MILD, rng)
    axis = int(rng.integers(0, 3))
    count = volume.voxels.shape[axis]
    blocks = np.array_split(np.arange(count), int(rng.integers(3, max(4, count // 3))))
    order = np.concatenate([blocks[place] for place in rng.permutation(len(blocks))])
    return _resliced(volume, np.take(volume.voxels, order, axis))


def lose_slices(subject: Subject, rng: Generator) -> Volume:
    """Take 15 to 40 % of the slices out of the middle and close the gap, or leave it black."""
    volume = vary(subject, MILD, rng)
    axis = int(rng.integers(0, 3))
    count = volume.voxels.shape[axis]
    gone = int(count * rng.uniform(0.15, 0.4))
    start = int(rng.integers(count // 5, count - gone - count // 5 + 1))
    if rng.random() < 0.5:
        keep = np.delete(np.arange(count), np.arange(start, start + gone))
        return _resliced(volume, np.take(volume.voxels, keep, axis))
    index = tuple(slice(start, start + gone) if other == axis else slice(None) for other in range(3))
    voxels = volume.voxels.copy()
    voxels[index] = 0.0
    return replace(volume, voxels=voxels)


def show_part(subject: Subject, rng: Generator) -> Volume:
    """Keep 20 to 55 % of the head along one axis, from one of its ends or its middle."""
    volume = place(subject.volume, MILD, rng)
    axis = int(rng.integers(0, 3))
    count = volume.voxels.shape[axis]
    kept = max(3, int(count * rng.uniform(0.2, 0.55)))
    start = int(rng.choice((0, count - kept, (count - kept) // 2)))
    towards_feet = (volume.grid.steps_mm[axis][2] > 0) == (start == 0)
    if axis == axis_towards(volume, 2) and not towards_feet:
        kept = int(0.4 * kept)  # the upper half of a head holds most of a brain
        start = count - kept if start else 0
    return cut(volume, axis, start, start + kept)


def draw_body(subject: Subject, rng: Generator) -> Volume:
    """Draw an oval body of any size with dark and bright organs, of the shape of the subject's volume."""
    volume = subject.volume
    axes = [np.linspace(-1.0, 1.0, count, dtype=np.float32) for count in volume.voxels.shape]
    places = np.meshgrid(*axes, indexing="ij", sparse=True)
    radii, power = rng.uniform(0.5, 1.1, 3), rng.uniform(1.5, 5.0)
    if rng.random() < 0.7:
        radii[axis_towards(volume, 2)] = 10.0
    body = sum(np.abs(place / radius) ** power for place, radius in zip(places, radii, strict=True)) < 1.0
    grey = np.where(body, 1.0 + 0.2 * smooth_field(volume.voxels.shape, 12, rng), 0.0)
    for _ in range(int(rng.integers(0, 8))):
        middle, size = rng.uniform(-0.6, 0.6, 3), rng.uniform(0.1, 0.5, 3)
        organ = sum(((place - at) / r) ** 2 for place, at, r in zip(places, middle, size, strict=True)) < 1.0
        grey[organ & body] = rng.uniform(0.0, 2.0)
    sized = stretch(replace(volume, voxels=grey.astype(np.float32)), (float(rng.uniform(0.7, 1.8)),) * 3)
    return move(replace(sized, voxels=add_noise(sized.voxels, rng.uniform(0.0, 0.1), rng)), draw_turn(30.0, rng))


def scramble(subject: Subject, rng: Generator) -> Volume:
    """Exchange cubes of the head, so that its values remain and its anatomy does not."""
    volume = place(subject.volume, MILD, rng)
    side = int(rng.integers(4, 9)) * max(1, round(4.0 / min(volume.grid.spacing_mm)))
    counts = [count // side for count in volume.voxels.shape]
    used = volume.voxels[tuple(slice(0, count * side) for count in counts)]
    cubes = used.reshape([part for count in counts for part in (count, side)]).transpose(0, 2, 4, 1, 3, 5)
    mixed = rng.permutation(cubes.reshape(-1, side, side, side)).reshape(*counts, side, side, side)
    return _resliced(volume, mixed.transpose(0, 3, 1, 4, 2, 5).reshape(used.shape))


def add_ghosts(subject: Subject, rng: Generator) -> Volume:
    """Add two to four shifted copies along one axis, as periodic motion leaves in the phase direction."""
    volume = vary(subject, MILD, rng)
    axis = int(rng.integers(0, 3))
    copies = int(rng.integers(2, 5))
    step = volume.voxels.shape[axis] // (copies + 1)
    strength = rng.uniform(0.35, 0.7)
    ghosts = sum(np.roll(volume.voxels, step * number, axis) for number in range(1, copies + 1)) / copies
    return replace(volume, voxels=(volume.voxels * (1 - strength / 2) + strength * ghosts).astype(np.float32))


def repeat_slices(subject: Subject, rng: Generator) -> Volume:
    """Send 20 to 40 % of the slices twice, each right after itself, and count them all."""
    volume = vary(subject, MILD, rng)
    axis = int(rng.integers(0, 3))
    count = volume.voxels.shape[axis]
    twice = int(count * rng.uniform(0.2, 0.4))
    start = int(rng.integers(count // 5, count - twice - count // 5 + 1))
    often = np.ones(count, int)
    often[start : start + twice] = 2
    return _resliced(volume, np.repeat(volume.voxels, often, axis))


LEARNED: Mapping[str, tuple[Kind, Make]] = {
    "axes exchanged": (Kind.ORIENTATION, exchange_axes),
    "turned far": (Kind.ORIENTATION, turn_far),
    "other contrast": (Kind.CONTRAST, change_contrast),
    "wrong spacing": (Kind.SPACING, misstate_spacing),
    "noise": (Kind.ARTEFACT, drown_in_noise),
    "blur": (Kind.ARTEFACT, smear),
    "strong shading": (Kind.ARTEFACT, shade_strongly),
    "slices shuffled": (Kind.ARTEFACT, shuffle_slices),
    "slices missing": (Kind.ARTEFACT, lose_slices),
    "part of a head": (Kind.ANATOMY, show_part),
    "made-up body": (Kind.ANATOMY, draw_body),
    "head scrambled": (Kind.ANATOMY, scramble),
}

# Never shown in training, and not looked at before the test: how the judge does on what nobody thought of.
HELD_BACK: Mapping[str, tuple[Kind, Make]] = {
    "ghosts": (Kind.ARTEFACT, add_ghosts),
    "slices repeated": (Kind.ARTEFACT, repeat_slices),
}


def _resliced(volume: Volume, voxels: NDArray[np.generic]) -> Volume:
    """Return a volume of these voxels, which begins where the given one does and has its steps."""
    slices, rows, columns = voxels.shape
    grid = replace(volume.grid, shape=(slices, rows, columns))
    values = np.ascontiguousarray(voxels, np.float32)
    return replace(volume, voxels=values, padding=np.zeros(voxels.shape, np.bool_), grid=grid)
