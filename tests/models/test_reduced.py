"""What 16-bit arithmetic changes of the tissues of real heads: next to nothing, or the card must not allow it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from node.catalog import Catalog, bundled_models
from node.imaging.volume import Volume
from node.inference.building import build_missing
from node.inference.loading import load_part
from node.inference.openvino_network import can_reduce
from node.inference.serving import Serving, load_network
from node.training.label_scores import score_labels
from node.training.samples import Split
from node.training.subjects import choose_subjects, read_subjects

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3 with NumPy 2

MODEL = Catalog([bundled_models()])["brain_mr_tissue"]
LEAST_ALIKE = 0.995  # Dice of the masks with both arithmetics
MOST_LOST = 0.0005  # of a head's mean Dice against its labels

Find = Callable[[Volume], np.ndarray]


@pytest.fixture
def both(artefacts: Path) -> tuple[Find, Find]:
    """Return what finds tissues as a site serves the model, in 32 bits and in 16 where this machine can."""
    list(build_missing(artefacts, [MODEL]))
    find = load_part(MODEL.folder, "evaluate").find_by_network
    exact, reduced = (load_network(MODEL, Serving(artefacts, is_reduced=wanted)) for wanted in (False, True))
    return lambda volume: find(volume, exact.predict), lambda volume: find(volume, reduced.predict)


def compare(both: tuple[Find, Find], split: Split, shared: Path, most: int) -> list[tuple[float, float, float]]:
    """Return of each head the mean Dice against its labels, exact and reduced, and of one with the other."""
    part = load_part(MODEL.folder, "evaluate")
    read = load_part(MODEL.folder, "subjects").read_labelled
    rows = []
    for subject in choose_subjects(read_subjects(shared / "data" / "brain_t1_ixi"), split)[:most]:
        volume, labels = read(subject)
        exact, reduced = (find(volume) for find in both)
        pairs = ((labels, exact), (labels, reduced), (exact, reduced))
        first, second, alike = (
            score_labels(truth, found, part.LABELS, volume.grid.spacing_mm)["dice"] for truth, found in pairs
        )
        rows.append((first, second, alike))
    return rows


def test_a_head_has_the_same_tissues_in_16_bits(both: tuple[Find, Find], shared: Path) -> None:
    ((exact, reduced, alike),) = compare(both, Split.VALIDATION, shared, most=1)
    assert exact > 0.9
    assert alike >= LEAST_ALIKE
    assert exact - reduced <= MOST_LOST


@pytest.mark.long
def test_no_test_head_loses_by_16_bits(
    both: tuple[Find, Find], shared: Path, note_figures: Callable[..., None]
) -> None:
    if not can_reduce():  # both would be the same arithmetic; this one is run by hand, never in CI
        pytest.skip("needs CPUs with 16-bit arithmetic (AVX-512 BF16 or AMX)")
    rows = compare(both, Split.TEST, shared, most=1000)
    exact, reduced, alike = np.mean(rows, axis=0)
    lost, least = max(first - second for first, second, _ in rows), min(row[2] for row in rows)
    note_figures(heads=len(rows), dice=exact, dice_in_16_bits=reduced, most_lost=lost, masks_alike=alike, least=least)
    assert lost <= MOST_LOST
    assert least >= LEAST_ALIKE
