"""Examples from memory, from record files and from a function."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from node.errors import TrainingDataError
from node.training.record_files import RecordFiles, write_record_files
from node.training.sources import Example, Generated, InMemory, Source, SourceBatches


def example(number: int) -> Example:
    """Return a volume of a size of its own and a target that tells its number."""
    rng = np.random.default_rng(number)
    return rng.normal(size=(4, 5, 6, 1)).astype(np.float32), np.full((2,), number, np.float32)


EXAMPLES = [example(number) for number in range(10)]


@pytest.fixture(params=["memory", "records", "function"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    if request.param == "memory":
        return InMemory(EXAMPLES, seed=3)
    if request.param == "function":
        return Generated(example, len(EXAMPLES), seed=3)
    assert write_record_files(EXAMPLES, tmp_path, shards=3) == 10
    return RecordFiles(tmp_path, seed=3)


def order(source: Source, epoch: int) -> list[int]:
    return [int(target[0]) for _, target in source.examples(epoch)]


def test_every_example_comes_once_in_an_epoch_as_it_was(source: Source) -> None:
    taken = {int(target[0]): values for values, target in source.examples(0)}
    assert sorted(taken) == list(range(10)) == list(range(len(source)))
    for number, values in taken.items():
        np.testing.assert_array_equal(values, EXAMPLES[number][0])


def test_the_order_changes_from_epoch_to_epoch_and_is_the_same_again(source: Source) -> None:
    assert order(source, 0) == order(source, 0)
    assert order(source, 0) != order(source, 1)


def test_batches_go_through_an_epoch_once_and_may_be_asked_for_twice(source: Source) -> None:
    batches = SourceBatches(source, batch_size=4, seed=1)
    assert len(batches) == 2
    first, second = batches[0], batches[1]
    seen = np.concatenate([first[1][:, 0], second[1][:, 0]])
    assert len(set(seen.tolist())) == 8
    np.testing.assert_array_equal(batches[1][0], second[0])
    np.testing.assert_array_equal(batches[0][0], first[0])
    batches.epoch = 1
    assert not np.array_equal(batches[0][0], first[0])


def test_what_varies_an_example_depends_on_epoch_and_place(source: Source) -> None:
    def add_noise(one: Example, rng: np.random.Generator) -> Example:
        return one[0] * 0 + rng.normal(), one[1]

    batches, again = (SourceBatches(source, 5, seed=1, vary=add_noise) for _ in range(2))
    noise = batches[0][0][:, 0, 0, 0, 0]
    assert len(set(noise.tolist())) == 5
    np.testing.assert_array_equal(again[0][0], batches[0][0])
    batches.epoch = 2
    assert not np.array_equal(batches[0][0], again[0][0])


def test_keras_trains_on_any_source(source: Source) -> None:
    volume = keras.Input((4, 5, 6, 1))
    network = keras.Model(volume, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling3D()(volume)))
    network.compile("adam", "mse", jit_compile=False)
    history = network.fit(SourceBatches(source, 5, seed=1), epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_record_files_that_were_not_finished_are_refused(tmp_path: Path) -> None:
    def interrupted():
        yield from EXAMPLES[:2]
        raise KeyboardInterrupt

    write_record_files(EXAMPLES, tmp_path, shards=2)
    with pytest.raises(KeyboardInterrupt):
        write_record_files(interrupted(), tmp_path, shards=2)
    with pytest.raises(TrainingDataError, match="no complete set"):
        RecordFiles(tmp_path, seed=1)
