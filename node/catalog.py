"""Finds model folders and checks what they say of themselves, without importing their code."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from node.card import ModelCard, read_card
from node.errors import ModelCardError, ModelChanged, ModelNotTrusted, WeightsMismatch
from node.settings import Settings
from node.vocabulary import ModelIdentity

_CODE_FILES = ("model.toml", "*.py", "*.h5", "*.keras", "*.nii.gz")
_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Model:
    """A model folder and its card."""

    folder: Path
    card: ModelCard
    gate: Model | None = None

    @cached_property
    def identity(self) -> ModelIdentity:
        """Return name, version and the SHA-256 over weights, code, model.toml and all of these of its gate."""
        digest = digest_of(path for pattern in _CODE_FILES for path in self.folder.glob(pattern))
        if self.gate is not None:
            digest.update(self.gate.identity.sha256.encode())
        return ModelIdentity(
            name=self.card.name,
            title=self.card.title,
            version=self.card.version,
            sha256=digest.hexdigest(),
            is_experimental=self.card.status == "experimental",
        )

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

    def require(self, sha256: str) -> None:
        """Raise ModelChanged unless this is the model with that SHA-256."""
        if self.identity.sha256 != sha256:
            raise ModelChanged(
                f"{self.card.name}: found SHA-256 {self.identity.sha256[:12]}… in {self.folder}, expected "
                f"{sha256[:12]}… as the job says; restart the node, then `radnode studies retry`"
            )

    def seen_again(self) -> Model:
        """Return the model as its files are by now; its gate is as it was."""
        return replace(self)


def digest_of(paths: Iterable[Path]) -> hashlib._Hash:
    """Return the SHA-256 over the names and contents of files, each counted once, whatever their order."""
    digest = hashlib.sha256()
    for path in sorted(set(paths)):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest


class Catalog:
    """The models a node can run, by name."""

    def __init__(self, folders: Sequence[Path], trusted: Collection[str] = ()) -> None:
        """Read every model.toml one level below `folders`; raises ModelCardError.

        Of what is there, only models with a SHA-256 in `trusted` are there to be run; all, if it names none.
        """
        self.models: dict[str, Model] = {}
        for folder in folders:
            if not folder.is_dir():
                raise ModelCardError(f"{folder}: no such folder; expected one that holds model folders")
            for card_file in sorted(folder.glob("*/model.toml")):
                self._add(card_file)
        found = {name: self._with_gate(model) for name, model in self.models.items()}
        is_trusted = {name: not trusted or model.identity.sha256 in trusted for name, model in found.items()}
        self.models = {name: model for name, model in found.items() if is_trusted[name]}
        self.untrusted = {name: model for name, model in found.items() if not is_trusted[name]}

    @property
    def identities(self) -> dict[str, str]:
        """Return the SHA-256 of every model, by its name."""
        return {name: model.identity.sha256 for name, model in self.models.items()}

    def __getitem__(self, name: str) -> Model:
        """Return the model called `name`; raises ModelNotTrusted, or ModelCardError that lists those there are."""
        if name in self.untrusted:
            raise ModelNotTrusted(
                f"model {name!r} has SHA-256 {self.untrusted[name].identity.sha256}, which node.trusted_models does "
                "not name; if you know what changed, add it there"
            )
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

    def _with_gate(self, model: Model) -> Model:
        """Return the model with the one it names as its gate, which has none itself."""
        name = model.card.gate
        if name is None:
            return model
        gate = self.models.get(name)
        if gate is None or gate.card.gate is not None or gate.level != model.level:
            raise ModelCardError(
                f"{model.folder / 'model.toml'}: gate: found {name!r}; expected the name of an installed model that "
                f"takes one {model.level} and has no gate itself; install it or take the line out"
            )
        return replace(model, gate=gate)


def site_catalog(settings: Settings) -> Catalog:
    """Return the models of a site: those that come with radnode and its own, as far as it trusts them."""
    return Catalog([bundled_models(), *settings.node.models], settings.node.trusted_models)


def bundled_models() -> Path:
    """Return the folder of models that come with radnode, in a wheel or in a checkout."""
    return _bundled("models")


def bundled_config() -> Path:
    """Return the folder of commented default configuration files."""
    return _bundled("config")


def _bundled(name: str) -> Path:
    in_wheel = _PACKAGE / name
    return in_wheel if in_wheel.is_dir() else _PACKAGE.parent / name
