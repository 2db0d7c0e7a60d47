"""How this model is scored: through the same `prepare` and `interpret` as a series from a PACS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import numpy as np

from node.imaging.regrid import Interpolation, mask_to_grid, resample_volume
from node.imaging.smoothing import blur_along
from node.imaging.upright import SIGMA_STEPS, turn_upright
from node.imaging.volume import Volume, grid_with_spacing
from node.training.comparing import compare_numbers, with_sections
from node.training.comparison import NETWORK, Case, Measure, Section
from node.training.evaluation_report import Illustration, circumstances_of, write_evaluation
from node.training.label_scores import score_labels
from node.training.markdown import show, table
from node.training.prediction import load_network, predict_with
from node.training.samples import Split
from node.training.subjects import choose_subjects, read_subjects
from node.vocabulary import Pixels

from .architecture import VARIANTS, build
from .baselines import find_by_brightness, find_by_place, usual_head
from .illustration import draw_head
from .preprocess import OUTPUTS, interpret, prepare
from .subjects import read_labelled
from .train import read_heads
from .truth import Truth

Predict = Callable[[Pixels], Pixels]
FindTissues = Callable[[Volume, Truth], Truth]

LABELS = {name: number for number, name in enumerate(OUTPUTS, start=1)}
DICE = (Measure("dice", "Mean Dice"), *(Measure(f"dice_{name}", f"Dice {name.upper()}") for name in OUTPUTS))
DISTANCES = (Measure(f"hd95_{name}", f"HD95 {name.upper()} (mm)", False, digits=1) for name in OUTPUTS)
VOLUMES = (Measure(f"avd_{name}", f"Volume difference {name.upper()}", False) for name in OUTPUTS)
MEASURES = (*DICE, *DISTANCES, *VOLUMES)

BLOCKS_AT_ONCE = 4
THICK_MM = 4.0
PICTURE = "example.png"
SOURCE = "A volume of IXI (https://brain-development.org/ixi-dataset/), CC BY-SA 3.0."


def evaluate(data: Path, weights: Path, split: Split, day: date) -> Path:
    """Score the weights and two baselines on one split of `data`, and report beside the weights.

    A further part of the report tells how much is lost when the same heads are made into thick slices.
    """
    predict = predict_with(load_network(weights, build, VARIANTS), BLOCKS_AT_ONCE)
    usual = usual_head(read_heads(data, Split.TRAIN))
    methods: dict[str, FindTissues] = {
        NETWORK: lambda volume, _: find_by_network(volume, predict),
        "usual_place": lambda volume, _: find_by_place(volume, usual),
        "grey_levels_in_the_true_brain": find_by_brightness,
    }
    thick: dict[str, FindTissues] = {NETWORK: lambda volume, _: find_in_thick_slices(volume, predict)}
    cases, thick_cases = [], []
    for subject in choose_subjects(read_subjects(data), split):
        volume, labels = read_labelled(subject)
        cases.append(_score(subject.name, volume, labels, methods))
        thick_cases.append(_score(subject.name, volume, labels, thick))
        if len(cases) == 1:
            draw_head(volume, find_by_network(volume, predict), labels, weights.parent / PICTURE)
    comparison = with_sections(compare_numbers(cases, MEASURES), _thick_section(thick_cases))
    circumstances = circumstances_of("brain_mr_tissue", weights, data, split.value, day)
    picture = Illustration(PICTURE, f"{cases[0].name}: the scan, the network and the labels. {SOURCE}")
    return write_evaluation(comparison, circumstances, weights.parent, [picture])


def find_by_network(volume: Volume, predict: Predict) -> Truth:
    """Return 0 to 3 for background, CSF, grey and white matter on the grid of the volume."""
    found = np.zeros(volume.grid.shape, np.uint8)
    for region in interpret(predict(prepare(volume)), volume).regions:
        found[region.mask] = LABELS[region.output]
    return found


def find_in_thick_slices(volume: Volume, predict: Predict) -> Truth:
    """Return what the network finds in axial slices of 4 mm, on the grid of the volume."""
    axis = turn_upright(volume.grid).axes[0]
    spacing = list(volume.grid.spacing_mm)
    averaged = blur_along(volume.voxels.astype(np.float32), axis, SIGMA_STEPS * THICK_MM / spacing[axis])
    blurred = Volume(averaged, volume.grid, volume.unit, volume.padding, (), "")
    spacing[axis] = THICK_MM
    grid = grid_with_spacing(volume.grid, (spacing[0], spacing[1], spacing[2]))
    found = find_by_network(resample_volume(blurred, grid, Interpolation.LINEAR), predict)
    labels = np.zeros(volume.grid.shape, np.uint8)
    for number in LABELS.values():
        labels[mask_to_grid(found == number, grid, volume.grid)] = number
    return labels


def _score(name: str, volume: Volume, labels: Truth, methods: Mapping[str, FindTissues]) -> Case:
    spacing_mm = volume.grid.spacing_mm
    scores = {
        method: score_labels(labels, find(volume, labels), LABELS, spacing_mm) for method, find in methods.items()
    }
    return Case(name, name, scores)


def _thick_section(cases: list[Case]) -> Section:
    thick = compare_numbers(cases, DICE)
    cells = [show(thick.estimate(NETWORK, measure.key), measure.digits) for measure in DICE]
    return Section(
        f"The same heads in axial slices of {THICK_MM:.0f} mm",
        "Averaged as a slice profile does, found there, and brought back to the grid of the labels.\n\n"
        + table([measure.title for measure in DICE], [cells]),
    )
