"""How this model is scored: every picture as a series of one slice, through the same functions as one from a PACS."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path

import keras
import numpy as np

from node.imaging.volume import Grid, Unit, Volume
from node.training.class_baselines import most_frequent, most_similar
from node.training.class_batches import ClassPictures
from node.training.class_folders import ClassSample, choose_class_samples
from node.training.comparing import Subjects, compare_classes, with_sections
from node.training.comparison import NETWORK, Section
from node.training.evaluation_report import circumstances_of, write_evaluation
from node.training.grad_cam import class_activation
from node.training.options import SERVED
from node.training.run_record import variant_of
from node.training.samples import Split, read_picture
from node.vocabulary import Pixels

from .architecture import OFFICIAL as OFFICIAL_VARIANT
from .architecture import VARIANTS, build
from .false_alarms import count_false_alarms
from .illustration import draw_activations
from .pictures import LAYOUT, OFFICIAL, healthy_folder, pictures_folder, read_all
from .preprocess import CLASSES, interpret, prepare
from .tutorial import prepare_tutorial

NAME = "brain_mr_tumour_type"
BATCH = 32
LAST_FEATURES = "stage3_unit1_act2"
LOOKED_AT = Section(
    "Where the network looked",
    "An evaluation draws `grad_cam.png` beside this report: what spoke for the answer, on pictures of each class. It "
    "does not come with radnode, because the licence of the pictures is unclear.",
)


def evaluate(data: Path, weights: Path, split: Split, day: date) -> Path:
    """Score the weights and two baselines on one split of `data`, and report beside the weights.

    The owners that intervals are drawn over are groups of pictures that look alike, since nobody knows
    the patients. Of the served network, false alarms on healthy volumes are reported too.
    """
    variant = variant_of(weights)
    samples = read_all(data, OFFICIAL if variant == OFFICIAL_VARIANT else LAYOUT)
    asked = choose_class_samples(samples, split)
    known = whole_pictures(choose_class_samples(samples, Split.TRAIN))
    network = load(weights, variant)
    answers = {
        NETWORK: classify(network, asked) if variant == SERVED else classify_whole(network, asked),
        "most_similar_picture": most_similar(known, whole_pictures(asked).pictures),
        "most_frequent_class": most_frequent(known, len(asked)),
    }
    subjects = Subjects([sample.picture.name for sample in asked], [sample.picture.patient for sample in asked])
    comparison = compare_classes(subjects, CLASSES, [sample.label for sample in asked], answers)
    folder = healthy_folder(data)
    if variant == SERVED:
        draw_activations(asked, answers[NETWORK], partial(_activate, network), weights.parent)
        comparison = with_sections(comparison, LOOKED_AT)
    if variant == SERVED and folder is not None:
        comparison = with_sections(comparison, _healthy_section(network, folder, split))
    circumstances = circumstances_of(NAME, weights, pictures_folder(data), split.value, day)
    return write_evaluation(comparison, circumstances, weights.parent)


def load(weights: Path, variant: str) -> keras.Model:
    """Return the network of a variant with its weights."""
    network = build() if variant == SERVED else VARIANTS[variant]()
    network.load_weights(weights)
    return network


def classify(network: keras.Model, samples: Sequence[ClassSample]) -> Pixels:
    """Return (n, 4) probabilities of the pictures as `interpret` gives them."""
    volumes = [as_volume(sample) for sample in samples]
    batches = [prepare(volume) for volume in volumes]
    views = network.predict(np.concatenate(batches), batch_size=BATCH, verbose=0)
    ends = np.cumsum([len(batch) for batch in batches])[:-1]
    found = [interpret(part, volume) for part, volume in zip(np.split(views, ends), volumes, strict=True)]
    return np.array([[one.classifications[0].probabilities[name] for name in CLASSES] for one in found])


def classify_whole(network: keras.Model, samples: Sequence[ClassSample]) -> Pixels:
    """Return (n, 4) probabilities of the pictures shown whole, as the tutorial does."""
    return np.asarray(network.predict(prepare_tutorial(samples).pictures, batch_size=BATCH, verbose=0))


def as_volume(sample: ClassSample) -> Volume:
    """Return the picture as the only slice of an axial series, with the bytes as stored values."""
    pixels = np.rint(read_picture(sample.picture).pixels * 255).astype(np.int16)[np.newaxis]
    grid = Grid((1, *pixels.shape[1:]), (0.0, 0.0, 0.0), ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))
    return Volume(pixels, grid, Unit.STORED, np.zeros(pixels.shape, np.bool_), (), "")


def whole_pictures(samples: Sequence[ClassSample]) -> ClassPictures:
    """Return the pictures uncut, for the baselines."""
    whole = prepare_tutorial(samples)
    return ClassPictures(whole.pictures[..., :1], whole.classes, whole.count)


def _activate(network: keras.Model, picture: Pixels, number: int) -> Pixels:
    return class_activation(network, picture, LAST_FEATURES, number)


def _healthy_section(network: keras.Model, folder: Path, split: Split) -> Section:
    alarms = count_false_alarms(lambda batch: network.predict(batch, batch_size=BATCH, verbose=0), folder, split)
    text = (
        f"Of {alarms.series} series cut from {alarms.volumes} healthy T1 volumes of {folder.name} ({split.value}; each "
        f"cut across three axes), {alarms.tumours} were called a tumour; so were {alarms.slice_tumours} of their "
        f"{alarms.slices} slices judged alone."
    )
    return Section("False alarms on healthy heads", text)
