"""How this model is scored: volumes are made coarse, then refined as a series from a PACS would be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import numpy as np

from node.imaging.volume import Grid, Unit, Volume, grid_with_spacing
from node.imaging.volume_files import read_volume_file
from node.training.comparing import compare_numbers, with_sections
from node.training.comparison import NETWORK, Case, Comparison, Measure, Section
from node.training.evaluation_report import Illustration, circumstances_of, write_evaluation
from node.training.image_quality import peak_signal_to_noise, structural_similarity
from node.training.options import SERVED
from node.training.run_record import variant_of
from node.training.samples import Split
from node.training.subjects import choose_subjects, read_subjects
from node.vocabulary import Pixels

from .architecture import VARIANTS, build
from .degradation import coarsen, crop_to_multiple
from .illustration import draw_comparison
from .interpolation import apply_weights, finer_positions, linear_weights, upsample
from .preprocess import ISOTROPIC, THICK, Factors, interpret, prepare

Predict = Callable[[Pixels], Pixels]
Refine = Callable[[Volume, Factors], Pixels]

MEASURES = (Measure("psnr", "PSNR (dB)", digits=2), Measure("ssim", "SSIM", digits=4))
KINDS = {"thick slices [4,1,1]": THICK, "large voxels [4,4,4]": ISOTROPIC}
PICTURE = "example.png"
SPLINES = "cubic_b_splines"
SOURCE = "Made from a volume of IXI (https://brain-development.org/ixi-dataset/), CC BY-SA 3.0."


def evaluate(data: Path, weights: Path, split: Split, day: date) -> Path:
    """Score the weights and two kinds of interpolation on one split of `data`, and report beside the weights.

    Each volume is made coarse once by each factor. Scores are over the voxels of the head.
    """
    methods = make_methods(load_network(weights))
    cases = []
    for subject in choose_subjects(read_subjects(data), split):
        true = read_volume_file(subject.volume, Unit.STORED)
        for kind, factors in KINDS.items():
            scores, found = score_volume(true, factors, methods)
            cases.append(Case(f"{subject.name} {kind}", subject.name, scores, (kind,)))
            if len(cases) <= len(KINDS):
                draw_comparison(found, weights.parent / f"{len(cases)}_{PICTURE}")
    comparison = compare_numbers(cases, MEASURES)
    circumstances = circumstances_of("brain_mr_superres", weights, data, split.value, day)
    pictures = [
        Illustration(f"{number}_{PICTURE}", f"{kind}: the source, cubic B-splines, the network and the truth. {SOURCE}")
        for number, kind in enumerate(KINDS, start=1)
    ]
    report = with_sections(comparison, _every_case(comparison))
    return write_evaluation(report, circumstances, weights.parent, pictures)


def load_network(weights: Path) -> Predict:
    """Return a function that gives the network's answer to a batch, one window at a time."""
    variant = variant_of(weights)
    network = build() if variant == SERVED else VARIANTS[variant]()
    network.load_weights(weights)
    return lambda batch: np.concatenate([network.predict_on_batch(window[np.newaxis]) for window in batch])


def make_methods(predict: Predict) -> dict[str, Refine]:
    """Return the network and two kinds of interpolation, each from a coarse volume and its factors to finer voxels."""
    return {
        NETWORK: lambda volume, _: interpret(predict(prepare(volume)), volume).refinements[0].voxels,
        SPLINES: lambda volume, factors: np.maximum(upsample(volume.voxels, factors), 0.0),
        "linear": lambda volume, factors: refine_linearly(volume.voxels, factors),
    }


def score_volume(
    true: Volume, factors: Factors, methods: Mapping[str, Refine]
) -> tuple[dict[str, dict[str, float]], dict[str, Pixels]]:
    """Return the scores of each method on a volume that was made coarse, and what each made of it.

    The peak of the signal-to-noise ratio is the highest value of the true volume.
    """
    truth = crop_to_multiple(true.voxels, factors)
    coarse = coarse_volume(true, factors)
    head, peak = truth > 0, float(truth.max())
    found = {name: refine(coarse, factors) for name, refine in methods.items()}
    scores = {
        name: {
            "psnr": peak_signal_to_noise(truth, volume, peak, head),
            "ssim": structural_similarity(truth, volume, peak, head),
        }
        for name, volume in found.items()
    }
    nearest = np.kron(coarse.voxels, np.ones(factors, np.float32))
    return scores, {"source": nearest, **{name: found[name] for name in (SPLINES, NETWORK)}, "truth": truth}


def coarse_volume(true: Volume, factors: Factors) -> Volume:
    """Return the volume as thicker slices or larger voxels would show it, on its own grid."""
    cropped = crop_to_multiple(true.voxels, factors)
    grid = Grid(cropped.shape, true.grid.origin_mm, true.grid.steps_mm)
    spacing = tuple(step * factor for step, factor in zip(grid.spacing_mm, factors, strict=True))
    voxels = coarsen(cropped, factors)
    coarse = grid_with_spacing(grid, (spacing[0], spacing[1], spacing[2]))
    return Volume(voxels, coarse, true.unit, np.zeros(voxels.shape, np.bool_), (), "")


def refine_linearly(voxels: Pixels, factors: Factors) -> Pixels:
    """Return the volume on the finer grid by linear interpolation."""
    return apply_weights(
        voxels,
        [
            linear_weights(count, finer_positions(count, factor))
            for count, factor in zip(voxels.shape, factors, strict=True)
        ],
    )


def _every_case(comparison: Comparison) -> Section:
    """Say on how many cases the network is better than cubic B-splines, and by how little at worst."""
    lines = []
    for kind in KINDS:
        for measure in MEASURES:
            gains = [
                case.scores[NETWORK][measure.key] - case.scores[SPLINES][measure.key]
                for case in comparison.cases
                if kind in case.groups
            ]
            won = sum(gain > 0 for gain in gains)
            lines.append(
                f"- {kind}, {measure.title}: better in {won} of {len(gains)}, gain {min(gains):.{measure.digits}f} "
                f"to {max(gains):.{measure.digits}f}."
            )
    return Section("Network against cubic B-splines, case by case", "\n".join(lines))
