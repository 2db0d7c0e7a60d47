"""Deals out what this model learns from: blocks of scanned heads, and of heads made up anew in every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from node.training.batches import EpochBatches
from node.training.head_maps import HeadMap
from node.training.head_synthesis import ScanLimits
from node.vocabulary import Pixels

from .subjects import LabelledHead, make_up_head
from .truth import Truth, as_channels
from .variation import Limits, draw_block

LIVELY = Limits()
CALM = Limits(moved_share=0.15, gain=0.04, gamma=0.04, bias=0.06, noise=0.02, thick_share=0.05)
UNVARIED = Limits(
    moved_share=0.0, mirrored_share=0.0, gain=0.0, gamma=0.0, bias=0.0, noise=0.0, thick_share=0.0, brain_share=1.0
)


@dataclass(frozen=True)
class MadeUp:
    """Label maps to make heads from, and how: `per_epoch` of them are drawn anew in every epoch.

    `share` of the blocks show one of them, `calm_share` in a calm course.
    """

    maps: Sequence[tuple[HeadMap, Truth]]
    limits: ScanLimits
    per_epoch: int = 8
    share: float = 0.25
    calm_share: float = 0.10


@dataclass(frozen=True)
class Course:
    """How blocks are dealt: voxels along each side, blocks per batch, batches per epoch, seed.

    In a calm course fewer blocks are made up and the others vary little: the network first learns what a head may
    look like, then what scanned heads do look like.
    """

    size: int
    batch_size: int
    batches: int
    seed: int
    is_calm: bool = False


class HeadBlocks(EpochBatches):
    """Varied blocks of heads, (batch, size, size, size, 1), and what their voxels may be, (…, 4)."""

    def __init__(self, scanned: Sequence[LabelledHead], made_up: MadeUp, course: Course) -> None:
        super().__init__()
        self._scanned = scanned
        self._made_up = made_up
        self._course = course
        self._heads: tuple[int, list[LabelledHead]] = (-1, [])

    def __len__(self) -> int:
        return self._course.batches

    def __getitem__(self, batch: int) -> tuple[Pixels, Pixels]:
        """Return batch number `batch` of the present epoch."""
        rng = np.random.default_rng([self._course.seed, self.epoch, batch])
        drawn = [self._draw(rng) for _ in range(self._course.batch_size)]
        return as_batch(drawn)

    def _draw(self, rng: Generator) -> tuple[Pixels, Truth]:
        is_calm = self._course.is_calm
        share = self._made_up.calm_share if is_calm else self._made_up.share
        heads = self._heads_of_epoch() if rng.random() < share else self._scanned
        limits = CALM if is_calm else LIVELY
        return draw_block(heads[int(rng.integers(len(heads)))], self._course.size, limits, rng)

    def _heads_of_epoch(self) -> list[LabelledHead]:
        epoch, heads = self._heads
        if epoch == self.epoch:
            return heads
        rng = np.random.default_rng([self._course.seed, self.epoch])
        heads = []
        for _ in range(self._made_up.per_epoch):
            head, truth = self._made_up.maps[int(rng.integers(len(self._made_up.maps)))]
            heads.append(make_up_head(head, truth, self._made_up.limits, rng))
        self._heads = (self.epoch, heads)
        return heads


def fixed_blocks(heads: Sequence[LabelledHead], course: Course, per_head: int) -> tuple[Pixels, Pixels]:
    """Return unvaried blocks of every head, the same for the same seed: what epochs are judged on."""
    rng = np.random.default_rng(course.seed)
    return as_batch([draw_block(head, course.size, UNVARIED, rng) for head in heads for _ in range(per_head)])


def as_batch(blocks: Sequence[tuple[Pixels, Truth]]) -> tuple[Pixels, Pixels]:
    """Return blocks as Keras takes them: grey values with a channel axis, and truth with one channel per class."""
    voxels, truths = zip(*blocks, strict=True)
    return np.stack(voxels)[..., np.newaxis], np.stack([as_channels(truth) for truth in truths])
