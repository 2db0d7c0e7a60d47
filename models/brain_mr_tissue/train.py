"""How the weights of this model were made."""

from __future__ import annotations

from pathlib import Path

import keras

from node.training.fit import Material, fit
from node.training.head_maps import read_head_maps
from node.training.head_synthesis import ScanLimits
from node.training.options import SERVED, TrainingOptions
from node.training.precision import build_in_bfloat16
from node.training.samples import Split
from node.training.schedule import Schedule
from node.training.subjects import choose_subjects, read_subjects

from .architecture import SIZE, VARIANTS, build
from .blocks import Course, HeadBlocks, MadeUp, fixed_blocks
from .subjects import LabelledHead, label_head, read_labelled, tissues_of
from .truth import tissue_dice, tissue_loss

# Beside the folder of scans: label maps of whole heads, for the contrasts, necks and thick slices scans do not have.
LABEL_MAPS = "brain_labels_synthseg"

EPOCHS = 42
TUTORIAL_EPOCHS = 4
BATCHES = 80
BATCH_SIZE = 2
VALIDATION_BLOCKS = 2
SCANS = ScanLimits(t1_share=0.7, bias=0.4)


def train(data: Path, output: Path, options: TrainingOptions) -> Path:
    """Train on the scans in `data` and on heads made up from the label maps beside it; return the best weights.

    The tutorial's network learns from the same blocks, for fewer epochs. Raises TrainingDataError when
    a folder is laid out otherwise than `node.training.subjects` and `node.training.head_maps` describe.
    """
    keras.utils.set_random_seed(options.seed)
    is_served = options.variant == SERVED
    epochs = options.epochs or (EPOCHS if is_served else TUTORIAL_EPOCHS)
    course = Course(size=SIZE, batch_size=BATCH_SIZE, batches=BATCHES, epochs=epochs, seed=options.seed)
    made_up = MadeUp([(head, tissues_of(head)) for head in read_head_maps(data.parent / LABEL_MAPS)], SCANS)
    material = Material(
        batches=HeadBlocks(read_heads(data, Split.TRAIN), made_up, course),
        validation=fixed_blocks(read_heads(data, Split.VALIDATION), course, VALIDATION_BLOCKS),
    )
    schedule = Schedule(
        epochs=epochs,
        learning_rate=2e-3,
        warm_up=1,
        patience=epochs,
        loss=tissue_loss,
        metrics=(tissue_dice,),
        watched="val_tissue_dice",
        averaging=0.995,
        validation_batch=BATCH_SIZE,
    )
    network = build_in_bfloat16(build if is_served else VARIANTS[options.variant])
    return fit(network, material, schedule, output, options.resume)


def read_heads(data: Path, split: Split) -> list[LabelledHead]:
    """Return the scans of one split with their labels, as the node would prepare them."""
    return [label_head(*read_labelled(subject)) for subject in choose_subjects(read_subjects(data), split)]
