"""Grows trees of vessels and airways into a lung, which look like nodules wherever a slice cuts them across."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .tissue import Box, Field, Points, fill_tube

LONGEST_MM = 14.0
# Murray CD, Proc Natl Acad Sci 12:207, 1926: the cube of a radius is the sum of its branches' cubes.
MURRAY = 3.0
WALL_SHARE = 0.22  # thickness of an airway's wall, of its outer radius


@dataclass(frozen=True)
class Tree:
    """Points in mm (z, y, x), each with the point it grows from (the root from itself) and the radius there."""

    points: Points
    parents: NDArray[np.int64]
    radii_mm: NDArray[np.float64]


def grow_tree(root: Points, tips: Points, tip_radius_mm: float, rng: Generator) -> Tree:
    """Return a tree from `root` that reaches all `tips`, each joined to where the way from the root stays short."""
    order = np.argsort(np.linalg.norm(tips - root, axis=1))
    points, parents, way = [root], [0], [0.0]
    for tip in tips[order]:
        known = np.array(points)
        gaps = np.linalg.norm(known - tip, axis=1)
        best = int(np.argmin(gaps + 0.35 * np.array(way)))
        for point in _bend(known[best], tip, rng):
            parents.append(best)
            way.append(way[best] + float(np.linalg.norm(point - points[best])))
            points.append(point)
            best = len(points) - 1
    return Tree(np.array(points), np.array(parents), _radii(np.array(parents), tip_radius_mm))


def draw_tree(share: Field, box: Box, tree: Tree) -> None:
    """Raise `share` to the part of each voxel that the tree fills."""
    for child in range(1, len(tree.points)):
        parent = int(tree.parents[child])
        thick = float(min(tree.radii_mm[parent], 1.6 * tree.radii_mm[child]))
        fill_tube(share, box, (tree.points[parent], tree.points[child]), (thick, float(tree.radii_mm[child])))


def draw_airways(wall: Field, air: Field, box: Box, tree: Tree, least_radius_mm: float) -> None:
    """Raise `wall` and `air` by bronchi that run beside the branches of a tree that are thick enough."""
    aside = np.array([0.3, 0.8, 0.5])
    for child in range(1, len(tree.points)):
        radius = 1.1 * float(tree.radii_mm[child])
        if radius < least_radius_mm:
            continue
        ends = tuple(tree.points[index] + 2.0 * radius * aside for index in (int(tree.parents[child]), child))
        fill_tube(wall, box, (ends[0], ends[1]), (radius, radius))
        inner = radius * (1.0 - WALL_SHARE)
        fill_tube(air, box, (ends[0], ends[1]), (inner, inner))


def _bend(start: Points, end: Points, rng: Generator) -> list[Points]:
    """Return points on a slightly crooked way from start to end, without the start."""
    length = float(np.linalg.norm(end - start))
    pieces = max(1, int(np.ceil(length / LONGEST_MM)))
    bow = rng.normal(0.0, 0.07 * length, 3)
    ways = [step / pieces for step in range(1, pieces + 1)]
    return [start + at * (end - start) + np.sin(np.pi * at) * bow for at in ways]


def _radii(parents: NDArray[np.int64], tip_radius_mm: float) -> NDArray[np.float64]:
    """Return radii by Murray's law, from the tips, which all have the same."""
    cubes = np.zeros(len(parents))
    has_branch = np.zeros(len(parents), np.bool_)
    has_branch[parents[1:]] = True
    cubes[~has_branch] = tip_radius_mm**MURRAY
    for child in range(len(parents) - 1, 0, -1):
        cubes[parents[child]] += cubes[child]
    return np.asarray(cubes ** (1.0 / MURRAY))
