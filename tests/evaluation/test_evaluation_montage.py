"""The comparison image: where it looks, and what it draws."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from sr_kd.data.sets import open_set
from sr_kd.evaluation.montage import Panel, Row, compare_visually, draw, find_crop
from sr_kd.images import Image, write_image
from sr_kd.imaging.upscaler import Upscaler
from sr_kd.networks.build import build_network


def test_the_crop_is_where_the_planes_differ_most() -> None:
    first = torch.zeros(1, 100, 140)
    second = first.clone()
    second[:, 60:76, 90:106] = 10
    second[:, :3] = 255
    crop, difference = find_crop([first, second], 16, border=3)
    assert crop == (60, 90, 16)
    assert difference == pytest.approx(25)


def test_a_crop_is_never_larger_than_the_image() -> None:
    assert find_crop([torch.zeros(1, 20, 30), torch.ones(1, 20, 30)], 56, border=2)[0][2] == 20


def test_crops_are_magnified_without_smoothing() -> None:
    hr = data.astronaut()[:64, :64]
    sr = np.full_like(hr, 7)
    sr[10:26, 20:36] = (200, 100, 50)
    sheet = draw([Row("astronaut", hr, (10, 20, 16), (Panel("model", sr, 30.0),), 1.0)], "title")
    block = (sheet == (200, 100, 50)).all(axis=2)
    assert block.sum() == (4 * 16) ** 2


def test_a_montage_of_two_models(tmp_path: Path) -> None:
    write_image(tmp_path / "hr" / "astronaut.png", Image(data.astronaut()[:120, 100:260]))
    write_image(tmp_path / "hr" / "camera.png", Image(data.camera()[100:200, 200:300, None]))
    images = open_set([str(tmp_path / "hr")], scale=2)
    models = {
        "FSRCNN": Upscaler(build_network("FSRCNN", init="bicubic", scale=2)),
        "a network with a very long label": Upscaler(build_network("FSRCNN", init="bicubic", scale=2, color="rgb")),
    }
    height, width, channels = compare_visually(models, images, images=2).shape
    assert channels == 3
    assert width > 5 * 4 * 56
    assert height > 2 * 4 * 56
