"""How the weights of this model were made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras

from node.training.fit import Material
from node.training.head_maps import read_head_maps
from node.training.head_synthesis import ScanLimits
from node.training.options import SERVED, TrainingOptions
from node.training.precision import build_in_bfloat16
from node.training.samples import Split
from node.training.schedule import Schedule
from node.training.stages import Prepared, fit_stages
from node.training.subjects import choose_subjects, read_subjects

from .architecture import SIZE, VARIANTS, build
from .blocks import Course, HeadBlocks, MadeUp, fixed_blocks
from .subjects import LabelledHead, label_head, read_labelled, tissues_of
from .truth import tissue_dice, tissue_loss

# Beside the folder of scans: label maps of whole heads, for the contrasts, necks and thick slices scans do not have.
LABEL_MAPS = "brain_labels_synthseg"

BATCHES = 240
BATCH_SIZE = 4
VALIDATION_BLOCKS = 2
SCANS = ScanLimits(t1_share=0.7, bias=0.4)


@dataclass(frozen=True)
class Stage:
    """A part of the training, at learning rates that fall from first to last; a calm one shows what scans look like."""

    epochs: int
    first_rate: float
    last_rate: float
    warm_up: int
    is_calm: bool


STAGES = (Stage(17, 2e-3, 1.2e-3, 1, is_calm=False), Stage(6, 1e-3, 1e-6, 0, is_calm=True))
TUTORIAL_STAGES = (Stage(4, 2e-3, 1e-5, 1, is_calm=False),)


def train(data: Path, output: Path, options: TrainingOptions) -> Path:
    """Train on the scans in `data` and on heads made up from the label maps beside it; return the best weights.

    The tutorial's network learns from the same blocks, for fewer epochs; a number of epochs is that of each
    stage. Raises TrainingDataError when a folder is laid out otherwise than `node.training.subjects` and
    `node.training.head_maps` describe.
    """
    keras.utils.set_random_seed(options.seed)
    is_served = options.variant == SERVED
    stages = STAGES if is_served else TUTORIAL_STAGES
    made_up = MadeUp([(head, tissues_of(head)) for head in read_head_maps(data.parent / LABEL_MAPS)], SCANS)
    known, watched = (read_heads(data, split) for split in (Split.TRAIN, Split.VALIDATION))

    def prepare(number: int, stage: Stage) -> Prepared:
        course = Course(SIZE, BATCH_SIZE, BATCHES, options.seed + number, stage.is_calm)
        material = Material(HeadBlocks(known, made_up, course), fixed_blocks(watched, course, VALIDATION_BLOCKS))
        network = build_in_bfloat16(build if is_served else VARIANTS[options.variant])
        return network, material, _schedule(stage, options)

    return fit_stages(stages, prepare, output, options)


def _schedule(stage: Stage, options: TrainingOptions) -> Schedule:
    epochs = options.epochs or stage.epochs
    return Schedule(
        epochs=epochs,
        learning_rate=stage.first_rate,
        last_learning_rate=stage.last_rate,
        warm_up=stage.warm_up,
        patience=epochs,
        loss=tissue_loss,
        metrics=(tissue_dice,),
        watched="val_tissue_dice",
        averaging=0.995,
        validation_batch=BATCH_SIZE,
    )


def read_heads(data: Path, split: Split) -> list[LabelledHead]:
    """Return the scans of one split with their labels, as the node would prepare them."""
    return [label_head(*read_labelled(subject)) for subject in choose_subjects(read_subjects(data), split)]
