"""What a check is, what it can find, and how one after another is carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from node.errors import RadnodeError


class State(StrEnum):
    """How a check ended: a warning deserves a look, with an error the node cannot do its work."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Outcome:
    """What a check found and, unless all is well, what to do."""

    state: State
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Check:
    """One question about the node; `look` answers it and may take seconds."""

    name: str
    look: Callable[[], Outcome]


@dataclass(frozen=True)
class CheckResult:
    """A check's name with its outcome."""

    name: str
    state: State
    found: str
    advice: str


def fine(found: str) -> Outcome:
    """Return the outcome of a check that found all well."""
    return Outcome(State.OK, found)


def warning(found: str, advice: str) -> Outcome:
    """Return the outcome of a check that found what deserves a look."""
    return Outcome(State.WARNING, found, advice)


def fault(found: str, advice: str) -> Outcome:
    """Return the outcome of a check that found what keeps the node from its work."""
    return Outcome(State.ERROR, found, advice)


def carry_out(checks: Iterable[Check]) -> Iterator[CheckResult]:
    """Give each check's result as it comes; an error that radnode or the system names is a result too."""
    for check in checks:
        outcome = _look(check)
        yield CheckResult(check.name, outcome.state, outcome.found, outcome.advice)


def _look(check: Check) -> Outcome:
    try:
        return check.look()
    except RadnodeError as error:
        found, _, advice = str(error).rpartition("; ")
        return fault(found or advice, advice if found else "mend this, then run `radnode doctor` again")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return fault(f"{where}{error.strerror or error}", "mend this, then run `radnode doctor` again")
