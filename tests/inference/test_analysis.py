"""From instances to findings: several inputs by name, and what is not measured says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders import chest_dx, shaded_picture
from volumes import ct_study, mr_study

from node.catalog import Catalog, Model
from node.errors import StudyRefused
from node.inference.analysis import analyse

CARD = """
schema = 1
name = "brain_mr_pair"
title = "Two sequences"
version = "1.0.0"
task = "segmentation"
status = "experimental"

[weights]
file = "weights.weights.h5"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"

[input.t1]
level = "series"
modality = ["MR", "CT"]

[input.flair]
level = "series"
required = false

[output.bright]
label = "Bright tissue"
category = "Tissue"
type = "Tissue"
colour = [240, 200, 60]
measure = ["volume", "mean_hu", "area"]

[scores]
"""

PREPROCESS = '''
"""What reaches the network is how many inputs there were."""

import numpy as np

from node.vocabulary import Interpretation, Region


def prepare(t1, flair=None):
    """Return one number for each input."""
    return np.array([[1.0, 0.0 if flair is None else 1.0]], np.float32)


def interpret(prediction, volume):
    """Outline half of the first input, and say what came in."""
    mask = np.zeros(volume.voxels.shape, bool)
    mask[:, : mask.shape[1] // 2] = True
    return Interpretation((Region("bright", mask),), (f"{int(prediction.sum())} inputs",))
'''


@pytest.fixture
def model(tmp_path: Path) -> Model:
    folder = tmp_path / "brain_mr_pair"
    folder.mkdir()
    (folder / "model.toml").write_text(CARD)
    (folder / "preprocess.py").write_text(PREPROCESS)
    return Catalog([tmp_path])["brain_mr_pair"]


def identity(batch: np.ndarray) -> np.ndarray:
    return batch


def test_each_input_reaches_the_model_by_its_name(model: Model) -> None:
    both = analyse({"flair": mr_study(), "t1": mr_study()}, model, identity)
    one = analyse({"t1": mr_study()}, model, identity)
    assert (both.remarks[0], one.remarks[0]) == ("2 inputs", "1 inputs")
    assert both.role == "t1"


def test_what_cannot_be_measured_is_left_out_with_its_reason(model: Model) -> None:
    analysis = analyse({"t1": mr_study()}, model, identity)
    (finding,) = analysis.description.findings
    assert [measurement.name.meaning for measurement in finding.measurements] == ["Volume"]
    assert analysis.remarks[1:] == (
        "No mean attenuation is given: the voxels are not in HU.",
        "No area is given: the image is a volume.",
    )


def test_a_ct_is_measured_in_hounsfield_units(model: Model) -> None:
    (finding,) = analyse({"t1": ct_study()}, model, identity).description.findings
    assert len(finding.measurements) == 2


def test_a_radiograph_is_no_volume(model: Model) -> None:
    with pytest.raises(StudyRefused):
        analyse({"t1": [chest_dx(shaded_picture())]}, model, identity)
