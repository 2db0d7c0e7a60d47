"""How this model is scored: on phantoms it has not seen, through the same steps as a study from a PACS."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import numpy as np

from node.imaging.volume import Volume
from node.training.comparison import NETWORK, Case
from node.training.evaluation import compare_masks, mask_case
from node.training.evaluation_report import Circumstances, write_evaluation
from node.training.samples import Sample, Split
from node.training.scores import score
from node.vocabulary import Mask, Pixels

from .agreement import write_agreement
from .architecture import build
from .classical import classical_lungs
from .lungs import CM3, LEAST_LUNGS_CM3
from .phantoms import draw_phantom
from .preprocess import interpret, prepare
from .scanner import Protocol
from .train import COARSE, TRAINING, VALIDATION

TEST = range(3000, 3024)
FINE = Protocol(matrix=512, least_step_mm=2.0)
PATIENTS = {Split.TRAIN: (TRAINING, COARSE), Split.VALIDATION: (VALIDATION, COARSE), Split.TEST: (TEST, FINE)}

CLASSICAL = "classical_threshold"
AT_ONCE = 8

FindLungs = Callable[[Volume], Mask]
Predict = Callable[[Pixels], Pixels]


def evaluate(data: Path, weights: Path, split: Split, day: date) -> Path:
    """Score the weights and a classical method on one split of phantoms, and report beside the weights.

    On the test split every CT series below `data` is analysed too, and how far both methods agree on
    it goes into `agreement.md`: nobody drew the lungs of these series.
    """
    predict = load_network(weights)
    methods: dict[str, FindLungs] = {NETWORK: _network_lungs(predict), CLASSICAL: classical_lungs}
    patients, protocol = PATIENTS[split]
    cases = tuple(_score_phantom(patient, protocol, split, methods) for patient in patients)
    circumstances = Circumstances(
        model="chest_ct_lungs",
        weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        data="phantoms",
        split=split.value,
        day=day,
    )
    if split is Split.TEST:
        write_agreement(data, predict, weights.parent)
    return write_evaluation(compare_masks(cases), circumstances, weights.parent)


def load_network(weights: Path) -> Predict:
    """Return a function that gives the probability of lung for a batch, a few slices at a time."""
    network = build()
    network.load_weights(weights)

    def predict(batch: Pixels) -> Pixels:
        parts = [batch[start : start + AT_ONCE] for start in range(0, len(batch), AT_ONCE)]
        return np.concatenate([np.asarray(network(part, training=False)) for part in parts])

    return predict


def _network_lungs(predict: Predict) -> FindLungs:
    """Return a function that gives the joined lungs of a volume on its own grid."""

    def find(volume: Volume) -> Mask:
        regions = interpret(predict(prepare(volume)), volume).regions
        return np.asarray(np.any([np.zeros_like(volume.padding), *(region.mask for region in regions)], axis=0))

    return find


def _score_phantom(patient: int, protocol: Protocol, split: Split, methods: Mapping[str, FindLungs]) -> Case:
    scan = draw_phantom(patient, protocol)
    lungs_cm3 = scan.lungs.sum() * scan.volume.grid.voxel_mm3 / CM3
    group = "lungs" if lungs_cm3 >= LEAST_LUNGS_CM3 else f"less than {LEAST_LUNGS_CM3:.0f} cm³ of lung"
    sample = Sample(f"phantom {patient}", str(patient), Path(), (), split, group=group)
    truth = scan.lungs.astype(np.float32)
    return mask_case(sample, {name: score(truth, find(scan.volume)) for name, find in methods.items()})
