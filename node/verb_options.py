"""The options that verbs of `radnode` in several files share, and what they mean."""

from __future__ import annotations

from pathlib import Path

import click

from node.catalog import bundled_config
from node.settings import Settings, load_settings

config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("node.toml"),
    show_default=True,
    help="The node.toml that `radnode init` wrote.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def settings_or_defaults(config: Path) -> Settings:
    """Return the settings of a node, or the defaults and the environment's where there is none here."""
    return load_settings(config if config.exists() else bundled_config() / "node.toml")
