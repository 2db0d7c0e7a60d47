"""A mean head with the places of its tissues: T1 volumes are laid over it and given one scale of grey by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.errors import ModelCardError, PixelsRefused, RadnodeError, StudyRefused
from node.imaging.alignment import Alignment, Template, align_head, resample_aligned
from node.imaging.head import normalise_head
from node.imaging.upright import resample_upright
from node.imaging.volume import Grid, Unit, Volume
from node.imaging.volume_files import read_volume_file
from node.vocabulary import Mask, Pixels

TEMPLATE_FILE, ZONES_FILE = "template.nii.gz", "zones.nii.gz"
WHITE = 200.0  # the value in the template's file that stands for 1

# What zones.nii.gz holds: how near the brain a voxel is, and where nearly every head has one tissue.
COMPARED, NEAR, CSF, GREY, WHITE_MATTER = 1, 2, 3, 4, 5
TISSUES = (CSF, GREY, WHITE_MATTER)

# Grey of air, CSF, grey matter, white matter and of what is as much brighter than white as grey is darker.
COMMON_GREYS = (0.0, 0.2, 0.6, 1.0, 1.4)
LEAST_CSF, MOST_CSF = 0.02, 0.93  # of the grey matter
LEAST_AGREEMENT = 0.30
UPRIGHT_MM = 2.0


@dataclass(frozen=True)
class HeadTemplate:
    """The mean head (4 mm) and its zones (2 mm, 84 x 104 x 84), about the same middle, axes of the patient."""

    template: Template
    zones: NDArray[np.int16]
    zones_grid: Grid

    @property
    def near(self) -> Mask:
        """Return where the brain is, or its surroundings up to 16 mm off."""
        return np.asarray(self.zones >= NEAR)


@dataclass(frozen=True)
class LaidHead:
    """A volume stretched onto the mean head, on the grid of the zones, and the way it got there.

    `greys` are its medians in the zones of CSF, grey and white matter.
    """

    stretched: Pixels
    greys: tuple[float, float, float]
    alignment: Alignment


def read_head_template(folder: Path) -> HeadTemplate:
    """Read the template of a model folder; raises ModelCardError when its files are missing or damaged."""
    try:
        mean = read_volume_file(folder / TEMPLATE_FILE, Unit.STORED)
        zones = read_volume_file(folder / ZONES_FILE, Unit.STORED)
    except RadnodeError as error:
        raise ModelCardError(f"{folder.name}: {error}; restore the file") from error
    labels = np.asarray(zones.voxels, np.int16)
    template = Template(np.asarray(mean.voxels, np.float32) / WHITE, mean.grid, compared_mask(labels))
    return HeadTemplate(template, labels, zones.grid)


def compared_mask(zones: NDArray[np.integer]) -> Mask:
    """Return where heads are compared, in voxels twice as large as those of the zones."""
    pairs = [part for length in zones.shape for part in (length // 2, 2)]
    return np.asarray(zones.reshape(pairs).max(axis=(1, 3, 5)) >= COMPARED)


def lay_head(volume: Volume, head: HeadTemplate) -> LaidHead:
    """Lay a T1 volume over the mean head; raises StudyRefused for what is no T1 of a head."""
    if volume.unit is Unit.HOUNSFIELD:
        raise StudyRefused("the voxels are in HU, expected T1-weighted MR; send a T1 series of the head")
    if volume.padding.all() or volume.voxels.min() == volume.voxels.max():
        raise PixelsRefused("all voxels have the same value, so there is no head; send a T1 series of the head")
    alignment = align_head(volume, head.template)
    if not alignment.is_plausible or alignment.agreement < LEAST_AGREEMENT:
        raise StudyRefused(
            f"the series cannot be laid over a mean head: agreement {alignment.agreement:.2f}, expected at least "
            f"{LEAST_AGREEMENT:.2f}, size {alignment.stretches[2]:.2f} to {alignment.stretches[0]:.2f} times the mean; "
            "send a T1 series that shows the whole head upright"
        )
    voxels = volume.voxels.astype(np.float32) - float(volume.voxels.min())
    voxels[volume.padding] = 0.0
    stretched = resample_aligned(voxels, volume.grid, alignment, head.zones_grid)
    return LaidHead(stretched, _tissue_greys(stretched, head.zones), alignment)


def turn_head(volume: Volume, laid: LaidHead, head: HeadTemplate) -> Pixels:
    """Return the head only turned to lie like the mean head, air 0 and tissue about 1, its shading taken out."""
    upright = resample_upright(volume, UPRIGHT_MM)
    return resample_aligned(normalise_head(upright), upright.grid, laid.alignment.rigid(), head.zones_grid)


def common_grey(values: Pixels, greys: tuple[float, float, float]) -> Pixels:
    """Return values on the scale where CSF is 0.2, grey matter 0.6 and white matter 1.0, linear between."""
    csf, grey, white = greys
    return np.interp(values, (0.0, csf, grey, white, 2 * white - grey), COMMON_GREYS).astype(np.float32)


def _tissue_greys(stretched: Pixels, zones: NDArray[np.int16]) -> tuple[float, float, float]:
    """Return the medians in the three zones; raises StudyRefused unless white matter is brighter than grey.

    Where ventricles are narrow their zone shows the tissue beside them, so CSF counts as somewhat
    darker than grey matter in any case.
    """
    csf, grey, white = (float(np.median(stretched[zones == tissue])) for tissue in TISSUES)
    if not 0 < grey < white:
        raise StudyRefused(
            f"grey and white matter have the grey values {grey:.0f} and {white:.0f}; in T1 white matter is brighter; "
            "send a T1 series"
        )
    return float(np.clip(csf, LEAST_CSF * grey, MOST_CSF * grey)), grey, white
