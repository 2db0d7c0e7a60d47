"""Settings: config/*.toml and the environment, read once into frozen values."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field, model_validator

from node.configuration import ConfigurationFile, Section, check_tables, closest, read_configuration
from node.errors import SettingsError
from node.faults import FAULT_VARIABLE, MARK_VARIABLE
from node.peers import AETitle, Peer
from node.selector import Selector

# The format of the log is chosen before there are settings.
_FOR_TESTS = {
    "RADNODE_SHARED", "RADNODE_NO_SKIPS", "RADNODE_FUZZ_SECONDS", "RADNODE_OHIF_PYTHON", FAULT_VARIABLE, MARK_VARIABLE
}
_NO_SETTINGS = {"RADNODE_LOG_FORMAT", *_FOR_TESTS}
_LISTS = {"models", "trusted_models"}  # in a variable their parts are joined as in PATH
SENDER = "sender"


def _is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches a listener at `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class NodeSection(Section):
    """Who we are and where our data lie."""

    ae_title: AETitle = "RADNODE"
    data: Path = Path("radnode-data")
    models: tuple[Path, ...] = ()
    trusted_models: tuple[Sha256, ...] = ()


class DicomSection(Section):
    """Where the SCP listens and how much it takes on."""

    host: str = "127.0.0.1"
    port: Port = 11112
    max_associations: Count = 64
    max_associations_per_peer: Count = 32
    accept: Literal["auto", "known", "anyone"] = "auto"
    max_instance_mb: Count = 8192
    drain_seconds: Seconds = 30.0

    @property
    def largest_instance_bytes(self) -> int:
        """Return the longest data set that is taken, in bytes."""
        return self.max_instance_mb * 1024 * 1024


class TlsSection(Section):
    """Where the SCP speaks TLS and with which certificates, as PEM files; without a certificate it does not."""

    host: str = "127.0.0.1"
    port: Port = 2762
    certificate: str = ""
    key: str = ""
    authority: str = ""
    require_client_certificate: bool = False

    @model_validator(mode="after")
    def _check_files(self) -> TlsSection:
        """Refuse half of what TLS needs."""
        if bool(self.certificate) != bool(self.key):
            raise ValueError("expected both `certificate` and `key`, or neither")
        if self.require_client_certificate and not self.authority:
            raise ValueError("`require_client_certificate` needs `authority`, the file of those it may come from")
        return self

    @property
    def is_on(self) -> bool:
        """Return whether there is a port for TLS."""
        return bool(self.certificate)

    def in_folder(self, folder: Path) -> TlsSection:
        """Return the same with file names that are relative to `folder` made whole."""
        files = {"certificate": self.certificate, "key": self.key, "authority": self.authority}
        return self.model_copy(update={name: str(folder / file) for name, file in files.items() if file})


class ArchiveSection(Section):
    """How safe an answered instance is, how much disk stays free, how long what was delivered is kept."""

    durability: Literal["machine", "process"] = "machine"  # whose death what was answered survives
    journal_mb: Annotated[int, Field(ge=0)] = 256
    reserve_mb: Annotated[int, Field(ge=0)] = 512
    keep_days: Annotated[float, Field(ge=0)] = 0.0

    @property
    def is_flushed(self) -> bool:
        """Tell whether what was answered is on the device, so that it survives the loss of power."""
        return self.durability == "machine"

    @property
    def reserve_bytes(self) -> int:
        """Return the same in bytes."""
        return self.reserve_mb * 1024 * 1024


class GatheringSection(Section):
    """When a study counts as complete."""

    quiet_seconds: Annotated[float, Field(ge=0)] = 5.0
    gap_seconds: Annotated[float, Field(ge=0)] = 60.0


class WorkersSection(Section):
    """How many workers run, what they may take, and how long."""

    count: Annotated[int, Field(ge=0)] = 0
    spare: bool = True
    engine: Literal["auto", "keras"] = "auto"
    precision: Literal["exact", "reduced"] = "exact"
    artefacts: str = ""
    threads: Annotated[int, Field(ge=0)] = 0
    memory_mb: Annotated[int, Field(ge=0)] = 0
    confined: bool = True
    lease_seconds: Seconds = 30.0
    deadline_seconds: Seconds = 300.0
    attempts: Count = 3
    doubt_identity: bool = False

    def in_folder(self, folder: Path) -> WorkersSection:
        """Return the same with a folder that is relative to `folder` made whole."""
        return self.model_copy(update={"artefacts": str(folder / self.artefacts)}) if self.artefacts else self


class DeliverySection(Section):
    """How patiently results are sent."""

    timeout_seconds: Seconds = 30.0
    first_retry_seconds: Seconds = 5.0
    longest_retry_seconds: Seconds = 900.0
    attempts: Count = 100
    commitment_again_seconds: Seconds = 900.0
    commitment_attempts: Count = 3
    commitment_days: Annotated[float, Field(gt=0)] = 7.0


class AuditSection(Section):
    """Where audit messages go."""

    file: bool = True
    syslog: Annotated[str, Field(pattern=r"^$|^[^:]+:[0-9]{1,5}$")] = ""
    syslog_ca: str = ""
    syslog_certificate: str = ""
    syslog_key: str = ""

    def in_folder(self, folder: Path) -> AuditSection:
        """Return the same with file names that are relative to `folder` made whole."""
        files = ("syslog_ca", "syslog_certificate", "syslog_key")
        return self.model_copy(update={name: str(folder / file) for name in files if (file := getattr(self, name))})


class Priority(StrEnum):
    """How soon a rule's jobs are run, the soonest first."""

    STAT = "stat"
    URGENT = "urgent"
    ROUTINE = "routine"

    @property
    def rank(self) -> int:
        """Return the same as the number of a job's row: the lower, the sooner."""
        return list(Priority).index(self)


