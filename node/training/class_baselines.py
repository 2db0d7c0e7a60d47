"""What a network that tells classes apart must beat: the most frequent class, the most similar picture, edges."""

from __future__ import annotations

import numpy as np

from node.imaging.resample import stretch
from node.training.class_batches import ClassPictures
from node.vocabulary import Pixels

THUMBNAIL = 32

DIRECTIONS = 8
CELLS = (8, 8)
DECAY, STEPS, RATE, MOMENTUM = 0.01, 400, 0.5, 0.9


def most_frequent(known: ClassPictures, asked: int) -> Pixels:
    """Return (asked, classes): the most frequent class for every picture."""
    usual = int(np.argmax(np.bincount(known.classes, minlength=known.count)))
    return np.asarray(np.eye(known.count, dtype=np.float32)[np.full(asked, usual)])


def most_similar(known: ClassPictures, asked: Pixels) -> Pixels:
    """Return (asked, classes): the class of the known picture that correlates best, on 32 x 32 thumbnails."""
    likeness = _thumbnails(asked) @ _thumbnails(known.pictures).T
    return np.asarray(known.targets[np.argmax(likeness, axis=1)])


def by_edges(known: ClassPictures, asked: Pixels) -> Pixels:
    """Return (asked, classes) probabilities of a logistic regression on histograms of edge directions.

    After Dalal N, Triggs B: Histograms of Oriented Gradients, CVPR 2005, with 8 x 8 cells over the whole
    picture; each picture counts as it is and mirrored.
    """
    both = np.concatenate([known.pictures, known.pictures[:, :, ::-1]])
    features = np.stack([edge_histogram(picture[..., 0]) for picture in both])
    mean, spread = features.mean(axis=0), 10.0 * (features.std(axis=0) + 1e-3)
    weights = _fit_logistic((features - mean) / spread, np.tile(known.targets, (2, 1)))
    views = [np.stack([edge_histogram(picture[..., 0]) for picture in side]) for side in (asked, asked[:, :, ::-1])]
    return _softmax(sum((view - mean) / spread @ weights for view in views) / 2)


def edge_histogram(picture: Pixels) -> Pixels:
    """Return the strength of edges by direction and cell, made to sum to one, then the root of each."""
    down, across = np.gradient(picture)
    strength = np.hypot(down, across)
    direction = (np.arctan2(down, across) % np.pi) * DIRECTIONS / np.pi
    rows, columns = (side // cells for side, cells in zip(picture.shape, CELLS, strict=True))
    sums = []
    for number in range(DIRECTIONS):
        away = np.abs((direction - number + DIRECTIONS / 2) % DIRECTIONS - DIRECTIONS / 2)
        shares = (strength * np.clip(1.0 - away, 0.0, 1.0))[: rows * CELLS[0], : columns * CELLS[1]]
        sums.append(shares.reshape(CELLS[0], rows, CELLS[1], columns).sum(axis=(1, 3)).ravel())
    histogram = np.concatenate(sums)
    return np.asarray(np.sqrt(histogram / max(float(histogram.sum()), 1e-6)), np.float32)


def _thumbnails(pictures: Pixels) -> Pixels:
    """Return (pictures, 1024) rows of mean 0 and length 1."""
    small = np.stack([stretch(picture[..., 0], (THUMBNAIL, THUMBNAIL)).ravel() for picture in pictures])
    small -= small.mean(axis=1, keepdims=True)
    return np.asarray(small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6))


def _fit_logistic(features: Pixels, targets: Pixels) -> Pixels:
    """Return (features, classes) weights with little decay, by gradient descent with momentum."""
    weights = np.zeros((features.shape[1], targets.shape[1]), np.float32)
    speed = np.zeros_like(weights)
    for _ in range(STEPS):
        slope = features.T @ (_softmax(features @ weights) - targets) / len(targets) + DECAY * weights
        speed = np.asarray(MOMENTUM * speed - RATE * slope, np.float32)
        weights += speed
    return weights


def _softmax(scores: Pixels) -> Pixels:
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)
