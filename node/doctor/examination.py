"""One visit of the doctor: which checks there are and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from node.clock import Clock
from node.doctor.check import Check
from node.doctor.clocks import clock_checks
from node.doctor.configuration import configuration_checks, route_checks
from node.doctor.database import database_checks
from node.doctor.encryption import encryption_checks
from node.doctor.entry import PacsEntry, pacs_entries
from node.doctor.folder import folder_checks
from node.doctor.models import model_checks
from node.doctor.peers import PeerVisit
from node.doctor.port import port_checks
from node.doctor.tls import tls_checks
from node.doctor.workers import worker_checks
from node.errors import SettingsError
from node.settings import Settings, load_settings


@dataclass(frozen=True)
class Visit:
    """What the doctor looks at; with `is_to_store`, peers that allow it get a made-up report."""

    config: Path
    environment: Mapping[str, str]
    clock: Clock
    is_to_store: bool = False


class Examination:
    """The checks of one visit, and what to enter in each PACS; nothing is asked before a check is carried out."""

    def __init__(self, visit: Visit) -> None:
        """Read the settings; where they cannot be read, only what needs none is checked."""
        self._visit = visit
        self._settings = _settings_or_none(visit)

    def checks(self) -> list[Check]:
        """Return all checks, those first that others depend on."""
        visit, settings = self._visit, self._settings
        checks = configuration_checks(visit.config, visit.environment) + clock_checks(visit.clock)
        if settings is None:
            return checks
        checks += route_checks(settings) + folder_checks(settings) + encryption_checks(settings.node.data)
        checks += database_checks(settings)
        checks += worker_checks(settings.workers) + model_checks(settings) + port_checks(settings)
        checks += tls_checks(settings, visit.clock)
        for name in settings.peers:
            checks += PeerVisit(settings, name).checks(visit.is_to_store)
        return checks

    def entries(self) -> list[PacsEntry]:
        """Return what to enter in each PACS."""
        return [] if self._settings is None else pacs_entries(self._settings)


def _settings_or_none(visit: Visit) -> Settings | None:
    try:
        return load_settings(visit.config, visit.environment)
    except SettingsError:
        return None
