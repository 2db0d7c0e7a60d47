"""What a model says of itself in model.toml: its inputs, its weights, and each output with its codes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.configuration import check_tables, read_configuration
from node.errors import ModelCardError, SettingsError
from node.selector import InputSelector

Task = Literal["segmentation", "classification", "regression", "detection", "map", "super_resolution", "gate"]
DECIDING = ("segmentation", "classification")
Measure = Literal["area", "volume", "mean_hu", "laa_950", "fraction", "diameter", "score"]


def _check_keyword(keyword: str) -> str:
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


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CodePart(_Part):
    """A code that pydicom's SNOMED CT dictionary lacks, written out, and where it was found."""

    value: Annotated[str, Field(min_length=1, max_length=16)]
    scheme: str
    meaning: Annotated[str, Field(min_length=1, max_length=64)]
    source: str = ""


SctKeyword = Annotated[str, AfterValidator(_check_keyword)]
AnyCode = Annotated[
    Annotated[SctKeyword, Tag("keyword")] | Annotated[CodePart, Tag("written out")],
    Discriminator(lambda code: "keyword" if isinstance(code, str) else "written out"),
]
Channel = Annotated[int, Field(ge=0, le=255)]

SEXES = {"F", "M", "O"}  # PS3.3 C.7.1.1, PatientSex
YEARS = "a"
FINDING = CodePart(value="121071", scheme="DCM", meaning="Finding")


class WeightsPart(_Part):
    """The weights file and the SHA-256 it must have."""

    file: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class LimitsPart(_Part):
    """What a job of this model may take, where that differs from node.toml."""

    deadline_seconds: Annotated[float, Field(gt=0)] | None = None


class ReducedPart(_Part):
    """Allows 16-bit arithmetic to a site that wants it, where it changes no larger share of the decisions than this."""

    changed: Annotated[float, Field(gt=0, lt=1)]


class SegmentOutput(_Part):
    """One structure a model can outline, with its codes."""

    kind: Literal["segment"] = "segment"
    label: str
    category: AnyCode
    type: AnyCode
    modifier: AnyCode | None = None
    colour: tuple[Channel, Channel, Channel]
    measure: tuple[Measure, ...] = ()


class ClassPart(_Part):
    """One class of several."""

    label: str
    code: AnyCode


class ComparedClass(_Part):
    """An attribute of the header whose values are classes; doubted where that class is less probable than this."""

    attribute: Literal["PatientSex"]
    probability: Annotated[float, Field(gt=0, lt=0.5)]


class ClassesOutput(_Part):
    """Something that belongs to one of several classes; below `decisive` no class is named as the answer."""

    kind: Literal["class"]
    label: str
    concept: AnyCode = FINDING
    site: AnyCode | None = None
    decisive: Annotated[float, Field(ge=0, le=1)] = 0.0
    compared: ComparedClass | None = None
    classes: Annotated[Mapping[str, ClassPart], Field(min_length=2)]

    @model_validator(mode="after")
    def _check_compared(self) -> ClassesOutput:
        """Refuse classes that the attribute does not know, for they would never be compared."""
        if self.compared and not set(self.classes) <= SEXES:
            raise ValueError(f"`compared` needs classes out of {', '.join(sorted(SEXES))}, the values of PatientSex")
        return self


class ComparedQuantity(_Part):
    """An attribute of the header that states the quantity; doubted outside so many times the 95 % interval."""

    attribute: Literal["PatientAge"]
    intervals: Annotated[float, Field(ge=1)]


class QuantityOutput(_Part):
    """A number for the whole image or volume, in a unit of UCUM."""

    kind: Literal["quantity"]
    label: str
    concept: AnyCode
    site: AnyCode | None = None
    unit: str
    compared: ComparedQuantity | None = None

    @model_validator(mode="after")
    def _check_compared(self) -> QuantityOutput:
        """Refuse another unit than that of the attribute it is compared with."""
        if self.compared and self.unit != YEARS:
            raise ValueError(f"`compared` needs the unit {YEARS!r}, years, as of PatientAge")
        return self


class MapOutput(_Part):
    """A number for every voxel, in a unit of UCUM."""

    kind: Literal["map"]
    label: str
    concept: AnyCode
    unit: str


class RefinementOutput(_Part):
    """The same volume on a finer grid."""

    kind: Literal["refinement"]
    label: str


def _kind(output: Any) -> str:
    """Return what an [output] is; it outlines a structure where it does not say."""
    return str(output.get("kind", "segment") if isinstance(output, dict) else output.kind)


AnyOutput = Annotated[
    Annotated[SegmentOutput, Tag("segment")]
    | Annotated[ClassesOutput, Tag("class")]
    | Annotated[QuantityOutput, Tag("quantity")]
    | Annotated[MapOutput, Tag("map")]
    | Annotated[RefinementOutput, Tag("refinement")],
    Discriminator(_kind),
]


class ModelCard(_Part):
    """All that the node must know of a model before it loads Keras: the content of model.toml."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+){2,}$")]
    title: str
    version: str
    task: Task
    status: Literal["released", "experimental"]
    gate: str | None = None
    weights: WeightsPart
    input: Annotated[Mapping[str, InputSelector], AfterValidator(_check_inputs)]
    output: Mapping[str, AnyOutput] = {}
    limits: LimitsPart = LimitsPart()
    reduced: ReducedPart | None = None
    scores: Mapping[str, Any]

    @model_validator(mode="after")
    def _check_reduced(self) -> ModelCard:
        """Refuse 16 bits to a network that decides nothing, for nobody could tell what they change."""
        if self.reduced and self.task not in DECIDING:
            raise ValueError(f"[reduced] needs a task out of {', '.join(DECIDING)}; found {self.task}")
        return self


def code_of(written: str | CodePart) -> Code:
    """Return the code that model.toml names by a keyword of pydicom's SNOMED CT dictionary or writes out."""
    if isinstance(written, CodePart):
        return Code(written.value, written.scheme, written.meaning)
    code: Code = getattr(codes.SCT, written)
    return code


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
