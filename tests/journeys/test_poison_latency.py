"""One study in a hundred that kills its worker each time is given up, and hardly delays the others."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import pytest
from pydicom.dataset import Dataset
from served import SPARE, ServedNode
from site_model import NAME, write_site_model
from sqlalchemy import func, select
from volumes import mr_study
from waiting import until

from node.database import Database, Event, Study
from node.demo.pacs import SmallPacs

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(4 * 3600),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras 3 with NumPy 2
]

STUDIES = int(os.environ.get("POISON_STUDIES", "100"))
ROUNDS = int(os.environ.get("POISON_ROUNDS", "3"))
SECONDS_BETWEEN = float(os.environ.get("POISON_SECONDS_BETWEEN", "3"))
PATIENCE_SECONDS = 300.0

RULES = f'[[rule]]\nname = "bright"\nmodel = "{NAME}"\ndestination = ["PACS"]\nmodality = ["MR"]\n'
DEADLY = """

_prepare = prepare


def prepare(volume):
    if volume.voxels.shape[0] == 3:
        import os
        os.abort()
    return _prepare(volume)
"""


@dataclass(frozen=True)
class Life:
    """What became of the studies of one run: how long (seconds) each took, and in what state each ended."""

    seconds: list[float]
    states: dict[str, int]


def studies(poison_at: int | None) -> Iterator[list[Dataset]]:
    for number in range(STUDIES):
        facts = {"PatientID": f"P{number}", "StudyInstanceUID": f"2.25.99{number:05}"}
        yield mr_study(slices=3 if number == poison_at else 4, **facts)


def live(folder: Path, poison_at: int | None) -> Life:
    """Send a study every few seconds to a node that has one worker, and wait until all have ended."""
    home = folder / "node"
    home.mkdir(parents=True)
    model = write_site_model(folder / "models")
    with (model / "preprocess.py").open("a") as code:
        code.write(DEADLY)
    with SmallPacs(folder / "pacs", "PACS") as pacs:
        node = ServedNode(home, pacs, f'[node]\nmodels = ["{model.parent}"]\n', environment={SPARE: "true"})
        (home / "routes.toml").write_text(RULES)
        node.start()
        database = Database(home / "radnode-data" / "radnode.db")
        try:
            until(lambda: len(node.workers()) > 1, home / "node.log")  # the worker is ready, and another stands by
            send_all(node, database, [write_all(study, folder / "sent") for study in studies(poison_at)])
        finally:
            node.stop()
    return Life(latencies(database), states(database))


def write_all(study: Sequence[Dataset], folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{dataset.SOPInstanceUID}.dcm" for dataset in study]
    for dataset, path in zip(study, paths, strict=True):
        dataset.save_as(path, enforce_file_format=True)
    return paths


def send_all(node: ServedNode, database: Database, sent: Sequence[Sequence[Path]]) -> None:
    """Send at fixed times, whatever the node does meanwhile."""
    begun = time.monotonic()
    for number, paths in enumerate(sent):
        time.sleep(max(0.0, begun + number * SECONDS_BETWEEN - time.monotonic()))
        node.send(*paths)
    until(
        lambda: sum(states(database).get(state, 0) for state in ("done", "attention")) == len(sent),
        node.folder / "node.log",
        PATIENCE_SECONDS,
    )


def states(database: Database) -> dict[str, int]:
    with database.reading() as session:
        rows = session.execute(select(Study.state, func.count()).group_by(Study.state))
        return {str(state): count for state, count in rows}


def latencies(database: Database) -> list[float]:
    """Return how long each study that is done took, from its first instance to its last result sent."""
    with database.reading() as session:
        rows = session.execute(
            select(Study.received_at, func.max(Event.at))
            .join(Event, Event.study_id == Study.id)
            .where(Study.state == "done", Event.name == "delivery sent")
            .group_by(Study.id)
        )
        return [(sent - received).total_seconds() for received, sent in rows]


def figures(lives: Sequence[Life]) -> tuple[float, float]:
    """Return the median and the 95th percentile of the seconds that a study took."""
    seconds = [second for life in lives for second in life.seconds]
    return median(seconds), quantiles(seconds, n=20)[-1]


def test_a_study_that_kills_its_worker_hardly_delays_the_other_ninety_nine(
    tmp_path: Path, note_figures: Callable[..., None]
) -> None:
    """The delays are noted and not judged, for they are the machine's as well; see docs/reliability.md."""
    healthy, poisoned = [], []
    for number in range(ROUNDS):
        healthy.append(live(tmp_path / f"healthy-{number}", None))
        poisoned.append(live(tmp_path / f"poisoned-{number}", STUDIES // 10))
        (without, with_poison) = figures(healthy), figures(poisoned)
        note_figures(
            rounds=number + 1,
            median_s=[round(one[0], 2) for one in (without, with_poison)],
            p95_s=[round(one[1], 2) for one in (without, with_poison)],
            median_ratio=round(with_poison[0] / without[0], 2),
            p95_ratio=round(with_poison[1] / without[1], 2),
        )
    assert [life.states for life in healthy] == [{"done": STUDIES}] * ROUNDS
    assert [life.states for life in poisoned] == [{"attention": 1, "done": STUDIES - 1}] * ROUNDS
