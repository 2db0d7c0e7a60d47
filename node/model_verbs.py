"""The verbs of `radnode models`: which models there are, whether they are in order, and what serves them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from node.catalog import Catalog, Model, bundled_models, site_catalog
from node.display import collect, print_rows
from node.errors import SettingsError
from node.inference.serving import Serving, how_served, models_of_rules, serving_of, with_gates
from node.settings import load_settings
from node.verb_options import config_option, json_option, settings_or_defaults

_folder = click.Path(exists=True, file_okay=False, path_type=Path)
_folders = click.option("--folder", "folders", type=_folder, multiple=True, help="A further folder of model folders.")


@click.group()
def models() -> None:
    """Show and check the models that are installed, and convert their networks."""


@models.command("list")
@_folders
@config_option
@json_option
def list_models(folders: tuple[Path, ...], config: Path, as_json: bool) -> None:
    """List every model with its version, status, what it takes, and what the node of --config serves it with."""
    settings = settings_or_defaults(config)
    catalog = Catalog([bundled_models(), *settings.node.models, *folders])
    serving = serving_of(settings)
    rows = [_row(catalog[name], serving) for name in sorted(catalog.models)]
    print_rows("Models", rows, ("name", "version", "status", "title", "modality", "body_part", "served_by"), as_json)


@models.command("check")
@click.argument("name", required=False)
@_folders
def check_models(name: str | None, folders: tuple[Path, ...]) -> None:
    """Check card, codes and weights of every model (or the one called NAME), and run its network once with Keras."""
    from node.inference.network import Network

    catalog = Catalog([bundled_models(), *folders])
    for model in [catalog[name]] if name else catalog.models.values():
        model.check_weights()
        Network(model).warm_up()
        click.echo(f"{model.card.name} {model.card.version}: card, codes, weights and network are in order")
        click.echo(f"  SHA-256 {model.identity.sha256}")


@models.command("build")
@click.argument("names", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Every installed model, not only those of enabled rules.")
@config_option
@json_option
def build_models(names: tuple[str, ...], is_all: bool, config: Path, as_json: bool) -> None:
    """Convert the networks of the models NAMES, or of all that rules name, to OpenVINO and compare them with Keras.

    A node does so itself when it starts and one is missing. What is converted serves from the next start of a worker;
    exit code 1 if one is too different, which Keras goes on serving. Conversions of other versions are removed.
    """
    from node.inference.artefact import changing, remove_others
    from node.inference.building import build_all

    settings = load_settings(config)
    serving, catalog = serving_of(settings), site_catalog(settings)
    if serving.why_keras:
        raise SettingsError(f"nothing is converted here: Keras serves every model: {serving.why_keras}")
    chosen = with_gates(catalog[name] for name in (sorted(catalog.models) if is_all else names))
    chosen = chosen or models_of_rules(settings, catalog)
    os.umask(0o077)
    outcomes = collect("Converting", build_all(serving.root, chosen), len(chosen))
    with changing(serving.root):
        remove_others(serving.root, catalog.models.values())
    print_rows("Networks", outcomes, ("model", "difference", "tolerance", "reduced", "fault"), as_json)
    if any(outcome.fault for outcome in outcomes):
        raise click.exceptions.Exit(1)


def _row(model: Model, serving: Serving) -> dict[str, Any]:
    return {
        "name": model.card.name,
        "version": model.card.version,
        "status": model.card.status,
        "task": model.card.task,
        "title": model.card.title,
        "modality": [value for wanted in model.card.input.values() for value in wanted.modality],
        "body_part": [value for wanted in model.card.input.values() for value in wanted.body_part],
        "sha256": model.identity.sha256,
        "served_by": how_served(model, serving),
    }
