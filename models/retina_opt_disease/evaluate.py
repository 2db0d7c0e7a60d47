"""How this model is scored: through the same functions as an image from a PACS, and by cross-validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import keras
import numpy as np

from node.training.class_baselines import by_edges, most_frequent, most_similar
from node.training.class_batches import ClassPictures
from node.training.class_folders import ClassSample, choose_class_samples
from node.training.comparing import Subjects, compare_classes, with_sections
from node.training.comparison import NETWORK, Comparison, Section
from node.training.evaluation_report import circumstances_of, write_evaluation
from node.training.options import SERVED, TrainingOptions
from node.training.run_record import variant_of
from node.training.samples import Split, read_picture
from node.vocabulary import Pixels

from .architecture import VARIANTS, build
from .imagenet import as_imagenet
from .pictures import folders_of, for_learning, prepare_all, prepare_whole, read_all
from .preprocess import CLASSES, interpret, prepare
from .train import train_on

NAME = "retina_opt_disease"
BATCH = 32
FOLDS = 5
CROSS_VALIDATION = "cross-validation"
HELD_OUT = Section(
    "How the pictures were held out",
    "Five networks answered, each trained by the recipe of these weights without the fifth of the patients that it was "
    "asked about; so did the baselines.",
)


def evaluate(data: Path, weights: Path, split: Split, day: date) -> Path:
    """Score the weights and three baselines on the test split of `data`, and report beside the weights.

    The served weights learned from every picture outside the test split. On another split their recipe is
    scored instead, on all pictures, by cross-validation.
    """
    variant = variant_of(weights)
    if variant == SERVED and split is not Split.TEST:
        return cross_validate(data, weights, TrainingOptions(), day)
    samples = read_all(data)
    asked = choose_class_samples(samples, split)
    network = build() if variant == SERVED else VARIANTS[variant]()
    network.load_weights(weights)
    found = classify(network, asked) if variant == SERVED else _classify_whole(network, asked)
    answers = {NETWORK: found, **_baselines(prepare_all(for_learning(samples)), prepare_all(asked))}
    circumstances = circumstances_of(NAME, weights, folders_of(data)[0], split.value, day)
    return write_evaluation(_compare(asked, answers), circumstances, weights.parent)


def cross_validate(data: Path, weights: Path, options: TrainingOptions, day: date) -> Path:
    """Train on four fifths of the patients and score the last, five times, and report beside the weights."""
    samples = read_all(data)
    prepared = prepare_all(samples)
    fold_of = deal_folds([sample.picture.patient for sample in samples], options.seed)
    parts: dict[str, Pixels] = {}
    for fold in range(FOLDS):
        asked = np.flatnonzero(fold_of == fold)
        known = _only(prepared, np.flatnonzero(fold_of != fold))
        network = build()
        network.load_weights(train_on(known, weights.parent / f"fold{fold}", options))
        found = classify(network, [samples[number] for number in asked])
        answers = {NETWORK: found, **_baselines(known, _only(prepared, asked))}
        for method, rows in answers.items():
            parts.setdefault(method, np.zeros((len(samples), len(CLASSES)), np.float32))[asked] = rows
    circumstances = circumstances_of(NAME, weights, folders_of(data)[0], CROSS_VALIDATION, day)
    return write_evaluation(with_sections(_compare(samples, parts), HELD_OUT), circumstances, weights.parent)


def deal_folds(patients: Sequence[str], seed: int) -> np.ndarray:
    """Return the fold of each picture; all pictures of a patient are in one."""
    owners, owner_of = np.unique(np.asarray(patients), return_inverse=True)
    return np.asarray(np.random.default_rng(seed).permutation(len(owners)) % FOLDS)[owner_of]


def classify(network: keras.Model, samples: Sequence[ClassSample]) -> Pixels:
    """Return (n, 4) probabilities of the pictures as `interpret` gives them."""
    images = [read_picture(sample.picture) for sample in samples]
    batches = [prepare(image) for image in images]
    views = network.predict(np.concatenate(batches), batch_size=BATCH, verbose=0)
    ends = np.cumsum([len(batch) for batch in batches])[:-1]
    found = [interpret(part, image) for part, image in zip(np.split(views, ends), images, strict=True)]
    return np.array([[one.classifications[0].probabilities[name] for name in CLASSES] for one in found])


def _classify_whole(network: keras.Model, samples: Sequence[ClassSample]) -> Pixels:
    pictures = as_imagenet(prepare_whole(samples).pictures)
    return np.exp(np.asarray(network.predict(pictures, batch_size=BATCH, verbose=0)))


def _baselines(known: ClassPictures, asked: ClassPictures) -> Mapping[str, Pixels]:
    return {
        "edge_directions": by_edges(known, asked.pictures),
        "most_similar_picture": most_similar(known, asked.pictures),
        "most_frequent_class": most_frequent(known, len(asked.pictures)),
    }


def _compare(samples: Sequence[ClassSample], answers: Mapping[str, Pixels]) -> Comparison:
    subjects = Subjects([sample.picture.name for sample in samples], [sample.picture.patient for sample in samples])
    return compare_classes(subjects, CLASSES, [sample.label for sample in samples], answers)


def _only(known: ClassPictures, chosen: np.ndarray) -> ClassPictures:
    return ClassPictures(known.pictures[chosen], known.classes[chosen], known.count)
