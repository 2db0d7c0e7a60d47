"""A hunt: input after input from seeded generators; what breaks something, or takes too long, is kept as a file."""

from __future__ import annotations

import logging
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeVar

SECONDS = float(os.environ.get("RADNODE_FUZZ_SECONDS", "5"))  # of each hunt in the short form
LONGEST_SECONDS = 5.0

_Input = TypeVar("_Input")


class Hung(BaseException):
    """One input took more than LONGEST_SECONDS of processor time; no handler of ours may catch it."""


def for_seconds(seconds: float) -> Iterator[int]:
    """Give seeds that no other hunt has had, until the time is up."""
    seed, end = random.SystemRandom().randrange(1 << 48), time.monotonic() + seconds
    while time.monotonic() < end:
        yield seed
        seed += 1


def hunt(
    seeds: Iterator[int],
    make: Callable[[random.Random], _Input],
    take: Callable[[_Input], int],
    keep: Callable[[_Input, int], Path],
) -> Iterator[int]:
    """Give how many inputs each seed came to; whatever `take` raises goes on after `keep` has written the input."""
    chance = random.Random()
    for seed in seeds:
        chance.seed(seed)
        made = make(chance)
        try:
            with _ending_in_time():
                inputs = take(made)
        except BaseException as fault:
            fault.add_note(f"kept as {keep(made, seed)}")
            raise
        yield inputs


@contextmanager
def _ending_in_time() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_PROF, LONGEST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)


@contextmanager
def hunting() -> Iterator[None]:
    """Let inputs that hang be noticed, and nothing be logged: pytest would hold millions of lines."""
    before = signal.signal(signal.SIGPROF, _give_up)
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        signal.signal(signal.SIGPROF, before)


def _give_up(_number: int, _frame: FrameType | None) -> None:
    raise Hung
