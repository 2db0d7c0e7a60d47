"""Succession: which earlier job's results a new job replaces, after late instances or a new model."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from node.database import Job


def find_predecessor(model: str, instance_ids: Collection[int], outdated: Iterable[Job]) -> int | None:
    """Return the key of the job that one of `model` on these instances replaces, or None.

    It is the one of the same model that shares the most instances, of several the latest. A job that shares
    none was about something else; so is one whose images have left the disk, which has none any more.
    """
    shared = {
        job.id: len({entry.instance_id for entry in job.inputs}.intersection(instance_ids))
        for job in outdated
        if job.model == model
    }
    found = max(shared, key=lambda job_id: (shared[job_id], job_id), default=None)
    return found if found is not None and shared[found] else None
