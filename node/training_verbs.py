"""The verbs of `radnode` that make and measure models: train, evaluate."""

from __future__ import annotations

from pathlib import Path

import click

from node.card import read_card
from node.catalog import Model, bundled_models
from node.clock import SystemClock
from node.errors import ModelCardError

COMMITTED_SEED = 20261120  # repeats the weights that come with radnode
SPLITS = ("val", "test", "train")

_folder = click.Path(exists=True, file_okay=False, path_type=Path)
_new_folder = click.Path(file_okay=False, path_type=Path)
_data = click.option("--data", type=_folder, required=True, help="The folder of data; see the model's card.")
_folders = click.option(
    "--folder", "folders", type=_folder, multiple=True, help="A further folder that holds model folders."
)


@click.command()
@click.argument("name")
@_data
@click.option("--output", type=_new_folder, required=True, help="Where weights, logs and the evaluation go.")
@click.option("--variant", default="served", show_default=True, help="Which network of the model, such as tutorial.")
@click.option("--epochs", type=click.IntRange(1), help="How many epochs.  [default: the model's own]")
@click.option("--seed", type=int, default=COMMITTED_SEED, show_default=True, help="The seed of every random choice.")
@click.option("--resume/--restart", default=True, show_default=True, help="Go on from a checkpoint in --output.")
@click.option(
    "--processes", type=click.IntRange(0), default=0, show_default=True,
    help="Draw the batches in so many processes of their own, for a GPU that would wait for them.",
)
@_folders
def train(
    name: str,
    data: Path,
    output: Path,
    variant: str,
    epochs: int | None,
    seed: int,
    resume: bool,
    processes: int,
    folders: tuple[Path, ...],
) -> None:
    """Train the model called NAME from scratch, as its committed weights were made."""
    from node.training.command import train_model
    from node.training.options import TrainingOptions

    options = TrainingOptions(epochs, seed, resume, variant, processes)
    click.echo(f"wrote {train_model(_model_folder(name, folders), data, output, options)}")


@click.command()
@click.argument("name")
@_data
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="val",
    show_default=True,
    help="Which part of the data; test is for one look, when nothing is left to choose.",
)
@click.option("--output", type=_new_folder, help="A new folder for the report.  [default: NAME-SPLIT-TIME, here]")
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Weights that `radnode train` wrote.  [default: those the node serves]",
)
@_folders
def evaluate(
    name: str, data: Path, split: str, output: Path | None, weights: Path | None, folders: tuple[Path, ...]
) -> None:
    """Score the model called NAME and its baselines on data in the layout it was trained on."""
    from node.training.command import evaluate_elsewhere
    from node.training.samples import Split

    folder = _model_folder(name, folders)
    output = output or Path(f"{name}-{split}-{SystemClock().now():%Y%m%d-%H%M%S}")
    click.echo(f"wrote {evaluate_elsewhere(folder, data, weights or _served_weights(folder), Split(split), output)}")


def _model_folder(name: str, folders: tuple[Path, ...]) -> Path:
    """Return the folder of a model that can be trained, whose card may still wait for its scores.

    Raises ModelCardError that lists those there are.
    """
    roots = (*folders, bundled_models())
    recipes = {file.parent.name: file.parent for root in roots for file in sorted(root.glob("*/train.py"))}
    if name not in recipes:
        raise ModelCardError(f"no model {name!r} with a train.py; there are {', '.join(sorted(recipes))}")
    return recipes[name]


def _served_weights(folder: Path) -> Path:
    """Return the weights of a model folder; raises WeightsMismatch unless they are those of its card."""
    model = Model(folder, read_card(folder / "model.toml"))
    model.check_weights()
    return model.weights
