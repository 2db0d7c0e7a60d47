"""Made-up chest radiographs with known lungs, so that the demonstration needs no patient's data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom import uid

from node.demo.anatomy import Build, lung_outline
from node.demo.beam import BITS, SIDES, Exposure, chest_thickness, expose
from node.demo.canvas import Canvas
from node.demo.wrapping import ChestHeader, Picture, wrap_chest, write_instance
from node.vocabulary import Mask

ROWS, COLUMNS = 880, 820
SPACING_MM = (0.4, 0.4)
NAMES = ("One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")


@dataclass(frozen=True)
class Phantom:
    """A radiograph as displayed, 12 bits, 0 black, and its two lungs named by the patient's side.

    The lungs include the part behind the heart, as in the masks the network learns from.
    """

    picture: Picture
    right_lung: Mask
    left_lung: Mask


@dataclass(frozen=True)
class DemoStudy:
    """A study written for the demonstration: one instance, and the lungs on the grid of its pixels.

    `about` says in a few words what is particular to its header.
    """

    folder: Path
    study_uid: str
    about: str
    right_lung: Mask
    left_lung: Mask


def draw_phantom(seed: int) -> Phantom:
    """Return the chest radiograph that belongs to this seed."""
    rng = np.random.default_rng(seed)
    build = Build.drawn(rng)
    canvas = Canvas(ROWS, COLUMNS, lean=rng.normal(0, 0.02))
    lungs = [canvas.fill(lung_outline(build, side, rng)) for side in SIDES]
    thickness = chest_thickness(canvas, build, lungs, rng)
    picture = expose(thickness, Exposure.drawn(rng), rng)
    return Phantom(picture, right_lung=lungs[0] > 0.5, left_lung=lungs[1] > 0.5)


def write_demo_studies(folder: Path, count: int) -> list[DemoStudy]:
    """Write `count` studies of made-up patients, each in its own folder, and return what they are.

    Their headers take turns: complete; without spacing and orientation; mirrored and MONOCHROME1.
    """
    makers = (_complete, _unstated, _mirrored)
    studies = []
    for number in range(count):
        name = NAMES[number] if number < len(NAMES) else str(number + 1)
        header = ChestHeader(
            patient_name=f"Phantom^{name}",
            patient_id=f"PHANTOM-{number + 1:03}",
            accession_number=f"DEMO-{number + 1}",
            bits=BITS,
            spacing=SPACING_MM,
        )
        made = makers[number % len(makers)](draw_phantom(number), header)
        studies.append(_write(folder / f"study{number + 1}", *made))
    return studies


def _complete(phantom: Phantom, header: ChestHeader) -> tuple[Phantom, ChestHeader, str]:
    return phantom, header, "DX with spacing and orientation"


def _unstated(phantom: Phantom, header: ChestHeader) -> tuple[Phantom, ChestHeader, str]:
    bare = replace(
        header, sop_class=uid.ComputedRadiographyImageStorage, spacing=None, orientation=None, view="AP"
    )
    return phantom, bare, "CR without spacing and orientation"


def _mirrored(phantom: Phantom, header: ChestHeader) -> tuple[Phantom, ChestHeader, str]:
    flipped = Phantom(
        np.ascontiguousarray(phantom.picture[:, ::-1]),
        np.ascontiguousarray(phantom.right_lung[:, ::-1]),
        np.ascontiguousarray(phantom.left_lung[:, ::-1]),
    )
    inverse = replace(header, photometric="MONOCHROME1", orientation=("R", "F"))
    return flipped, inverse, "DX stored mirrored and with its polarity inverted"


def _write(folder: Path, phantom: Phantom, header: ChestHeader, about: str) -> DemoStudy:
    dataset = wrap_chest(phantom.picture, header)
    write_instance(dataset, folder)
    return DemoStudy(folder, str(dataset.StudyInstanceUID), about, phantom.right_lung, phantom.left_lung)
