"""Generated images for detection: circles, squares and triangles over a textured background."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

CLASSES = ("circle", "square", "triangle")
MOST_SHAPES = 4
CONTRAST = 60.0  # least distance of a shape's mean color from the background's, in RGB of 0..255
FINER = 4  # shapes are drawn this much larger, then averaged down: soft edges that do not depend on OpenCV's
Part = Literal["train", "test"]


@dataclass(frozen=True)
class DetectionImages:
    """Images of one size with their objects.

    Attributes:
        name: in logs and tables.
        images: (N, S, S, 3) uint8, RGB.
        boxes: per image (K, 4) float32, K >= 1: left, top, right, bottom in pixels, right and bottom exclusive.
        labels: per image (K,) int64, class indices.
        classes: the classes' names.
    """

    name: str
    images: np.ndarray
    boxes: tuple[np.ndarray, ...]
    labels: tuple[np.ndarray, ...]
    classes: tuple[str, ...] = CLASSES


def make_shapes(part: Part, images: int, image_size: int, *, seed: int = 0, name: str | None = None) -> DetectionImages:
    """Draw a set: a pure function of the arguments, and each image one of its place in the set.

    Every image has one to four shapes of random kind, color, size (a sixth to five eighths of the side),
    angle and place. Boxes overlap little, and what is hidden belongs to the box.

    Args:
        part: "train" and "test" are drawn from streams of their own and share no image, whatever the seeds.
        images: how many.
        image_size: side in pixels, 32 or more.
        name: default: "shapes".
    """
    drawn = [_draw(np.random.Generator(_stream(part, seed, index)), image_size) for index in range(images)]
    pixels, boxes, labels = zip(*drawn, strict=True)
    return DetectionImages(name or "shapes", np.stack(pixels), boxes, labels)


def _stream(part: Part, seed: int, index: int) -> np.random.Philox:
    digest = hashlib.blake2b(f"shapes/{part}/{seed}/{index}".encode(), digest_size=16).digest()
    return np.random.Philox(key=np.frombuffer(digest, "<u8").astype(np.uint64))


def _draw(random: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels, boxes and labels of one image."""
    canvas = _texture(random, side)
    background = canvas.mean((0, 1))
    boxes: list[np.ndarray] = []
    labels: list[int] = []
    wanted = int(random.integers(1, MOST_SHAPES + 1))
    for attempt in range(4 * MOST_SHAPES):
        if len(boxes) == wanted:
            break
        label = int(random.integers(len(CLASSES)))
        cover = _cover(CLASSES[label], random, side)
        box = _box(cover)
        color = random.uniform(0, 255, 3)
        crowded = any(_overlap(box, other) > 0.1 for other in boxes)
        pale = np.linalg.norm(color - background) < CONTRAST and attempt < 3 * MOST_SHAPES
        if crowded or pale:
            continue
        shade = color + random.normal(0, 12, (side, side, 1))
        canvas = canvas + cover[:, :, None] * (shade - canvas)
        boxes.append(box)
        labels.append(label)
    pixels = np.rint(canvas + random.normal(0, 6, canvas.shape)).clip(0, 255).astype(np.uint8)
    return pixels, np.stack(boxes), np.array(labels, np.int64)


def _texture(random: np.random.Generator, side: int) -> np.ndarray:
    """Soft blotches of several sizes around a random color: (S, S, 3) float64."""
    canvas = np.full((side, side, 3), random.uniform(50, 205, 3))
    for cells, strength in ((3, 30.0), (8, 20.0), (20, 12.0)):
        blotches = random.normal(0, strength, (cells, cells, 3))
        canvas += cv2.resize(blotches, (side, side), interpolation=cv2.INTER_LINEAR)
    return canvas


def _cover(kind: str, random: np.random.Generator, side: int) -> np.ndarray:
    """How much of each pixel one shape covers, wholly inside the image: (S, S) float64 in [0, 1]."""
    radius = random.uniform(1 / 12, 5 / 16) * side
    x, y = random.uniform(radius, side - radius, 2)
    turn = random.uniform(0, 2 * math.pi)
    mask = np.zeros((FINER * side, FINER * side), np.uint8)
    corners = {"circle": 64, "square": 4, "triangle": 3}[kind]
    angles = turn + 2 * math.pi * np.arange(corners) / corners
    points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
    cv2.fillPoly(mask, [np.floor(points * FINER).astype(np.int32)], 1)
    return mask.reshape(side, FINER, side, FINER).mean((1, 3))


def _box(cover: np.ndarray) -> np.ndarray:
    """The pixels that are covered by half or more."""
    rows, columns = (np.flatnonzero((cover >= 0.5).any(axis)) for axis in (1, 0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Area that two boxes share, as a part of the smaller."""
    width, height = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return float(max(width, 0) * max(height, 0) / min(areas))
