"""How long a worker may take: what its lease allows, and the deadline of the model it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.catalog import Catalog
from node.settings import WorkersSection

_RENEWALS_PER_LEASE = 3


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
