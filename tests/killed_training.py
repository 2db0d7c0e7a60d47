"""Kills a small training at many places of what it writes, and lets a new process resume it each time.

    python killed_training.py FOLDER STRIDE

A place is a file that the training opens, renames or removes, or an array that it writes into an HDF5 file. Every
STRIDE-th is tried, in a process of its own that was forked after the slow imports. Prints a line of JSON for each.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np

from node.training.batches import EpochBatches
from node.training.fit import Material, fit
from node.training.options import TrainingOptions
from node.training.schedule import Schedule

EVENTS = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}
RESUME = TrainingOptions(resume=True)
PLAN = {"epochs": 3, "learning_rate": 0.1, "loss": "mse", "metrics": ("mae",), "watched": "val_mae", "averaging": 0.9}


class Numbers(EpochBatches):
    """Numbers whose doubles are to be learnt."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        numbers = np.random.default_rng([self.epoch, batch]).normal(size=(8, 1)).astype(np.float32)
        return numbers, 2 * numbers


def train(output: Path, begun: Path) -> None:
    """Train or resume; every epoch that begins is noted in `begun`."""

    class Noted(Schedule):
        def learning_rate_at(self, epoch: int) -> float:
            with begun.open("a") as opened:
                opened.write(f"{epoch}\n")
            return super().learning_rate_at(epoch)

    keras.utils.set_random_seed(1)
    number = keras.Input((1,))
    hidden = keras.layers.Dropout(0.2)(keras.layers.Dense(3, activation="tanh")(number))
    network = keras.Model(number, keras.layers.Dense(1)(hidden))
    fit(network, Material(Numbers(), Numbers()), Noted(**PLAN, higher_is_better=False), output, RESUME)


def count_places(output: Path, at_place: Callable[[], None]) -> None:
    """Call a function at each place of this process from now on."""

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event in EVENTS and str(arguments[0]).startswith(f"{output}/"):
            at_place()

    def create_dataset(group: h5py.Group, *words: object, **options: object) -> h5py.Dataset:
        at_place()
        return plain(group, *words, **options)

    plain, h5py.Group.create_dataset = h5py.Group.create_dataset, create_dataset
    sys.addaudithook(hear)


def in_child(do: Callable[[], None]) -> int:
    """Run a function in a forked process, silently, and return how that ended; 0 is well."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
        do()
        os._exit(0)
    except BaseException as error:  # noqa: BLE001
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(1)


def counted(folder: Path) -> int:
    """Return how many places an uninterrupted training has, which is left in `whole`."""
    tally = folder / "places"

    def run() -> None:
        places = []
        count_places(folder / "whole", lambda: places.append(1))
        train(folder / "whole", folder / "whole.begun")
        tally.write_text(str(len(places)))

    assert in_child(run) == 0
    return int(tally.read_text())


def killed_and_resumed(folder: Path, place: int) -> dict[str, object]:
    """Kill a training at one place and resume it; say which epochs began before and after."""
    output = folder / f"killed_{place}"

    def run() -> None:
        left = [place]

        def die_in_time() -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        count_places(output, die_in_time)
        train(output, folder / f"{place}.begun")

    ended = in_child(run)
    resumed = in_child(lambda: train(output, folder / f"{place}.resumed"))
    return {
        "place": place,
        "killed": ended == -signal.SIGKILL,
        "resumed": resumed == 0,
        "before": epochs_in(folder / f"{place}.begun"),
        "after": epochs_in(folder / f"{place}.resumed"),
    }


def epochs_in(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


if __name__ == "__main__":
    root, stride = Path(sys.argv[1]), int(sys.argv[2])
    for place in range(0, counted(root), stride):
        print(json.dumps(killed_and_resumed(root, place)), flush=True)
