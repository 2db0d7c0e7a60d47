"""The documents tell the truth about what is there."""

from __future__ import annotations

import ast
import re

import click
import pytest
from conftest import REPOSITORY

from node import errors
from node.association.contexts import TRANSFER_SYNTAXES
from node.association.statuses import CommitmentStatus, StoreStatus
from node.cli import main
from node.results.request import ResultKind
from node.settings import Settings, variable_name
from node.states import CommitmentState, DeliveryState, JobState, StudyState

README = (REPOSITORY / "README.md").read_text()
ARCHITECTURE = (REPOSITORY / "ARCHITECTURE.md").read_text()
CONFORMANCE = (REPOSITORY / "docs" / "conformance.md").read_text()


def verbs(group: click.Group, prefix: str = "") -> list[str]:
    found = []
    for name, command in group.commands.items():
        found += verbs(command, f"{prefix}{name} ") if isinstance(command, click.Group) else [prefix + name]
    return found


@pytest.mark.parametrize("verb", verbs(main))
def test_every_verb_is_in_the_readme(verb: str) -> None:
    assert f"radnode {verb}" in README


def test_the_readme_names_no_verb_that_is_not_there() -> None:
    named = set(re.findall(r"`radnode ([a-z]+(?: (?:list|show|check|resend))?)", README))
    assert named <= {*verbs(main), *main.commands}


def test_the_readme_begins_short_enough_to_read() -> None:
    front = README.split("## Reference")[0]
    assert 200 <= len(front.split()) <= 500


@pytest.mark.parametrize("state", [*StudyState, *JobState, *DeliveryState, *CommitmentState])
def test_every_state_is_drawn_and_explained(state: str) -> None:
    assert re.search(rf"\b{state}\b", ARCHITECTURE)
    assert f"`{state}`" in README


@pytest.mark.parametrize("package", sorted(p.parent.name for p in (REPOSITORY / "node").glob("*/__init__.py")))
def test_every_package_is_in_the_architecture(package: str) -> None:
    assert f"  {package}/ " in ARCHITECTURE


@pytest.mark.parametrize("module", sorted(p.name for p in (REPOSITORY / "node").glob("*.py")))
def test_every_module_on_top_is_in_the_architecture(module: str) -> None:
    assert f"  {module} " in ARCHITECTURE


def test_every_model_has_its_line_in_the_readme() -> None:
    for card in (REPOSITORY / "models").glob("*/model.toml"):
        assert f"`{card.parent.name}`" in README


def test_the_layers_in_the_architecture_are_those_that_are_checked() -> None:
    project = (REPOSITORY / "pyproject.toml").read_text()
    checked = re.findall(r'^    "([a-z_| ]+)",$', project.split("layers = [")[1].split("]")[0], re.MULTILINE)
    drawn = ARCHITECTURE.split("## Which may import which")[1].split("```")[1].strip().splitlines()
    assert [layer for layer in checked if layer != "__main__"] == drawn


def test_the_error_tree_in_the_docstring_is_the_one_in_the_code() -> None:
    classes = {
        statement.name
        for statement in ast.parse((REPOSITORY / "node" / "errors.py").read_text()).body
        if isinstance(statement, ast.ClassDef)
    }
    drawn = [line for line in (errors.__doc__ or "").splitlines() if re.match(r" *[A-Z]\w+(  |$)", line)]
    assert {line.split()[0] for line in drawn} == classes
    for line in drawn:
        name, depth = line.split()[0], (len(line) - len(line.lstrip())) // 2
        assert len(getattr(errors, name).__mro__) - len(errors.RadnodeError.__mro__) == depth, name


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES, ids=lambda syntax: syntax.name)
def test_every_transfer_syntax_is_in_the_conformance_statement(syntax) -> None:
    assert str(syntax) in CONFORMANCE


@pytest.mark.parametrize("status", [*StoreStatus, *CommitmentStatus])
def test_every_status_is_in_the_conformance_statement(status: StoreStatus | CommitmentStatus) -> None:
    assert f"{status:04X}" in CONFORMANCE


@pytest.mark.parametrize("kind", ResultKind)
def test_every_kind_of_result_is_in_the_conformance_statement(kind: str) -> None:
    assert f"`{kind}`" in CONFORMANCE


def test_the_variables_named_in_the_readme_exist() -> None:
    fields = Settings.model_fields.items()
    sections = {name: field.annotation for name, field in fields if name not in {"peers", "rules"}}
    known = {variable_name(section, key) for section, kind in sections.items() for key in kind.model_fields}
    named = set(re.findall(r"RADNODE_[A-Z_]+[A-Z]", README)) - {"RADNODE_SHARED"}
    assert named <= known
    assert {"RADNODE_DICOM_PORT", "RADNODE_AE_TITLE", "RADNODE_DATA"} <= named
