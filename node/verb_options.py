"""The options that verbs of `radnode` in several files share."""

from __future__ import annotations

from pathlib import Path

import click

config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("node.toml"),
    show_default=True,
    help="The node.toml that `radnode init` wrote.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
