"""Model folders as the node sees them before it runs any of their code."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_copies import copy_model
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.card import ClassesOutput, QuantityOutput, code_of, read_card
from node.catalog import Catalog, bundled_models
from node.errors import ModelCardError, ModelNotTrusted, WeightsMismatch

NAME = "chest_dx_lungs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a bundled model that a test may spoil."""
    return copy_model(NAME, tmp_path / "models" / NAME)


def spoil(folder: Path, old: str, new: str) -> Path:
    card = folder / "model.toml"
    text = card.read_text()
    assert old in text
    card.write_text(text.replace(old, new, 1))
    return card


def test_the_bundled_models_are_found() -> None:
    assert NAME in Catalog([bundled_models()]).models


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('type = "Lung"', 'type = "Lugn"', r"output\.\w+\.type: found 'Lugn'; .*keyword of pydicom\.sr\.codedict"),
        ('"ComputedRadiographyImageStorage"', '"CRImage"', r"input\.image\.sop_class\.1: found 'CRImage'"),
        ('task = "segmentation"', 'task = "guessing"', r"task: found 'guessing'"),
        ("schema = 1", "schema = 2", r"model\.toml:3: schema: found 2"),
        ("required = true", "required = false", r"input: found .*expected a table \[input\.<name>\] that is required"),
        ('view_position = ["PA"', 'kernel = "("\nview_position = ["PA"', r"image\.kernel: found '\('; not a"),
        ('title = "', 'titel = "', r"model\.toml:5: titel: found .*did you mean title\?"),
        (f'name = "{NAME}"', 'name = "chest_dx_other"', r"found 'chest_dx_other'; expected the folder's"),
        ("[weights]", "[reduced]\nchanged = 0.0\n[weights]", r"reduced\.changed: found 0\.0"),
        ("[weights]", "[weights", r"not valid TOML"),
    ],
)
def test_a_wrong_card_is_reported_with_key_found_and_expected(
    folder: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(ModelCardError, match=message):
        read_card(spoil(folder, old, new))


def test_a_network_that_decides_nothing_may_not_ask_for_16_bits(tmp_path: Path) -> None:
    folder = copy_model("brain_mr_superres", tmp_path / "models" / "brain_mr_superres")
    card = spoil(folder, "[weights]", "[reduced]\nchanged = 0.01\n[weights]")
    with pytest.raises(ModelCardError, match=r"\[reduced\] needs a task out of segmentation, cl.*; found super"):
        read_card(card)


def test_of_models_only_those_that_are_trusted_are_there(folder: Path) -> None:
    trusted = Catalog([folder.parent])[NAME].identity.sha256
    assert Catalog([folder.parent], [trusted])[NAME].identity.sha256 == trusted
    code = folder / "preprocess.py"
    code.write_text(code.read_text() + "\n")
    changed = Catalog([folder.parent], [trusted])
    assert changed.models == {}
    with pytest.raises(ModelNotTrusted, match=r"SHA-256 [0-9a-f]{64}, which node\.trusted_models does not name"):
        changed[NAME]


def test_changed_weights_are_noticed(folder: Path) -> None:
    weights = folder / "weights.weights.h5"
    weights.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(WeightsMismatch, match=r"has SHA-256 .*model\.toml says"):
        Catalog([folder.parent])[NAME].check_weights()


@pytest.mark.parametrize("file", ["model.toml", "architecture.py", "preprocess.py", "weights.weights.h5"])
def test_every_file_of_a_model_is_part_of_its_identity(folder: Path, file: str) -> None:
    before = Catalog([folder.parent])[NAME].identity.sha256
    with (folder / file).open("ab") as end:
        end.write(b"\n")
    assert Catalog([folder.parent])[NAME].identity.sha256 != before


def test_missing_weights_are_named(folder: Path) -> None:
    (folder / "weights.weights.h5").unlink()
    with pytest.raises(WeightsMismatch, match="no weights file"):
        Catalog([folder.parent])[NAME].check_weights()


@pytest.mark.parametrize("name", ["model.toml", "preprocess.py", "architecture.py"])
def test_a_change_to_any_file_that_decides_results_changes_the_identity(folder: Path, name: str) -> None:
    before = Catalog([folder.parent])[NAME].identity
    (folder / name).write_text((folder / name).read_text() + "\n# a comment\n")
    assert Catalog([folder.parent])[NAME].identity.sha256 != before.sha256


def test_a_change_to_the_card_text_changes_no_identity(folder: Path) -> None:
    before = Catalog([folder.parent])[NAME].identity
    (folder / "card.md").write_text("other words")
    assert Catalog([folder.parent])[NAME].identity == before


def test_two_folders_with_the_same_model_are_refused(folder: Path) -> None:
    with pytest.raises(ModelCardError, match=f"a model called {NAME} is also in"):
        Catalog([bundled_models(), folder.parent])


def test_a_missing_folder_of_models_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelCardError, match="no such folder"):
        Catalog([tmp_path / "absent"])


