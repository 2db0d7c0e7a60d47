"""Keeps beside the weights of a training what they are: which model and variant, from which data and seed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from node.training.options import SERVED, TrainingOptions

RECORD = "run.json"


@dataclass(frozen=True)
class RunRecord:
    """What a training was started with; `data` is the name of the data folder."""

    model: str
    data: str
    options: TrainingOptions


def write_record(record: RunRecord, folder: Path) -> None:
    """Write the record into the output folder of a training."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")


def variant_of(weights: Path) -> str:
    """Return which variant of its model a weights file belongs to, by the record that lies beside it.

    Weights in a model folder have no record: they are those that the node serves.
    """
    record = weights.parent / RECORD
    if not record.is_file():
        return SERVED
    variant: str = json.loads(record.read_text(encoding="utf-8"))["options"]["variant"]
    return variant
