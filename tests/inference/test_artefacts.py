"""Converted networks: as good as Keras, refused where they are not, and never another model's or a spoiled one."""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from model_copies import copy_model
from site_model import NAME, write_site_model
from specimens import specimens

from node.catalog import Catalog, Model, bundled_models
from node.cli import main
from node.errors import ArtefactUnusable, ConversionFailed, StudyRefused
from node.inference.artefact import GRAPH, RECORD, WEIGHTS, Origin, is_to_build, read_artefact, read_record
from node.inference.building import build_all, build_missing
from node.inference.conversion import TOLERANCE, changed, difference
from node.inference.examples import examples
from node.inference.loading import load_part
from node.inference.network import Network
from node.inference.openvino_network import OpenVinoNetwork, can_reduce
from node.inference.serving import Serving, how_served, load_network

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3 with NumPy 2

BUNDLED = Catalog([bundled_models()])

# What is left of two roundings, made large: libraries round differently.
UNKNOWN = "keras.ops.erfinv(keras.ops.tanh(scale(picture)))"
UNSTEADY = "1e6 * (keras.ops.log(keras.ops.exp(scale(picture))) - picture)"


def prepared(model: Model) -> np.ndarray:
    """Return an entry of what the model prepares of a specimen, and the same turned round."""
    prepare = load_part(model.folder, "preprocess").prepare
    for image in specimens(model):
        try:
            one = prepare(image)[:1]
        except StudyRefused:
            continue
        return np.concatenate([one, one[:, ::-1]])
    pytest.fail(f"{model.card.name} refused every specimen")


def site_model(folder: Path, answer: str = "scale(picture)") -> Model:
    """Return a site's own model whose network answers with this expression."""
    plain = write_site_model(folder.with_name("plain"))  # its code is loaded by then, for good
    shutil.copytree(plain, folder / NAME)
    architecture = folder / NAME / "architecture.py"
    code = architecture.read_text()
    assert "scale(picture))" in code
    architecture.write_text(code.replace("scale(picture))", f"{answer})"))
    return Catalog([folder])[NAME]


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return site_model(tmp_path / "models")


@pytest.fixture
def root(tmp_path: Path, model: Model) -> Path:
    """A folder that holds the model's artefact."""
    root = tmp_path / "networks"
    (outcome,) = build_all(root, [model])
    assert outcome.fault == ""
    return root


def folder_of(root: Path, model: Model) -> Path:
    return root / Origin.of(model).folder_name


@pytest.mark.parametrize("name", sorted(BUNDLED.models))
def test_every_bundled_model_answers_as_keras_does_to_one_image_and_to_several(artefacts: Path, name: str) -> None:
    model = BUNDLED[name]
    assert [outcome.fault for outcome in build_missing(artefacts, [model]) if outcome.fault] == []
    reference, served = Network(model), load_network(model, Serving(artefacts))
    assert isinstance(served, OpenVinoNetwork)
    batch = prepared(model)
    expected = reference.predict(batch)
    assert difference(expected, served.predict(batch)) <= TOLERANCE
    assert difference(expected[:1], served.predict(batch[:1])) <= TOLERANCE
    assert read_record(artefacts, model).difference <= TOLERANCE


def test_the_answer_to_an_image_does_not_depend_on_those_beside_it_nor_on_the_process(
    artefacts: Path, tmp_path: Path
) -> None:
    model = BUNDLED["chest_dx_frontal"]
    list(build_missing(artefacts, [model]))
    first, second = (load_network(model, Serving(artefacts, threads=1)) for _ in range(2))
    batch = examples((128, 128, 1))
    alone = np.concatenate([first.predict(one[np.newaxis]) for one in batch])
    assert np.array_equal(alone, first.predict(batch))
    assert np.array_equal(alone, second.predict(batch[::-1])[::-1])


def test_a_network_computes_in_32_bits_on_the_threads_it_is_given(root: Path, model: Model) -> None:
    network = OpenVinoNetwork(read_artefact(root, model), threads=1)
    compiled = network._request.get_compiled_model()
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"


def allow_reduced(folder: Path, changed: float) -> Model:
    """Return a site's own model whose card allows 16 bits, and whose weights 16 bits cannot hold."""
    model = site_model(folder, "keras.ops.tanh(scale(picture) * 1.2345)")
    card = model.folder / "model.toml"
    card.write_text(card.read_text().replace("[scores]", f"[reduced]\nchanged = {changed}\n\n[scores]"))
    return Catalog([folder])[NAME]


