"""How many workers there are, and how much each may take: of time by its lease and its model's deadline, of memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from node.catalog import Catalog
from node.inference.serving import has_gpu
from node.settings import WorkersSection

_RENEWALS_PER_LEASE = 3
_SHARE_OF_MEMORY = 0.75  # the rest is the node's, the system's and the file cache's
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
# What a worker is left for series of a thousand slices and more, before a second one has its share.
_BYTES_FOR_LONG_SERIES = 4 << 30
# A sample is in memory as it came, decoded, in the volume with its padding, and as the network's input.
_BYTES_PER_SAMPLE = 10


@dataclass(frozen=True)
class WorkLimits:
    """How often a claim is renewed, and how long a job may take: its model's own deadline, or everyone's."""

    renewal_seconds: float
    deadline_seconds: float
    deadlines_of_models: Mapping[str, float]

    def deadline_of(self, model: str) -> float:
        """Return how many seconds a job of this model may take."""
        return self.deadlines_of_models.get(model, self.deadline_seconds)


def limits_of(settings: WorkersSection, catalog: Catalog) -> WorkLimits:
    """Return the limits of node.toml, with the deadlines that models set for themselves in `[limits]`."""
    own = {name: model.card.limits.deadline_seconds for name, model in catalog.models.items()}
    return WorkLimits(
        renewal_seconds=settings.lease_seconds / _RENEWALS_PER_LEASE,
        deadline_seconds=settings.deadline_seconds,
        deadlines_of_models={name: seconds for name, seconds in own.items() if seconds is not None},
    )


def count_of(settings: WorkersSection) -> int:
    """Return how many workers there are: as many as node.toml says or, where it leaves that to us, two or one.

    Of two, one reads and encodes while the network of the other runs. That takes two cores, memory for both, and no
    GPU, for the first process that computes on one takes its memory.
    """
    if settings.count:
        return settings.count
    each = settings.memory_mb * 1024 * 1024 or _BYTES_FOR_LONG_SERIES
    is_room_for_two = 2 * each <= machine_bytes() * _SHARE_OF_MEMORY
    return 2 if is_room_for_two and len(os.sched_getaffinity(0)) > 1 and not has_gpu() else 1


def memory_bytes_of(settings: WorkersSection) -> int:
    """Return how much memory a worker may take: what node.toml says, or its share of three quarters of all."""
    if settings.memory_mb:
        return settings.memory_mb * 1024 * 1024
    return int(machine_bytes() * _SHARE_OF_MEMORY / count_of(settings))


def most_samples_of(settings: WorkersSection) -> int:
    """Return how many samples the images of a job may have, so that they fit a worker's memory."""
    return memory_bytes_of(settings) // _BYTES_PER_SAMPLE


def machine_bytes() -> int:
    """Return the memory of this machine, or of the container we are in."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CONTAINER_LIMIT.read_text().strip() if _CONTAINER_LIMIT.exists() else "max"
    return min(machine, int(limit)) if limit.isdigit() else machine
