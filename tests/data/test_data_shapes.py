"""Generated shapes: a function of the seed, boxes that fit tightly, sets that share no image."""

from __future__ import annotations

import numpy as np
import pytest

from sr_kd.tasks.detection.shapes import CLASSES, make_shapes


@pytest.fixture(scope="module")
def shapes():
    return make_shapes("train", 60, 64)


@pytest.fixture(scope="module")
def many():
    return make_shapes("train", 300, 64)


def test_a_set_is_a_function_of_its_seed_and_an_image_of_its_place(shapes):
    again = make_shapes("train", 20, 64)
    assert np.array_equal(again.images, shapes.images[:20])
    assert all(np.array_equal(one, other) for one, other in zip(again.boxes, shapes.boxes, strict=False))
    assert not np.array_equal(make_shapes("train", 1, 64, seed=1).images, shapes.images[:1])


def test_training_and_validation_share_no_image(shapes):
    sets = [shapes, make_shapes("test", 60, 64), make_shapes("test", 60, 64, seed=1)]
    images = [image.tobytes() for made in sets for image in made.images]
    assert len(set(images)) == len(images) == 180


def test_every_kind_and_number_of_shapes_occurs_inside_the_image(shapes):
    assert (shapes.images.shape, shapes.images.dtype, shapes.name) == ((60, 64, 64, 3), np.uint8, "shapes")
    assert set(np.concatenate(shapes.labels)) == set(range(len(CLASSES)))
    assert {len(labels) for labels in shapes.labels} == {1, 2, 3, 4}
    boxes = np.concatenate(shapes.boxes)
    sides = boxes[:, 2:] - boxes[:, :2]
    assert boxes.min() >= 0 and boxes.max() <= 64
    assert sides.min() >= 6 and sides.max() <= 41


def test_a_box_touches_its_circle_on_every_side(many):
    """At the middle of each side, the pixel inside has the circle's color, the one 2 pixels outside has not."""
    inside, outside = [], []
    for pixels, boxes, labels in zip(many.images.astype(float), many.boxes, many.labels, strict=True):
        for (left, top, right, bottom), label in zip(boxes.astype(int), labels, strict=True):
            if CLASSES[label] != "circle":
                continue
            assert abs((right - left) - (bottom - top)) <= 1
            x, y = (left + right) // 2, (top + bottom) // 2
            color = pixels[y - 2 : y + 3, x - 2 : x + 3].mean((0, 1))
            for seen, step in ((inside, 0), (outside, 2)):
                places = [(y, left - step), (y, right - 1 + step), (top - step, x), (bottom - 1 + step, x)]
                seen += [
                    np.abs(pixels[place] - color).mean() < 35 for place in places if min(place) >= 0 and max(place) < 64
                ]
    assert np.mean(inside) > 0.8
    assert np.mean(outside) < 0.25


def test_classes_differ_in_how_much_of_their_box_they_fill(many):
    """A circle fills pi / 4 of its box, a triangle about half; what is filled has the color of the middle."""
    filled = {label: [] for label in range(3)}
    for pixels, boxes, labels in zip(many.images.astype(float), many.boxes, many.labels, strict=True):
        for (left, top, right, bottom), label in zip(boxes.astype(int), labels, strict=True):
            inside = pixels[top:bottom, left:right]
            height, width = inside.shape[:2]
            middle = inside[2 * height // 5 : 3 * height // 5 + 1, 2 * width // 5 : 3 * width // 5 + 1]
            distance = np.abs(inside - middle.mean((0, 1))).mean(2)
            filled[label].append((distance < 40).mean())
    circle, square, triangle = (np.mean(filled[label]) for label in range(3))
    assert triangle + 0.1 < circle
    assert abs(circle - np.pi / 4) < 0.12
    assert triangle < square
