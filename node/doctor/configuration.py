"""Checks the three configuration files, the environment, and that every result can find its way."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from node.database.inspection import senders
from node.doctor.check import Check, Outcome, fault, fine, warning
from node.errors import SettingsError
from node.settings import SENDER, Settings, load_settings

_BESIDE = ("peers.toml", "routes.toml")
_ENVIRONMENT = "environment variable "


def configuration_checks(config: Path, environment: Mapping[str, str]) -> list[Check]:
    """Return a check for each file at and beside `config` and one for the environment."""
    paths = [config.resolve(), *(config.resolve().parent / name for name in _BESIDE)]
    checks = [Check(path.name, partial(check_file, path, config, environment)) for path in paths]
    return [*checks, Check("environment", partial(check_environment, config, environment))]


def route_checks(settings: Settings) -> list[Check]:
    """Return what is to be asked of peers and rules once they can be read."""
    return [
        Check("rules", partial(check_rules, settings)),
        Check("destinations", partial(check_destinations, settings)),
    ]


def check_file(path: Path, config: Path, environment: Mapping[str, str]) -> Outcome:
    """Find every fault in one of the files."""
    faults = [line for line in _faults(config, environment) if line.startswith(str(path))]
    if faults:
        return fault("\n".join(faults), f"mend {path.name}; `radnode init DIR` writes one with every key explained")
    return fine(str(path))


def check_environment(config: Path, environment: Mapping[str, str]) -> Outcome:
    """Find variables that are mistyped or hold what their setting cannot be."""
    faults = [line for line in _faults(config, environment) if line.startswith(_ENVIRONMENT)]
    if faults:
        return fault("\n".join(faults), "unset these variables or correct them")
    ours = sorted(name for name in environment if name.startswith("RADNODE_"))
    return fine(", ".join(ours) if ours else "overrides nothing")


def check_rules(settings: Settings) -> Outcome:
    """Find a node that would analyse nothing."""
    if not settings.enabled_rules:
        return warning("routes.toml has no rule that is enabled", "add a [[rule]]: without one nothing is analysed")
    return fine(", ".join(f"{rule.name!r} runs {rule.model}" for rule in settings.enabled_rules))


def check_destinations(settings: Settings) -> Outcome:
    """Find results that nobody would get; that a rule names known peers is checked on reading."""
    wanted = sorted({name for rule in settings.enabled_rules for name in rule.destination})
    if SENDER in wanted and not settings.peers:
        return fault(
            'results go to "sender", but peers.toml names no peer',
            "add a [peer.NAME] table with AE title, host and port of every system that sends studies",
        )
    strangers = _strangers(settings) if SENDER in wanted else []
    if strangers:
        return warning(
            f'results go to "sender", but peers.toml lacks these, which have sent studies: {", ".join(strangers)}',
            "add a [peer.NAME] table for each, or name another destination in routes.toml",
        )
    return fine(f"all known: {', '.join(wanted)}" if wanted else "none named")


def _strangers(settings: Settings) -> list[str]:
    if not settings.database_file.is_file():
        return []
    return sorted(title for title in senders(settings.database_file) if settings.peer_with_title(title) is None)


def _faults(config: Path, environment: Mapping[str, str]) -> list[str]:
    """Return one line for each fault of the whole configuration, each beginning with the place."""
    try:
        load_settings(config.resolve(), environment)
    except SettingsError as error:
        return str(error).splitlines()
    return []
