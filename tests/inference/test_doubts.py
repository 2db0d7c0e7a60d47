"""A hint that the images may be another patient's: when it is given, what it says, and that it changes nothing else."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from delivery.parcels import encoded
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from rows import gathering
from volumes import mr_study

from node.archive import AnnouncedInstance, Archive
from node.card import read_card
from node.catalog import Catalog, bundled_models
from node.errors import ModelCardError
from node.inference.doubts import find_doubts, stated_age_years
from node.inference.execution import Execution, Station
from node.inference.loading import load_part
from node.settings import Rule, Settings
from node.studies.assembly import Assembly
from node.studies.overview import StudyDetail, describe_study
from node.vocabulary import ClassProbability, Conclusion, Measurement

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3 with NumPy 2

NAME = "any_mr_person"

CARD = """
schema = 1
name = "any_mr_person"
title = "Age and sex"
version = "1.0.0"
task = "regression"
status = "experimental"

[weights]
file = "weights.weights.h5"
sha256 = "{sha256}"

[input.series]
level = "series"
modality = ["MR"]

[output.age]
kind = "quantity"
label = "Estimated age"
concept = {{ value = "121033", scheme = "DCM", meaning = "Subject Age" }}
unit = "a"
compared = {{ attribute = "PatientAge", intervals = 2.0 }}

[output.sex]
kind = "class"
label = "Estimated sex"
concept = {{ value = "121032", scheme = "DCM", meaning = "Subject Sex" }}
compared = {{ attribute = "PatientSex", probability = 0.02 }}

[output.sex.classes.F]
label = "Female"
code = {{ value = "F", scheme = "DCM", meaning = "Female" }}

[output.sex.classes.M]
label = "Male"
code = {{ value = "M", scheme = "DCM", meaning = "Male" }}

