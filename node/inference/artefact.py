"""Converted networks on disk: where each lies, what it was made of, and whether it is still what was checked."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from node.archive.disk import make_folder, sync_content, sync_folder
from node.catalog import Model, digest_of
from node.errors import ArtefactUnusable, ConversionFailed

GRAPH, WEIGHTS, RECORD = "network.xml", "network.bin", "record.json"
_LOCK = ".lock"
_UNDER_WAY = ".new-"
_BLOCKS = Path(__file__).resolve().parent.parent / "networks"
_REBUILD = "`radnode models build` makes it anew"


@dataclass(frozen=True)
class Origin:
    """What a converted network is made of; of anything else it would be another."""

    model: str
    model_sha256: str
    blocks_sha256: str
    openvino: str

    @classmethod
    def of(cls, model: Model) -> Origin:
        """Return what the model as it is by now would be made of."""
        return cls(model.card.name, model.identity.sha256, _blocks_sha256(), version("openvino"))

    @property
    def folder_name(self) -> str:
        """Return a name that no other origin has."""
        digest = hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()
        return f"{self.model}-{digest[:16]}"


@dataclass(frozen=True)
class Record:
    """How a conversion ended; lies beside the network as JSON.

    `difference` is the largest from Keras, relative where a value of Keras' is above one. A `fault` says why
    the network must not serve; it has no files then. `reduced_changed` is the share of decisions that 16-bit arithmetic
    changes, None where it was not tried or must not serve, for which `reduced_fault` is the reason.
    """

    origin: Origin
    keras: str
    tolerance: float
    difference: float | None = None
    graph_sha256: str = ""
    weights_sha256: str = ""
    fault: str = ""
    reduced_changed: float | None = None
    reduced_fault: str = ""

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Return the record of a file's text; raises ValueError, TypeError or KeyError for any other text."""
        values = json.loads(text)
        return cls(**values | {"origin": Origin(**values["origin"])})

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps(asdict(self), indent=2) + "\n"


def in_words(record: Record) -> str:
    """Return what came of 16-bit arithmetic, "" where it was not tried."""
    if record.reduced_changed is None:
        return record.reduced_fault
    return f"16 bits change {record.reduced_changed:.2%} of the decisions"


@dataclass(frozen=True)
class Artefact:
    """A converted network that may serve: the very bytes that were checked."""

    record: Record
    graph: bytes
    weights: bytes


def read_record(root: Path, model: Model) -> Record:
    """Return how the model's conversion ended; raises ArtefactUnusable where there was none."""
    origin = Origin.of(model)
    path = root / origin.folder_name / RECORD
    try:
        record = Record.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtefactUnusable(
            f"{model.card.name}: not converted yet; a node does so when it starts, `radnode models build` at once"
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtefactUnusable(f"{path}: cannot be read: {error!r}; {_REBUILD}") from error
    if record.origin != origin:
        raise ArtefactUnusable(f"{path}: found a record of {record.origin}, expected {origin}; {_REBUILD}")
    return record


def read_artefact(root: Path, model: Model) -> Artefact:
    """Return the model's converted network.

    Raises ConversionFailed where it was found not to do, ArtefactUnusable where it is missing or not what it was.
    """
    record = read_record(root, model)
    if record.fault:
        raise ConversionFailed(f"{model.card.name}: {record.fault}")
    folder = root / record.origin.folder_name
    graph = _read_checked(folder / GRAPH, record.graph_sha256)
    return Artefact(record, graph, _read_checked(folder / WEIGHTS, record.weights_sha256))


def _read_checked(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtefactUnusable(f"{path}: cannot be read: {error.strerror}; {_REBUILD}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ArtefactUnusable(
            f"{path}: found SHA-256 {found[:12]}…, expected {sha256[:12]}… as {RECORD} says; {_REBUILD}"
        )
    return content


def is_to_build(root: Path, model: Model) -> bool:
    """Tell whether a conversion could make a difference: there was none, or what came of it is spoiled."""
    try:
        read_artefact(root, model)
    except ConversionFailed:
        return False
    except ArtefactUnusable:
        return True
    return False


@contextmanager
def changing(root: Path) -> Iterator[None]:
    """Wait until nobody else changes the artefacts, which processes of several nodes may share."""
    make_folder(root)
    with (root / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in root.glob(f"{_UNDER_WAY}*"):
            shutil.rmtree(leftover)
        yield


def new_folder(root: Path) -> Path:
    """Return an empty folder that nobody else may enter, to put an artefact together in."""
    return Path(tempfile.mkdtemp(prefix=_UNDER_WAY, dir=root))


def put_in_place(root: Path, folder: Path, record: Record) -> None:
    """Let a folder that holds the files of a conversion, if it passed, take the place of an earlier one, durably."""
    (folder / RECORD).write_text(record.to_json(), encoding="utf-8")
    for path in folder.iterdir():
        sync_content(path)
    sync_folder(folder)
    place = root / record.origin.folder_name
    shutil.rmtree(place, ignore_errors=True)
    folder.rename(place)
    sync_folder(root)


def remove_others(root: Path, models: Iterable[Model]) -> list[str]:
    """Remove artefacts of models, or of versions of them, that are not among these; return their names."""
    kept = {Origin.of(model).folder_name for model in models}
    others = sorted(path for path in root.iterdir() if path.is_dir() and path.name not in kept)
    for path in others:
        shutil.rmtree(path)
    return [path.name for path in others]


@cache
def _blocks_sha256() -> str:
    """Return the SHA-256 over what networks are drawn from and no model folder holds."""
    return digest_of(_BLOCKS.glob("*.py")).hexdigest()
