"""Where a key of a configuration file stands, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from node.configuration import ConfigurationFile, Place, check_tables, closest, read_configuration
from node.errors import SettingsError
from node.selector import Range

TEXT = '''# a comment
[node]
title = """
[not.a.table]
inside = 1
"""
nested."quoted key".port = 1   # dotted

[[rule]]
values = [
    "a = 1",   # [[rule]]
    3,
]
[[rule]]
slices = {min = 3}
'''


class Strict(BaseModel):
    """A table without other keys."""

    model_config = ConfigDict(extra="forbid")


class RulePart(Strict):
    """A table of a list."""

    values: tuple[str, ...] = ()
    slices: Range | None = None


class Whole(Strict):
    """The whole file."""

    node: dict[str, object] = {}
    rule: tuple[RulePart, ...] = ()


@pytest.fixture
def file(tmp_path: Path) -> ConfigurationFile:
    (tmp_path / "x.toml").write_text(TEXT)
    return read_configuration(tmp_path / "x.toml", "make one")


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("node",), 2),
        (("node", "title"), 3),
        (("node", "nested", "quoted key", "port"), 7),
        (("rule", 0), 9),
        (("rule", 0, "values", 1), 10),
        (("rule", 1), 14),
        (("rule", 1, "slices", "min"), 15),
        (("rule", 1, "absent"), 14),
    ],
)
def test_a_key_is_found_on_its_line_however_it_is_written(file: ConfigurationFile, place: Place, line: int) -> None:
    assert file.at(place) == f"{file.path}:{line}"


def test_a_key_above_every_table_has_no_line(file: ConfigurationFile) -> None:
    assert file.at(("absent",)) == str(file.path)


def test_every_fault_is_said_with_its_place(file: ConfigurationFile) -> None:
    whole, faults = check_tables(Whole, file)
    assert whole is None
    assert faults == [f"{file.path}:10: rule.0.values.1: found 3; expected a valid string; change this value"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]]\nvalues = 'a'", ":2: rule.0.values: found 'a'; expected a list, such as"),
        ("[[rule]]\nslices = 3", ":2: rule.0.slices: found 3; expected a table, such as {min = 1}"),
        ("[[rule]]\nslices = {mni = 3}", ":2: rule.0.slices.mni: found 3; this key is unknown; did you mean min?"),
        ("[[rule]]\nslices = {min = 3, max = 2}", "expected min below max"),
        ("[[rule]]\nslices = {}", "expected min, max or both"),
        ("[[rules]]\n", ":1: rules: found [{}]; this key is unknown; did you mean rule?"),
    ],
)
def test_what_was_expected_is_said_in_terms_of_the_file(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    (fault,) = check_tables(Whole, read_configuration(tmp_path / "x.toml", ""))[1]
    assert said in fault


def test_a_file_that_is_no_toml_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("a = 1\nb = \n")
    with pytest.raises(SettingsError, match=r"x\.toml: not valid TOML: .*line 2"):
        read_configuration(tmp_path / "x.toml", "")


def test_a_name_that_resembles_none_is_answered_with_all_there_are() -> None:
    assert closest("zebra", ["port", "host"]) == "known are port, host; take it out"