[scores]
"""

ARCHITECTURE = '''
"""A network that passes two numbers on."""

import keras


def build():
    """Return (2,) -> (2,)."""
    numbers = keras.Input((2,))
    layer = keras.layers.Dense(2, use_bias=False, kernel_initializer="identity")
    return keras.Model(numbers, layer(numbers))
'''

PREPROCESS = '''
"""Everybody is a woman of 50 years."""

import numpy as np

from node.vocabulary import Classification, Interpretation, Quantity


def prepare(volume):
    """Return the age and the probability of a man."""
    return np.array([[50.0, 0.01]], np.float32)


def interpret(prediction, volume):
    """Return both."""
    age, man = prediction[0].tolist()
    sexes = Classification("sex", {"F": 1 - man, "M": man})
    return Interpretation(quantities=(Quantity("age", age, age - 10, age + 10),), classifications=(sexes,))
'''


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / NAME
    folder.mkdir()
    (folder / "architecture.py").write_text(ARCHITECTURE)
    (folder / "preprocess.py").write_text(PREPROCESS)
    weights = folder / "weights.weights.h5"
    load_part(folder, "architecture").build().save_weights(weights)
    (folder / "model.toml").write_text(CARD.format(sha256=hashlib.sha256(weights.read_bytes()).hexdigest()))
    return folder


def header(**facts: str) -> Dataset:
    dataset = Dataset()
    for keyword, fact in facts.items():
        setattr(dataset, keyword, fact)
    return dataset


AGE = Conclusion(
    "age", "Estimated age", Code("121033", "DCM", "Subject Age"),
    measurement=Measurement(codes.DCM.SubjectAge, 50.0, Code("a", "UCUM", "a"), interval=(40.0, 65.0)),
)
SEX = Conclusion(
    "sex", "Estimated sex", Code("121032", "DCM", "Subject Sex"),
    choices=(
        ClassProbability("Female", codes.DCM.Female, 0.985),
        ClassProbability("Male", codes.DCM.Male, 0.015),
    ),
)


@pytest.mark.parametrize(
    ("facts", "years"),
    [
        ({"PatientAge": "054Y"}, 54.0),
        ({"PatientAge": "018M", "PatientBirthDate": "19700101", "StudyDate": "20260102"}, 1.5),
        ({"PatientAge": "010D"}, 10 / 365.25),
        ({"PatientAge": "052W"}, 0.9966),
        ({"PatientBirthDate": "19700101", "StudyDate": "20260102"}, 56.0),
        ({"PatientBirthDate": "19700230", "StudyDate": "20260102"}, None),
        ({"PatientBirthDate": "20260103", "StudyDate": "20260102"}, None),
        ({"PatientBirthDate": "19700101"}, None),
        ({"PatientAge": "", "PatientBirthDate": ""}, None),
    ],
)
def test_the_age_is_what_the_header_states_and_nothing_where_it_states_none(
    facts: dict[str, str], years: float | None
) -> None:
    found = stated_age_years(header(**facts))
    assert found == (None if years is None else pytest.approx(years, abs=0.01))


@pytest.mark.parametrize(
    ("age", "is_doubted"), [("031Y", False), ("029Y", True), ("079Y", False), ("081Y", True), ("", False)]
)
def test_an_age_is_doubted_outside_twice_the_interval_to_either_side(model: Path, age: str, is_doubted: bool) -> None:
    outputs = read_card(model / "model.toml").output
    expected = ("Estimated age disagrees strongly with PatientAge of the header",) if is_doubted else ()
    assert find_doubts([AGE], outputs, header(PatientAge=age)) == expected


@pytest.mark.parametrize(("sex", "is_doubted"), [("M", True), ("F", False), ("O", False), ("", False)])
def test_a_sex_is_doubted_where_the_estimate_all_but_excludes_it(model: Path, sex: str, is_doubted: bool) -> None:
    outputs = read_card(model / "model.toml").output
    expected = ("Estimated sex disagrees strongly with PatientSex of the header",) if is_doubted else ()
    assert find_doubts([SEX], outputs, header(PatientSex=sex)) == expected


def test_what_a_model_does_not_compare_is_never_doubted(model: Path) -> None:
    outputs = {name: output.model_copy(update={"compared": None})
               for name, output in read_card(model / "model.toml").output.items()}
    assert find_doubts([AGE, SEX], outputs, header(PatientAge="002Y", PatientSex="M")) == ()


def analyse(folder: Path, model: Path, *, doubts_identity: bool, **facts: str) -> StudyDetail:
    """Bring an MR series, run its job as a worker does, and return what an operator sees of the study."""
    side = gathering(folder, rules=())
    settings = side.settings.model_copy(
        update={"rules": (Rule(name="people", model=NAME, destination=("PACS",), modality=("MR",)),)}
    )
    catalog = Catalog([model.parent])
    side = replace(side, settings=settings, assembly=Assembly(side.database, settings, catalog, side.clock))
    archive = Archive(folder)
    series = mr_study(slices=4, **facts)
    side.bring(*(archive.keep(announced(one), encoded(one, folder)) for one in series))
    assert side.complete(60) == 1
    claim = side.queue.claim("worker-1")
    assert claim is not None
    station = Station("RADNODE", most_samples=10**9, doubts_identity=doubts_identity)
    Execution(side.database, archive, catalog, side.queue, station).run(claim)
    return describe_study(side.database, series[0].StudyInstanceUID)


def announced(dataset: Dataset) -> AnnouncedInstance:
    return AnnouncedInstance(dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.file_meta.TransferSyntaxUID)


def doubts_of(detail: StudyDetail) -> list[str]:
    return [event.detail["doubt"] for event in detail.events if event.name == "identity doubted"]


OTHERS = {"PatientAge": "019Y", "PatientSex": "M"}


def test_the_operator_sees_on_the_study_that_estimate_and_header_disagree(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="radnode"):
        detail = analyse(tmp_path, model, doubts_identity=True, **OTHERS)
    assert sorted(doubts_of(detail)) == [
        "Estimated age disagrees strongly with PatientAge of the header",
        "Estimated sex disagrees strongly with PatientSex of the header",
    ]
    records = [record for record in caplog.records if record.getMessage() == "identity doubted"]
    assert len(records) == 2
    assert all(set(record.fields) == {"study", "job", "doubt"} for record in records)


def test_a_doubt_holds_nothing_and_changes_no_result(tmp_path: Path, model: Path) -> None:
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    doubted = analyse(tmp_path / "with", model, doubts_identity=True, **OTHERS)
    plain = analyse(tmp_path / "without", model, doubts_identity=False, **OTHERS)
    assert [job.state for job in doubted.jobs] == ["done"]
    assert (doubted.study.state, doubted.study.reason) == (plain.study.state, plain.study.reason)
    assert [one.sop_instance_uid for one in doubted.deliveries] == [one.sop_instance_uid for one in plain.deliveries]
    assert doubts_of(plain) == []


def test_a_header_that_agrees_leaves_no_doubt(tmp_path: Path, model: Path) -> None:
    assert doubts_of(analyse(tmp_path, model, doubts_identity=True, PatientAge="055Y", PatientSex="F")) == []


def test_doubts_are_off_until_a_site_switches_them_on() -> None:
    assert Settings().workers.doubt_identity is False


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('unit = "a"', 'unit = "mo"', "needs the unit 'a', years"),
        ("[output.sex.classes.M]", "[output.sex.classes.male]", "needs classes out of F, M, O"),
        ("intervals = 2.0", "intervals = 0.5", "intervals"),
        ("probability = 0.02", "probability = 0.6", "probability"),
    ],
)
def test_a_comparison_that_means_nothing_is_refused(
    model: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    card = tmp_path / NAME / "model.toml"
    card.parent.mkdir()
    card.write_text((model / "model.toml").read_text().replace(old, new))
    with pytest.raises(ModelCardError, match=message):
        read_card(card)


def test_the_sex_is_doubted_from_the_probability_that_its_evaluation_counted() -> None:
    folder = bundled_models() / "brain_mr_sex"
    counted = load_part(folder, "cross_validation").STRONG_DISAGREEMENT
    assert read_card(folder / "model.toml").output["sex"].compared.probability == counted