class Rule(Selector):
    """One rule of routes.toml: which model runs on what, how soon, and where its results go."""

    name: Annotated[str, Field(min_length=1)]
    model: Annotated[str, Field(min_length=1)]
    destination: Annotated[tuple[str, ...], Field(min_length=1)]
    priority: Priority = Priority.ROUTINE
    enabled: bool = True


class _NodeFile(Section):
    """The tables of node.toml."""

    node: NodeSection = NodeSection()
    dicom: DicomSection = DicomSection()
    tls: TlsSection = TlsSection()
    archive: ArchiveSection = ArchiveSection()
    gathering: GatheringSection = GatheringSection()
    workers: WorkersSection = WorkersSection()
    delivery: DeliverySection = DeliverySection()
    audit: AuditSection = AuditSection()


class Settings(_NodeFile):
    """Everything a site may decide, in one frozen value."""

    peers: Mapping[str, Peer] = {}
    rules: tuple[Rule, ...] = ()

    @property
    def database_file(self) -> Path:
        """Return where the SQLite database lies."""
        return self.node.data / "radnode.db"

    @property
    def artefacts_folder(self) -> Path:
        """Return where converted networks lie."""
        return Path(self.workers.artefacts) if self.workers.artefacts else self.node.data / "networks"

    @property
    def accepts_anyone(self) -> bool:
        """Return whether peers that peers.toml does not name may send; by default on loopback only."""
        return self.dicom.accept == "anyone" or (self.dicom.accept == "auto" and all(map(_is_loopback, self.hosts)))

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the addresses we listen on, plain and over TLS."""
        return (self.dicom.host, self.tls.host) if self.tls.is_on else (self.dicom.host,)

    def peer_with_title(self, ae_title: str) -> Peer | None:
        """Return the known peer that calls itself `ae_title`."""
        return next((peer for peer in self.peers.values() if peer.ae_title == ae_title), None)

    def peer_name(self, destination: str) -> str:
        """Return the name in peers.toml of a delivery's destination; one that names no peer stays as it is.

        A result that returns to its sender goes to "sender:" and the sender's AE title.
        """
        title = destination.removeprefix(f"{SENDER}:")
        if title == destination:
            return destination
        return next((name for name, peer in self.peers.items() if peer.ae_title == title), destination)

    def wants_commitment(self, destination: str) -> bool:
        """Return whether the peer that a destination means is asked to commit to what it was sent."""
        peer = self.peers.get(self.peer_name(destination))
        return peer is not None and peer.commitment

    def quiet_seconds_of(self, ae_title: str) -> float:
        """Return how long after the last instance of this sender a study is complete."""
        peer = self.peer_with_title(ae_title)
        if peer is None or peer.quiet_seconds is None:
            return self.gathering.quiet_seconds
        return peer.quiet_seconds

    @property
    def enabled_rules(self) -> tuple[Rule, ...]:
        """Return the rules that are not switched off."""
        return tuple(rule for rule in self.rules if rule.enabled)


class _PeersFile(Section):
    peer: Mapping[str, Peer] = {}


class _RoutesFile(Section):
    rule: tuple[Rule, ...] = ()


_File = TypeVar("_File", bound=Section)


def load_settings(node_file: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read node.toml and, beside it, peers.toml and routes.toml; the environment goes first.

    Paths are relative to the folder of `node_file`. Raises SettingsError with one line for every
    fault in the three files and the environment: where, which key, what was found and expected.
    """
    folder = node_file.resolve().parent
    problems = list(_unknown_variables(environment))
    node = _read(_NodeFile, node_file, problems, environment)
    peers = _read(_PeersFile, folder / "peers.toml", problems)
    routes = _read(_RoutesFile, folder / "routes.toml", problems)
    problems += _faults_of_rules(routes, peers)
    if problems or not (node.content and peers.content and routes.content):
        raise SettingsError("\n".join(problems))
    section = node.content.node
    section = section.model_copy(
        update={"data": folder / section.data, "models": tuple(folder / m for m in section.models)}
    )
    parts = {name: getattr(node.content, name) for name in _NodeFile.model_fields if name != "node"}
    tls = parts["tls"] = node.content.tls.in_folder(folder)
    parts["audit"] = node.content.audit.in_folder(folder)
    parts["workers"] = node.content.workers.in_folder(folder)
    known = {name: peer.in_folder(folder, tls.certificate, tls.key) for name, peer in peers.content.peer.items()}
    return Settings(node=section, peers=known, rules=routes.content.rule, **parts)


