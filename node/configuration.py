"""Configuration files as text: their tables, the line of every key, and every fault said with its place."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Tag, ValidationError
from pydantic_core import ErrorDetails

from node.errors import SettingsError

Place = tuple[str | int, ...]
_ALIKE = 0.65
_SHAPES = {"tuple_type": 'a list, such as ["A"]', "model_type": "a table, such as {min = 1}"}
_Kind = TypeVar("_Kind", bound=BaseModel)


class Section(BaseModel):
    """A table of a configuration file; an unknown key in it is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class ConfigurationFile:
    """A TOML file that was read: its text, its tables, and which of its keys came from elsewhere."""

    path: Path
    text: str
    tables: dict[str, Any]
    overrides: Mapping[Place, str]

    def at(self, place: Place) -> str:
        """Return where a key was stated, as `file:line`, or the nearest table around one that is missing."""
        around = (place[:length] for length in range(len(place), 0, -1))
        return next((self._origins[outer] for outer in around if outer in self._origins), str(self.path))

    @cached_property
    def _origins(self) -> Mapping[Place, str]:
        """Where each key was stated; sought only when there is something to say, for it takes a while."""
        return {
            **{place: f"{self.path}:{line}" for place, line in _lines_of_keys(self.text).items()},
            **self.overrides,
        }


def read_configuration(path: Path, if_missing: str) -> ConfigurationFile:
    """Read a TOML file; raises SettingsError, which says `if_missing` when there is none."""
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file; {if_missing}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}; correct that line") from error
    return ConfigurationFile(path, text, tables, {})


def check_tables(kind: type[_Kind], file: ConfigurationFile) -> tuple[_Kind | None, list[str]]:
    """Return the tables as a `kind`, or None and one sentence for each fault in them."""
    try:
        return kind.model_validate(file.tables), []
    except ValidationError as error:
        return None, [_sentence(kind, file, detail) for detail in error.errors()]


def spell(place: Place) -> str:
    """Write the place of a key with dots, as in `rule.0.modality`."""
    return ".".join(map(str, place))


def closest(found: str, known: list[str], prefix: str = "") -> str:
    """Return what to do about a name nobody knows: the one it resembles, or all that are known.

    The `prefix` that all of them share makes no two of them alike.
    """
    ends = [name.removeprefix(prefix) for name in known]
    alike = get_close_matches(found.removeprefix(prefix), ends, n=1, cutoff=_ALIKE)
    return f"did you mean {prefix}{alike[0]}?" if alike else f"known are {', '.join(known)}; take it out"


def _lines_of_keys(text: str) -> dict[Place, int]:
    """Find where each key and table begins (lines count from 1).

    A statement ends at the first line with which the text so far is valid TOML again, so every form
    that TOML allows is understood as the parser understands it.
    """
    lines: dict[Place, int] = {}
    read = text.splitlines()
    begin = 1
    for end in range(1, len(read) + 1):
        if begin == end and read[end - 1].strip()[:1] in ("", "#"):
            begin = end + 1  # nothing begins here; to parse all the text again for it would cost a start its time
            continue
        try:
            tables = tomllib.loads("\n".join(read[:end]))
        except tomllib.TOMLDecodeError:
            continue
        for place in _places(tables):
            lines.setdefault(place, begin)
        begin = end + 1
    return lines


def _places(value: Any, above: Place = ()) -> Iterator[Place]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*above, key)
        yield from _places(inner, (*above, key))


def _sentence(kind: type[BaseModel], file: ConfigurationFile, detail: ErrorDetails) -> str:
    place = _written(file.tables, detail)
    said = f"{file.at(place)}: {spell(place)}"
    if detail["type"] == "missing":
        return f"{said}: found nothing; expected a value; add a line `{place[-1]} = ...`"
    if detail["type"] == "extra_forbidden":
        hint = closest(str(place[-1]), _known_keys(kind, detail["loc"][:-1]))
        return f"{said}: found {detail['input']!r}; this key is unknown; {hint}"
    shape = _SHAPES.get(detail["type"])
    expected = detail["msg"].replace("Input should be", "expected").removeprefix("Value error, ")
    expected = f"expected {shape}" if shape else expected
    if detail["type"] == "union_tag_invalid":
        expected = f"expected its kind to be one of {detail['ctx']['expected_tags']}"
    return f"{said}: found {detail['input']!r}; {expected}; change this value"


def _written(tables: Any, detail: ErrorDetails) -> Place:
    """Return where a fault is in the file; pydantic's place also names the member of a union it tried."""
    place: list[str | int] = []
    for key in detail["loc"]:
        is_there = key in tables if isinstance(tables, dict) else isinstance(tables, list) and isinstance(key, int)
        if is_there:
            tables = tables[key]
            place.append(key)
    if detail["type"] == "missing":
        place.append(detail["loc"][-1])
    return tuple(place)


def _known_keys(kind: type[BaseModel], place: Place) -> list[str]:
    """List the keys that the table at this place may have."""
    table: Any = kind
    for key in place:
        if key in table.model_fields:
            table = _table_kind(table.model_fields[key].annotation, place) or table
    return sorted(field.alias or name for name, field in table.model_fields.items())


def _table_kind(annotation: Any, place: Place) -> Any:
    """Return the table within an annotation such as `dict[str, Peer]`; of a union, the member `place` names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    members = get_args(annotation)
    if any(isinstance(member, Tag) and member.tag not in place for member in members):
        return None
    return next((found for member in members if (found := _table_kind(member, place)) is not None), None)