def test_a_model_may_have_several_inputs_of_one_level(folder: Path) -> None:
    second = '[input.lateral]\nlevel = "instance"\nrequired = false\nchoose = "latest"\n\n[output.lung]'
    card = read_card(spoil(folder, "[output.lung]", second))
    assert [(name, wanted.required) for name, wanted in card.input.items()] == [("image", True), ("lateral", False)]
    assert Catalog([folder.parent])[NAME].level == "instance"


def test_inputs_of_two_levels_are_refused(folder: Path) -> None:
    with pytest.raises(ModelCardError, match="expected the same level in every"):
        read_card(spoil(folder, "[output.lung]", '[input.prior]\nlevel = "series"\n\n[output.lung]'))


KINDS = """
[output.disease]
kind = "class"
label = "Disease"
site = "Lung"
decisive = 0.6

[output.disease.classes.none]
label = "None"
code = "Normal"

[output.disease.classes.some]
label = "Some"
code = { value = "1", scheme = "99RADNODE", meaning = "Some disease", source = "made up for this test" }

[output.age]
kind = "quantity"
label = "Age"
concept = { value = "121033", scheme = "DCM", meaning = "Subject Age" }
unit = "a"

[scores]"""


def test_a_model_may_name_classes_and_quantities_with_codes_of_its_own(folder: Path) -> None:
    card = read_card(spoil(folder, "[scores]", KINDS))
    disease, age = card.output["disease"], card.output["age"]
    assert isinstance(disease, ClassesOutput)
    assert code_of(disease.classes["none"].code) == codes.SCT.Normal
    assert code_of(disease.classes["some"].code) == Code("1", "99RADNODE", "Some disease")
    assert code_of(disease.concept) == codes.DCM.Finding
    assert isinstance(age, QuantityOutput)
    assert code_of(age.concept) == codes.DCM.SubjectAge


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "class"', 'kind = "klass"', r"output\.disease: found .*expected its kind to be one of 'segment', "),
        ('code = "Normal"', 'code = "Nromal"', r"output\.disease\.classes\.none\.code: found 'Nromal'"),
        ('scheme = "99RADNODE", ', "", r"output\.disease\.classes\.some\.code\.scheme: found nothing"),
        ("decisive = 0.6", "decisiv = 0.6", r"output\.disease\.decisiv: found 0\.6; .*did you mean decisive\?"),
        ("decisive = 0.6", "decisive = 6", r"output\.disease\.decisive: found 6; expected less than or equal to 1"),
        ('unit = "a"', 'unit = "a"\nclasses = 3', r"output\.age\.classes: found 3; this key is unknown; known are c"),
    ],
)
def test_a_wrong_output_is_reported_where_it_is_written(folder: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ModelCardError, match=message):
        read_card(spoil(folder, "[scores]", KINDS.replace(old, new)))


def test_a_gate_that_is_not_installed_is_named(folder: Path) -> None:
    spoil(folder, "[weights]", 'gate = "chest_dx_gate"\n\n[weights]')
    with pytest.raises(ModelCardError, match="gate: found 'chest_dx_gate'; expected the name of an installed model"):
        Catalog([folder.parent])