def variable_name(section: str, key: str) -> str:
    """Return the environment variable that overrides a key of node.toml."""
    return f"RADNODE_{key}".upper() if section == "node" else f"RADNODE_{section}_{key}".upper()


@dataclass(frozen=True)
class _Read(Generic[_File]):
    """One of the three files, and its checked content unless that has faults."""

    file: ConfigurationFile
    content: _File | None


def _read(
    kind: type[_File], path: Path, problems: list[str], environment: Mapping[str, str] | None = None
) -> _Read[_File]:
    """Read and check one file; what is wrong with it is added to `problems`."""
    try:
        file = read_configuration(path, "`radnode init DIR` writes one to start from")
    except SettingsError as error:
        problems.append(str(error))
        return _Read(ConfigurationFile(path, "", {}, {}), None)
    file = _override(file, environment or {})
    content, faults = check_tables(kind, file)
    problems += faults
    return _Read(file, content)


def _override(file: ConfigurationFile, environment: Mapping[str, str]) -> ConfigurationFile:
    """Put the environment's values in place of the file's."""
    tables = {name: dict(table) if isinstance(table, dict) else table for name, table in file.tables.items()}
    overrides: dict[tuple[str | int, ...], str] = {}
    for variable, (section, key) in _known_variables().items():
        value = environment.get(variable)
        if value is not None and isinstance(tables.setdefault(section, {}), dict):
            tables[section][key] = value.split(os.pathsep) if key in _LISTS else value
            overrides[(section, key)] = f"environment variable {variable}"
    return ConfigurationFile(file.path, file.text, tables, overrides)


def _known_variables() -> dict[str, tuple[str, str]]:
    """Map every variable to the section and key of node.toml that it overrides."""
    return {
        variable_name(section, key): (section, key)
        for section, field in _NodeFile.model_fields.items()
        for key in getattr(field.annotation, "model_fields", ())
    }


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """Name what begins with RADNODE_ and overrides nothing: most likely a setting that is mistyped."""
    known = _known_variables()
    for variable in sorted(environment):
        if variable.startswith("RADNODE_") and variable not in {*known, *_NO_SETTINGS}:
            hint = closest(variable, list(known), "RADNODE_")
            yield f"environment variable {variable}: no setting has this name; {hint}"


def _faults_of_rules(routes: _Read[_RoutesFile], peers: _Read[_PeersFile]) -> Iterator[str]:
    """Name each destination that is no peer and each rule whose name is taken."""
    if routes.content is None or peers.content is None:
        return
    names: set[str] = set()
    known = {SENDER, *peers.content.peer}
    for number, rule in enumerate(routes.content.rule):
        at = routes.file.at(("rule", number, "destination"))
        for destination in rule.destination:
            if destination not in known:
                yield (
                    f"{at}: rule {rule.name!r}: destination: found {destination!r}; expected one of "
                    f"{', '.join(sorted(known))}; add [peer.{destination}] to peers.toml"
                )
        if rule.name in names:
            at = routes.file.at(("rule", number, "name"))
            yield f"{at}: rule {rule.name!r}: found twice; every rule needs a name of its own; rename one"
        names.add(rule.name)
