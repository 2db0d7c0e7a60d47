"""Finds model folders and checks what they say of themselves, without importing their code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.configuration import check_tables, read_configuration
from node.errors import ModelCardError, SettingsError, WeightsMismatch
from node.selector import InputSelector
from node.vocabulary import ModelIdentity

_CODE_FILES = ("model.toml", "*.py", "*.h5", "*.keras")
_PACKAGE = Path(__file__).resolve().parent


def _check_code(keyword: str) -> str:
    """Refuse a code that pydicom's SNOMED CT dictionary does not know by this keyword."""
    try:
        getattr(codes.SCT, keyword)
    except AttributeError:
        raise ValueError("expected a keyword of pydicom.sr.codedict.codes.SCT, such as Lung") from None
    return keyword


def _check_inputs(inputs: Mapping[str, InputSelector]) -> Mapping[str, InputSelector]:
    """Refuse inputs that could not make a job, or jobs of two sizes."""
    if not any(wanted.required for wanted in inputs.values()):
        raise ValueError("expected a table [input.<name>] that is required")
    if len({wanted.level for wanted in inputs.values()}) > 1:
        raise ValueError("expected the same level in every [input.<name>]")
    return inputs


SctKeyword = Annotated[str, AfterValidator(_check_code)]
Channel = Annotated[int, Field(ge=0, le=255)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WeightsPart(_Part):
    """The weights file and the SHA-256 it must have."""

    file: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class LimitsPart(_Part):
    """What a job of this model may take, where that differs from node.toml."""

    deadline_seconds: Annotated[float, Field(gt=0)] | None = None


class OutputPart(_Part):
    """One structure a model can outline, with its codes."""

    label: str
    category: SctKeyword
    type: SctKeyword
    modifier: SctKeyword | None = None
    colour: tuple[Channel, Channel, Channel]
    measure: tuple[Literal["area", "volume", "mean_hu", "laa_950"], ...] = ()


class ModelCard(_Part):
    """All that the node must know of a model before it loads Keras: the content of model.toml."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+){2,}$")]
    title: str
    version: str
    task: Literal["segmentation"]
    status: Literal["released", "experimental"]
    weights: WeightsPart
    input: Annotated[Mapping[str, InputSelector], AfterValidator(_check_inputs)]
    output: Mapping[str, OutputPart]
    limits: LimitsPart = LimitsPart()
    scores: Mapping[str, Any]


def sct(keyword: str) -> Code:
    """Return the SNOMED CT code with this keyword of pydicom's dictionary."""
    code: Code = getattr(codes.SCT, keyword)
    return code


@dataclass(frozen=True)
class Model:
    """A model folder and its card."""

    folder: Path
    card: ModelCard

    @cached_property
    def identity(self) -> ModelIdentity:
        """Return name, version and the SHA-256 over weights, code and model.toml."""
        digest = hashlib.sha256()
        for path in sorted({path for pattern in _CODE_FILES for path in self.folder.glob(pattern)}):
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        return ModelIdentity(self.card.name, self.card.title, self.card.version, digest.hexdigest())

    @property
    def weights(self) -> Path:
        """Return the path of the weights file."""
        return self.folder / self.card.weights.file

    @property
    def level(self) -> Literal["instance", "series"]:
        """Return what makes one job: an instance or a series of each input."""
        return next(iter(self.card.input.values())).level

    def check_weights(self) -> None:
        """Raise WeightsMismatch unless the weights file is the one model.toml names."""
        if not self.weights.is_file():
            raise WeightsMismatch(f"{self.card.name}: no weights file {self.weights}; restore it or train the model")
        found = hashlib.sha256(self.weights.read_bytes()).hexdigest()
        if found != self.card.weights.sha256:
            raise WeightsMismatch(
                f"{self.card.name}: {self.weights.name} has SHA-256 {found[:12]}…, model.toml says "
                f"{self.card.weights.sha256[:12]}…; restore the weights of version {self.card.version}"
            )


class Catalog:
    """The models a node can run, by name."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Read every model.toml one level below `folders`; raises ModelCardError."""
        self.models: dict[str, Model] = {}
        for folder in folders:
            if not folder.is_dir():
                raise ModelCardError(f"{folder}: no such folder; expected one that holds model folders")
            for card_file in sorted(folder.glob("*/model.toml")):
                self._add(card_file)

    def __getitem__(self, name: str) -> Model:
        """Return the model called `name`; raises ModelCardError that lists those there are."""
        if name not in self.models:
            known = ", ".join(sorted(self.models)) or "none"
            raise ModelCardError(f"model {name!r} is not installed; installed: {known}")
        return self.models[name]

    def _add(self, card_file: Path) -> None:
        card = read_card(card_file)
        if card.name in self.models:
            other = self.models[card.name].folder
            raise ModelCardError(f"{card_file}: a model called {card.name} is also in {other}; remove one")
        self.models[card.name] = Model(card_file.parent, card)


def bundled_models() -> Path:
    """Return the folder of models that come with radnode, in a wheel or in a checkout."""
    return _bundled("models")


def bundled_config() -> Path:
    """Return the folder of commented default configuration files."""
    return _bundled("config")


def read_card(card_file: Path) -> ModelCard:
    """Read and check one model.toml; raises ModelCardError that names the key, what was found and expected."""
    try:
        file = read_configuration(card_file, "every model folder has one")
    except SettingsError as error:
        raise ModelCardError(str(error)) from error
    card, faults = check_tables(ModelCard, file)
    if card is None:
        raise ModelCardError("\n".join(faults))
    if card.name != card_file.parent.name:
        raise ModelCardError(
            f"{file.at(('name',))}: name: found {card.name!r}; expected the folder's, {card_file.parent.name!r}; "
            "rename one of them"
        )
    return card


def _bundled(name: str) -> Path:
    in_wheel = _PACKAGE / name
    return in_wheel if in_wheel.is_dir() else _PACKAGE.parent / name
