"""How this model is scored: through the same `prepare` and `interpret` as a study from a PACS."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from node.imaging.image import PlanarImage
from node.imaging.resample import undo_letterbox
from node.training.baselines import dark_areas, mean_shape
from node.training.evaluation import NETWORK, FindMask
from node.training.evaluation import evaluate as score_methods
from node.training.evaluation_report import circumstances_of, write_evaluation
from node.training.prediction import load_network
from node.training.readers import choose, read_samples
from node.training.samples import Split
from node.vocabulary import Mask, Pixels

from .architecture import VARIANTS, build
from .preprocess import LEAST_FRACTION, interpret, prepare
from .train import LICENCES, prepare_all

# Where the classical baseline may look: lung in at least a fifth of the training pictures.
SOMETIMES_LUNG = 0.2


def evaluate(data: Path, weights: Path, split: Split, day: date) -> Path:
    """Score the weights and two baselines on one split of `data`, and report beside the weights.

    On the test split the licence does not matter: measuring spreads nothing. On the others only
    the rows that training may use count.
    """
    samples = read_samples(data)
    chosen = choose(samples, split, None if split is Split.TEST else LICENCES)
    usual = mean_shape(prepare_all(choose(samples, Split.TRAIN, LICENCES)).truths)
    methods: dict[str, FindMask] = {
        NETWORK: _network_mask(weights),
        "mean_training_mask": lambda image: undo_letterbox(usual, image.padding.shape) > 0.5,
        "dark_areas_by_Otsu": lambda image: _dark_mask(image, usual > SOMETIMES_LUNG),
    }
    circumstances = circumstances_of("chest_dx_lungs", weights, data, split.value, day)
    return write_evaluation(score_methods(chosen, methods), circumstances, weights.parent)


def _network_mask(weights: Path) -> FindMask:
    """Return a function that gives the joined lungs of an image on its own grid."""
    network = load_network(weights, build, VARIANTS)

    def find(image: PlanarImage) -> Mask:
        prediction: Pixels = np.asarray(network(prepare(image), training=False))
        regions = interpret(prediction, image).regions
        return np.asarray(np.any([np.zeros_like(image.padding), *(region.mask for region in regions)], axis=0))

    return find


def _dark_mask(image: PlanarImage, where: Mask) -> Mask:
    dark = dark_areas(prepare(image)[0, :, :, 0], where, LEAST_FRACTION)
    return undo_letterbox(dark.astype(np.float32), image.padding.shape) > 0.5
