"""What the judge tells apart: an upright T1 brain, and five ways of not being one."""

from __future__ import annotations

from enum import IntEnum


class Kind(IntEnum):
    """The place of each kind among the scores of the network."""

    T1_BRAIN = 0
    ORIENTATION = 1
    CONTRAST = 2
    SPACING = 3
    ARTEFACT = 4
    ANATOMY = 5


SIGNS = {
    Kind.ORIENTATION: "a head that lies otherwise than its header says",
    Kind.CONTRAST: "another sequence than T1",
    Kind.SPACING: "a head of impossible size or proportions, as from wrong distances between voxels",
    Kind.ARTEFACT: "a damaged volume: noise, motion, or slices missing or in the wrong order",
    Kind.ANATOMY: "something else than a whole brain",
}
