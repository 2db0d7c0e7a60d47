"""Settings: config/*.toml and the environment, read once into frozen values."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from node.errors import SettingsError
from node.vocabulary import PeerAddress

_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
SENDER = "sender"


def _check_ae_title(title: str) -> str:
    """Refuse what is no AE value (PS3.5 6.2): 1 to 16 printable characters without backslash."""
    if not _AE_TITLE.fullmatch(title) or title != title.strip() or not title:
        raise ValueError("an AE title is 1 to 16 printable characters without backslash or outer spaces")
    return title


def _check_regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return pattern


AETitle = Annotated[str, AfterValidator(_check_ae_title)]
Regex = Annotated[str, AfterValidator(_check_regex)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    """A table of a configuration file; an unknown key in it is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeSection(_Section):
    """Who we are and where our data lie."""

    ae_title: AETitle = "RADNODE"
    data: Path = Path("radnode-data")
    models: tuple[Path, ...] = ()


class DicomSection(_Section):
    """Where the SCP listens and how much it takes on."""

    host: str = "127.0.0.1"
    port: Port = 11112
    max_associations: Count = 64
    drain_seconds: Seconds = 30.0


class ArchiveSection(_Section):
    """How much disk stays free."""

    reserve_mb: Annotated[int, Field(ge=0)] = 512

    @property
    def reserve_bytes(self) -> int:
        """Return the same in bytes."""
        return self.reserve_mb * 1024 * 1024


class GatheringSection(_Section):
    """When a study counts as complete."""

    quiet_seconds: Annotated[float, Field(ge=0)] = 5.0


class WorkersSection(_Section):
    """How many workers run, and how long they may take."""

    count: Count = 1
    threads: Annotated[int, Field(ge=0)] = 0
    lease_seconds: Seconds = 30.0
    deadline_seconds: Seconds = 300.0
    attempts: Count = 3


class DeliverySection(_Section):
    """How patiently results are sent."""

    timeout_seconds: Seconds = 30.0
    first_retry_seconds: Seconds = 5.0
    longest_retry_seconds: Seconds = 900.0
    attempts: Count = 100


class Peer(_Section):
    """A DICOM application we know."""

    ae_title: AETitle
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    quiet_seconds: Annotated[float, Field(ge=0)] | None = None

    @property
    def address(self) -> PeerAddress:
        """Return where to reach it."""
        return PeerAddress(self.ae_title, self.host, self.port)


class Rule(_Section):
    """One rule of routes.toml: which model runs on what, and where its results go."""

    name: Annotated[str, Field(min_length=1)]
    model: Annotated[str, Field(min_length=1)]
    destination: Annotated[tuple[str, ...], Field(min_length=1)]
    modality: tuple[str, ...] = ()
    body_part: tuple[str, ...] = ()
    sop_class: tuple[str, ...] = ()
    description: Regex = ""
    sender: tuple[str, ...] = ()


class _NodeFile(_Section):
    """The tables of node.toml."""

    node: NodeSection = NodeSection()
    dicom: DicomSection = DicomSection()
    archive: ArchiveSection = ArchiveSection()
    gathering: GatheringSection = GatheringSection()
    workers: WorkersSection = WorkersSection()
    delivery: DeliverySection = DeliverySection()


class Settings(_NodeFile):
    """Everything a site may decide, in one frozen value."""

    peers: Mapping[str, Peer] = {}
    rules: tuple[Rule, ...] = ()

    @property
    def database_file(self) -> Path:
        """Return where the SQLite database lies."""
        return self.node.data / "radnode.db"

    def peer_with_title(self, ae_title: str) -> Peer | None:
        """Return the known peer that calls itself `ae_title`."""
        return next((peer for peer in self.peers.values() if peer.ae_title == ae_title), None)

    def quiet_seconds_of(self, ae_title: str) -> float:
        """Return how long after the last instance of this sender a study is complete."""
        peer = self.peer_with_title(ae_title)
        if peer is None or peer.quiet_seconds is None:
            return self.gathering.quiet_seconds
        return peer.quiet_seconds


class _PeersFile(_Section):
    peer: dict[str, Peer] = {}


class _RoutesFile(_Section):
    rule: tuple[Rule, ...] = ()


_File = TypeVar("_File", bound=_Section)


def load_settings(node_file: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read node.toml and, beside it, peers.toml and routes.toml; the environment goes first.

    Paths are relative to the folder of `node_file`. Raises SettingsError that names the file, the
    key, what was found and what was expected.
    """
    folder = node_file.resolve().parent
    tables = _override(_read_toml(node_file), environment)
    node = _parse(_NodeFile, tables, node_file)
    peers = _parse(_PeersFile, _read_toml(folder / "peers.toml"), folder / "peers.toml").peer
    rules = _parse(_RoutesFile, _read_toml(folder / "routes.toml"), folder / "routes.toml").rule
    _check_destinations(rules, peers, folder / "routes.toml")
    section = node.node
    section = section.model_copy(
        update={"data": folder / section.data, "models": tuple(folder / m for m in section.models)}
    )
    parts = {name: getattr(node, name) for name in _NodeFile.model_fields if name != "node"}
    return Settings(node=section, peers=peers, rules=rules, **parts)


def variable_name(section: str, key: str) -> str:
    """Return the environment variable that overrides a key of node.toml."""
    return f"RADNODE_{key}".upper() if section == "node" else f"RADNODE_{section}_{key}".upper()


def _override(tables: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Put the environment's values in place of the file's."""
    for section, field in _NodeFile.model_fields.items():
        assert field.annotation is not None
        for key in field.annotation.model_fields:
            value = environment.get(variable_name(section, key))
            if value is not None:
                tables.setdefault(section, {})[key] = value.split(os.pathsep) if key == "models" else value
    return tables


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file; `radnode init DIR` writes one to start from") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error


def _parse(kind: type[_File], tables: dict[str, Any], path: Path) -> _File:
    try:
        return kind.model_validate(tables)
    except ValidationError as error:
        lines = (
            f"{path}: {'.'.join(map(str, e['loc']))}: found {e['input']!r}; {e['msg']}" for e in error.errors()
        )
        raise SettingsError("\n".join(lines)) from error


def _check_destinations(rules: tuple[Rule, ...], peers: Mapping[str, Peer], path: Path) -> None:
    known = {SENDER, *peers}
    for rule in rules:
        for destination in rule.destination:
            if destination not in known:
                expected = ", ".join(sorted(known))
                raise SettingsError(
                    f"{path}: rule {rule.name!r}: destination: found {destination!r}; expected one of "
                    f"{expected}; add [peer.{destination}] to peers.toml"
                )
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"{path}: rule {name!r}: found twice; every rule needs a name of its own")
