"""Builds artefacts one after another: for `radnode models build`, and as a process before a node's first workers.

That process is started confined, by `node.inference.confinement`, and ends when its standard input does, which
the node holds: it does not outlive it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from node.catalog import Model, site_catalog
from node.errors import RadnodeError
from node.inference.artefact import changing, in_words, is_to_build
from node.inference.conversion import build_artefact
from node.inference.serving import missing, models_of_rules, serving_of
from node.logs import configure_logs, log_failure
from node.settings import load_settings

logger = logging.getLogger("radnode.building")

_STANDARD_INPUT = 0


@dataclass(frozen=True)
class Outcome:
    """What came of one model: the differences that were measured, or the fault for which Keras goes on serving it.

    `reduced` says what 16-bit arithmetic makes of it, "" where it was not tried.
    """

    model: str
    difference: float | None
    tolerance: float
    fault: str
    reduced: str = ""


def build_all(root: Path, models: Iterable[Model]) -> Iterator[Outcome]:
    """Build each model's artefact, whatever there is of it; one that has a fault keeps no other from its turn."""
    for model in models:
        with changing(root):
            yield _build(root, model)


def build_missing(root: Path, models: Iterable[Model]) -> Iterator[Outcome]:
    """Build the artefacts that are missing or spoiled, also by the time it is their turn."""
    for model in models:
        with changing(root):
            if is_to_build(root, model):
                yield _build(root, model)


def _build(root: Path, model: Model) -> Outcome:
    name = model.card.name
    try:
        record = build_artefact(root, model)
    except RadnodeError as error:
        return Outcome(name, None, 0.0, str(error))
    measured = None if record.difference is None else float(f"{record.difference:.2g}")
    return Outcome(name, measured, record.tolerance, record.fault, in_words(record))


def main(config: str) -> None:
    """Build what the node of these settings misses, and log what came of each model."""
    threading.Thread(target=_end_with_node, daemon=True).start()
    settings = load_settings(Path(config))
    configure_logs()
    serving = serving_of(settings)
    try:
        for outcome in build_missing(serving.root, missing(models_of_rules(settings, site_catalog(settings)), serving)):
            _log(outcome)
    except Exception as error:
        log_failure(logger, "building ended", error)
        raise SystemExit(1) from error


def _log(outcome: Outcome) -> None:
    if outcome.fault:
        fields = {"model": outcome.model, "reason": outcome.fault}
        logger.warning("network not converted", extra={"fields": fields})
    else:
        measured = {"model": outcome.model, "difference": outcome.difference}
        reduced = {"reduced": outcome.reduced} if outcome.reduced else {}
        logger.info("network converted", extra={"fields": measured | reduced})


def _end_with_node() -> None:
    os.read(_STANDARD_INPUT, 1)  # nothing ever comes but the end
    os._exit(1)
