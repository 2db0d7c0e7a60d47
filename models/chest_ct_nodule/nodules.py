"""Draws nodules into a lung: solid, part-solid, ground glass, calcified, hollow; smooth, lobulated or spiculated."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.random import Generator

from node.vocabulary import Mask

from .tissue import Field

DIAMETERS_MM = (4.0, 30.0)
MASS_MM = (30.0, 55.0)
MASS_SHARE = 0.08
SPICULE_REACH = 2.0  # radii from the centre


class Kind(StrEnum):
    """What a nodule is made of."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    GROUND_GLASS = "ground glass"
    CALCIFIED = "calcified"
    HOLLOW = "hollow"


KINDS = {Kind.SOLID: 0.55, Kind.PART_SOLID: 0.15, Kind.GROUND_GLASS: 0.2, Kind.CALCIFIED: 0.05, Kind.HOLLOW: 0.05}


@dataclass(frozen=True)
class Plan:
    """What nodule to draw: its mean diameter and kind, and how far its edge departs from an ellipsoid."""

    diameter_mm: float
    kind: Kind
    lobulation: float
    spicules: int


@dataclass(frozen=True)
class Nodule:
    """A cube of voxels around a nodule: how much tissue displaces air in each, how dense it is, and its body.

    `body` leaves spicules out, as readers do when they measure.
    """

    share: Field
    tissue_hu: float
    body: Mask


def plan_nodule(rng: Generator) -> Plan:
    """Draw what nodule to draw, small ones more often than large ones."""
    low, high = MASS_MM if rng.random() < MASS_SHARE else DIAMETERS_MM
    diameter = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    kind = list(KINDS)[int(rng.choice(len(KINDS), p=list(KINDS.values())))]
    if diameter < 8.0 and kind in (Kind.PART_SOLID, Kind.HOLLOW):
        kind = Kind.SOLID
    is_spiculated = diameter > 7.0 and kind in (Kind.SOLID, Kind.PART_SOLID) and rng.random() < 0.4
    return Plan(diameter, kind, float(rng.uniform(0.0, 0.25)), int(rng.integers(6, 25)) if is_spiculated else 0)


def draw_nodule(plan: Plan, step_mm: float, rng: Generator, room_mm: float = 0.0) -> Nodule:
    """Draw a nodule in a cube that holds it with some room, its centre in the middle voxel to within half a step."""
    radius = plan.diameter_mm / 2
    reach = radius * (SPICULE_REACH if plan.spicules else 1.5) + step_mm + room_mm
    half = int(np.ceil(reach / step_mm))
    axis = np.arange(-half, half + 1) * step_mm
    away = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1) + rng.uniform(-0.5, 0.5, 3) * step_mm
    away = (away @ _stretch(rng).T).astype(np.float32)
    distance = np.sqrt((away**2).sum(axis=-1))
    facing = away / np.maximum(distance, 1e-3)[..., np.newaxis]
    edge = radius * _bumps(facing, plan.lobulation, rng)
    softness = step_mm * rng.uniform(0.7, 1.6)
    share = np.clip(0.5 + (edge - distance) / softness, 0.0, 1.0)
    body = distance < edge
    share = _fill(share, distance / edge, plan.kind, rng)
    if plan.spicules:
        share = np.maximum(share, _spicules(facing, distance, radius, plan.spicules, rng))
    tissue = rng.uniform(200, 900) if plan.kind is Kind.CALCIFIED else rng.uniform(-60, 110)
    return Nodule(share.astype(np.float32), float(tissue), np.asarray(body))


def _stretch(rng: Generator) -> Field:
    """Return a (3, 3) matrix that makes a sphere an ellipsoid of the same volume, turned anyhow."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    lengths = np.exp(rng.normal(0.0, 0.14, 3))
    lengths /= np.cbrt(lengths.prod())
    return np.asarray(turn @ np.diag(1.0 / lengths) @ turn.T)


def _bumps(facing: Field, amount: float, rng: Generator) -> Field:
    """Return by how much the edge is further out than that of a ball, in each direction."""
    factor = np.ones(facing.shape[:-1], np.float32)
    for _ in range(6):
        towards = _unit(rng)
        factor += amount * rng.uniform(-0.6, 1.0) * np.exp(4.0 * (facing @ towards - 1.0))
    return np.asarray(np.maximum(factor, 0.5), np.float32)


def _fill(share: Field, depth: Field, kind: Kind, rng: Generator) -> Field:
    """Return how much tissue a nodule of this kind holds; `depth` is 0 at its centre and 1 at its edge."""
    if kind is Kind.GROUND_GLASS:
        return np.asarray(share * rng.uniform(0.2, 0.6))
    if kind is Kind.PART_SOLID:
        core = np.clip((rng.uniform(0.3, 0.75) - depth) / 0.15 + 0.5, 0.0, 1.0)
        return np.asarray(share * np.maximum(core, rng.uniform(0.2, 0.55)))
    if kind is Kind.HOLLOW:
        hole = np.clip((rng.uniform(0.25, 0.6) - depth) / 0.15 + 0.5, 0.0, 1.0)
        return np.asarray(share * (1.0 - hole))
    return share


def _spicules(facing: Field, distance: Field, radius: float, count: int, rng: Generator) -> Field:
    """Return how much tissue fine rays hold, which thin out as they leave the edge."""
    rays = np.zeros(distance.shape, np.float32)
    for _ in range(count):
        length = radius * rng.uniform(1.2, SPICULE_REACH)
        across = distance * np.sqrt(np.maximum(0.0, 1.0 - np.clip(facing @ (ray := _unit(rng)), 0.0, 1.0) ** 2))
        ahead = (facing @ ray > 0) & (distance < length)
        fade = np.clip((length - distance) / (length - 0.8 * radius), 0.0, 1.0)
        ray_share = ahead * fade * np.clip(1.4 - across / 1.2, 0.0, 1.0) * rng.uniform(0.3, 0.9)
        rays = np.maximum(rays, ray_share.astype(np.float32))
    return rays


def _unit(rng: Generator) -> Field:
    drawn = rng.normal(size=3)
    return np.asarray(drawn / np.linalg.norm(drawn), np.float32)