def precision_of(network: object) -> str:
    assert isinstance(network, OpenVinoNetwork)
    return network._request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT").to_string()


def test_a_network_computes_in_16_bits_where_site_card_and_cpu_allow_it_and_it_passed(tmp_path: Path) -> None:
    model, root = allow_reduced(tmp_path / "models", 0.1), tmp_path / "networks"
    (outcome,) = build_all(root, [model])
    exact, asked = Serving(root), Serving(root, is_reduced=True)
    assert how_served(model, exact) == f"OpenVINO, at most {outcome.difference:.2g} from Keras"
    assert precision_of(load_network(model, exact)) == "f32"
    if not can_reduce():
        assert precision_of(load_network(model, asked)) == "f32"
        assert how_served(model, asked).endswith("in 32 bits: this machine's CPUs have no 16-bit arithmetic")
        return
    share = read_record(root, model).reduced_changed
    assert 0 < share < 0.1
    assert outcome.reduced == f"16 bits change {share:.2%} of the decisions"
    assert precision_of(load_network(model, asked)) == "bf16"
    assert how_served(model, asked) == f"OpenVINO; {outcome.reduced}"


def test_a_network_that_decides_too_much_otherwise_in_16_bits_serves_in_32(tmp_path: Path) -> None:
    model, root = allow_reduced(tmp_path / "models", 1e-6), tmp_path / "networks"
    (outcome,) = build_all(root, [model])
    asked = Serving(root, is_reduced=True)
    assert outcome.fault == ""
    assert precision_of(load_network(model, asked)) == "f32"
    if can_reduce():
        assert outcome.reduced.endswith(" of the decisions, expected at most 0.00% as its card says")
        assert how_served(model, asked).endswith(f"in 32 bits: {outcome.reduced}")


def test_a_network_whose_card_does_not_allow_16_bits_serves_in_32(root: Path, model: Model) -> None:
    asked = Serving(root, is_reduced=True)
    assert precision_of(load_network(model, asked)) == "f32"
    assert how_served(model, asked).endswith("; in 32 bits: its card allows no other")


def test_a_network_that_was_not_compared_in_16_bits_serves_in_32(tmp_path: Path) -> None:
    other, root, asked = allow_reduced(tmp_path / "models", 0.1), tmp_path, Serving(tmp_path, is_reduced=True)
    list(build_all(root, [other]))
    path = folder_of(root, other) / RECORD
    path.write_text(json.dumps(json.loads(path.read_text()) | {"reduced_changed": None}))
    assert precision_of(load_network(other, asked)) == "f32"
    if can_reduce():
        assert "not compared in 16 bits yet; `radnode models build` does so" in how_served(other, asked)


@pytest.mark.parametrize("name", sorted(name for name, model in BUNDLED.models.items() if model.card.reduced))
def test_every_bundled_model_that_allows_16_bits_answers_in_them_as_its_card_says(artefacts: Path, name: str) -> None:
    model = BUNDLED[name]
    list(build_missing(artefacts, [model]))
    served, batch = load_network(model, Serving(artefacts, is_reduced=True)), prepared(model)
    assert precision_of(served) == ("bf16" if can_reduce() else "f32")
    assert changed(Network(model).predict(batch), served.predict(batch)) <= model.card.reduced.changed


BUILDING = """
import sys
from pathlib import Path
from node.catalog import Catalog
from node.inference.building import build_all
(outcome,) = build_all(Path(sys.argv[1]), Catalog([Path(sys.argv[2])]).models.values())
print(f"{outcome.fault}|{outcome.reduced}")
"""


def test_a_cpu_that_cannot_compute_in_16_bits_though_it_says_so_serves_in_32(tmp_path: Path) -> None:
    model = allow_reduced(tmp_path / "models", 0.1)
    command = [sys.executable, "-c", BUILDING, str(tmp_path / "networks"), str(model.folder.parent)]
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}  # OpenVINO goes on to say that it can
    built = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    fault, _, reduced = built.strip().rpartition("\n")[2].partition("|")
    assert fault == ""
    assert reduced.startswith("cannot compute in 16 bits: ") == can_reduce()
    assert precision_of(load_network(model, Serving(tmp_path / "networks", is_reduced=True))) == "f32"


