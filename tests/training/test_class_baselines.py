"""The baselines that a classifier is compared with find what they should, and nothing more."""

from __future__ import annotations

import numpy as np

from node.training.class_baselines import by_edges, edge_histogram, most_frequent, most_similar
from node.training.class_batches import ClassPictures
from node.vocabulary import Pixels


def stripes(upright: bool, seed: int) -> Pixels:
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(64) * rng.uniform(0.5, 0.8) + rng.uniform(0, 6))
    picture = np.broadcast_to(wave[np.newaxis, :] if upright else wave[:, np.newaxis], (64, 64))
    return (0.5 + 0.4 * picture + rng.normal(0, 0.05, (64, 64))).astype(np.float32)[..., np.newaxis]


def striped(seeds: range) -> ClassPictures:
    pictures = np.stack([stripes(seed % 2 == 0, seed) for seed in seeds])
    return ClassPictures(pictures, np.array([seed % 2 for seed in seeds]), 2)


def test_edges_tell_upright_from_level_stripes() -> None:
    asked = striped(range(100, 120))
    found = by_edges(striped(range(20)), asked.pictures)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(axis=1), asked.classes)


def test_an_edge_histogram_does_not_depend_on_contrast() -> None:
    picture = stripes(True, 1)[..., 0]
    np.testing.assert_allclose(edge_histogram(picture), edge_histogram(0.3 * picture), atol=1e-6)


def test_a_picture_is_most_similar_to_its_own_brighter_copy() -> None:
    known = striped(range(10))
    found = most_similar(known, known.pictures * 0.5 + 0.2)
    np.testing.assert_array_equal(found, known.targets)


def test_the_most_frequent_class_is_the_answer_to_everything() -> None:
    known = ClassPictures(np.zeros((3, 4, 4, 1), np.float32), np.array([2, 2, 0]), 3)
    np.testing.assert_array_equal(most_frequent(known, 2), [[0, 0, 1], [0, 0, 1]])