def test_decisions_are_the_largest_of_channels_or_whether_one_is_above_a_half() -> None:
    channels = np.array([[[0.2, 0.8], [0.6, 0.4]]], np.float32)
    assert changed(channels, channels[..., ::-1]) == 1.0
    assert changed(channels, channels + np.array([[[0.0, 0.1], [0.0, 0.3]]], np.float32)) == 0.5
    assert changed(channels, np.full_like(channels, np.nan)) == 1.0
    one = np.array([[[0.4], [0.6], [0.7], [0.9]]], np.float32)
    assert changed(one, one + 0.05) == 0.0
    assert changed(one, one - 0.15) == 0.25


@pytest.mark.parametrize("file", [GRAPH, WEIGHTS])
def test_an_artefact_with_a_bit_turned_is_named_and_keras_serves(
    root: Path, model: Model, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder_of(root, model) / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        network = load_network(model, Serving(root))
    assert isinstance(network, Network)
    (record,) = caplog.records
    assert record.fields["model"] == NAME
    assert f"{file}: found SHA-256" in record.fields["reason"]
    assert "expected" in record.fields["reason"]
    assert is_to_build(root, model)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"origin": {}}', "\0"])
def test_a_record_that_cannot_be_read_is_no_record(root: Path, model: Model, content: str) -> None:
    (folder_of(root, model) / RECORD).write_text(content)
    with pytest.raises(ArtefactUnusable, match=r"record\.json: cannot be read"):
        read_artefact(root, model)
    assert isinstance(load_network(model, Serving(root)), Network)


def test_the_artefact_of_another_version_of_a_model_is_not_used(root: Path, model: Model) -> None:
    code = model.folder / "preprocess.py"
    code.write_text(code.read_text() + "\n# another version\n")
    changed = model.seen_again()
    with pytest.raises(ArtefactUnusable, match="not converted yet"):
        read_artefact(root, changed)
    folder_of(root, model).rename(folder_of(root, changed))
    with pytest.raises(ArtefactUnusable, match=r"found a record of .* expected"):
        read_artefact(root, changed)
    assert isinstance(load_network(changed, Serving(root)), Network)


def test_a_spoiled_artefact_is_built_anew_and_a_sound_one_is_not(root: Path, model: Model) -> None:
    assert list(build_missing(root, [model])) == []
    (folder_of(root, model) / WEIGHTS).unlink()
    assert [outcome.fault for outcome in build_missing(root, [model])] == [""]
    assert isinstance(load_network(model, Serving(root)), OpenVinoNetwork)


def test_what_a_builder_left_that_was_killed_is_removed_and_never_used(root: Path, model: Model) -> None:
    left = root / ".new-killed"
    folder_of(root, model).rename(left)
    assert isinstance(load_network(model, Serving(root)), Network)
    assert [outcome.fault for outcome in build_missing(root, [model])] == [""]
    assert not left.exists()


def test_a_network_that_differs_from_keras_is_refused_with_the_figures(tmp_path: Path) -> None:
    model, root = site_model(tmp_path / "models", UNSTEADY), tmp_path / "networks"
    (outcome,) = build_all(root, [model])
    assert outcome.difference > outcome.tolerance
    assert outcome.fault.startswith("differs from Keras by ")
    with pytest.raises(ConversionFailed, match=f"{NAME}: differs from Keras by .*expected at most 0.0001"):
        read_artefact(root, model)
    assert how_served(model, Serving(root)).startswith("Keras: differs from Keras by ")
    assert [path.name for path in folder_of(root, model).iterdir()] == [RECORD]
    assert not is_to_build(root, model)
    network = load_network(model, Serving(root))
    assert isinstance(network, Network)
    assert network.predict(np.zeros((2, 64, 64, 1), np.float32)).shape == (2, 64, 64, 1)


def test_a_network_that_cannot_be_converted_says_what_of_it_is_not_known(tmp_path: Path) -> None:
    model, root = site_model(tmp_path / "models", UNKNOWN), tmp_path / "networks"
    log = logging.getLogger()
    before = log.level, list(log.filters), list(log.handlers)
    (outcome,) = build_all(root, [model])
    assert (log.level, log.filters, log.handlers) == before  # the converter silences warnings
    assert outcome.difference is None
    assert outcome.fault.startswith("cannot be converted: ")
    assert "Erfinv" in outcome.fault
    assert not is_to_build(root, model)
    assert isinstance(load_network(model, Serving(root)), Network)


def test_a_model_that_keras_cannot_load_either_stops_no_other(root: Path, model: Model, tmp_path: Path) -> None:
    broken = copy_model("chest_dx_frontal", tmp_path / "other" / "chest_dx_frontal")
    (broken / "weights.weights.h5").write_bytes(b"other weights")
    outcomes = build_all(root, [Catalog([broken.parent])["chest_dx_frontal"], model])
    faults = {outcome.model: outcome.fault for outcome in outcomes}
    assert "has SHA-256" in faults["chest_dx_frontal"]
    assert faults[NAME] == ""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a site that keeps its own models and converted networks there."""
    monkeypatch.delenv("RADNODE_WORKERS_ARTEFACTS")
    for name in ("peers.toml", "routes.toml"):
        (tmp_path / name).touch()
    (tmp_path / "node.toml").write_text('[node]\nmodels = ["models"]\n[workers]\nartefacts = "networks"\n')
    return tmp_path


def radnode(site: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["models", *words, "--config", str(site / "node.toml"), "--json"])


def test_the_verb_builds_says_so_and_removes_what_was_built_of_other_versions(site: Path) -> None:
    model = site_model(site / "models")
    assert radnode(site, "build", NAME).exit_code == 0
    (first,) = folders(site / "networks")
    code = model.folder / "preprocess.py"
    code.write_text(code.read_text() + "\n# another version\n")
    done = radnode(site, "build", NAME)
    (second,) = folders(site / "networks")
    assert (done.exit_code, first != second) == (0, True)
    (outcome,) = json.loads(done.stdout)
    assert (outcome["model"], outcome["fault"]) == (NAME, "")
    served = {row["name"]: row["served_by"] for row in json.loads(radnode(site, "list").stdout)}
    assert served[NAME] == f"OpenVINO, at most {outcome['difference']:.2g} from Keras"
    assert served["chest_dx_lungs"].startswith("Keras: not converted yet")
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in [site / "networks", *(site / "networks").rglob("*")]}
    assert modes == {0}


def test_the_verb_says_what_computes_in_16_bits_where_the_site_wants_it(site: Path) -> None:
    site_model(site / "models")
    settings = site / "node.toml"
    settings.write_text(settings.read_text() + 'precision = "reduced"\n')
    assert radnode(site, "build", NAME).exit_code == 0
    served = {row["name"]: row["served_by"] for row in json.loads(radnode(site, "list").stdout)}
    assert served[NAME].endswith("in 32 bits: its card allows no other")


def folders(root: Path) -> list[str]:
    return [path.name for path in root.iterdir() if path.is_dir()]


def test_the_verb_names_what_failed_with_its_figures_and_its_exit_code_says_so(site: Path) -> None:
    site_model(site / "models", UNSTEADY)
    done = radnode(site, "build", NAME)
    assert done.exit_code == 1
    (outcome,) = json.loads(done.stdout)
    assert outcome["model"] == NAME
    assert outcome["difference"] > outcome["tolerance"]


@pytest.mark.parametrize("words", [("build", "no_such_model"), ("build", NAME)])
def test_the_verb_says_why_nothing_is_built(site: Path, words: tuple[str, ...]) -> None:
    (site / "node.toml").write_text('[workers]\nengine = "keras"\n')
    done = radnode(site, *words)
    assert done.exit_code == 1
    assert "[workers] engine says so" in done.stderr
    assert not (site / "networks").exists()


REPORTER = "print('reported')"
IMPORTING = """
import sys
sys.path.insert(0, sys.argv[1])
from node.inference.openvino_network import import_openvino
print(import_openvino().__name__, *sorted({"openvino.tools.ovc", "tensorflow"} & set(sys.modules)))
from openvino.tools.ovc import convert_model
print(convert_model.__name__)
"""


def test_openvino_is_imported_without_what_would_report_that_to_its_maker(tmp_path: Path) -> None:
    package = tmp_path / "openvino_telemetry"
    package.mkdir()
    (package / "__init__.py").write_text(REPORTER)
    found = subprocess.run(
        [sys.executable, "-c", IMPORTING, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines() == ["openvino", "convert_model"]
