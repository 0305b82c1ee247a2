"""Scoring finished images: pairing by name, sizes, and equality with measuring the model."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from sr_kd.data.sets import ImageSet, open_set
from sr_kd.errors import SrKdError, UsageError
from sr_kd.evaluation.benchmark import score_network
from sr_kd.evaluation.compare import find_images, pair_by_name, score_images
from sr_kd.images import Image, write_image
from sr_kd.imaging.upscaler import Upscaler


def paths(*names: str) -> list[Path]:
    return [Path(f"{name}.png") for name in names]


@pytest.mark.parametrize("suffix", ["", "x2", "_x2", "_out", "-SR", ".sr", " (1)", "_FSRCNN_x2"])
def test_the_usual_suffixes(suffix: str) -> None:
    names = ["img_1", "img_10", "baby"]
    images = paths(*(name + suffix for name in reversed(names)))
    assert pair_by_name(names, images) == images[::-1]


@given(st.permutations(["a", "a_1", "a_1_out", "b"]))
def test_order_never_matters_and_equal_names_come_first(names: list[str]) -> None:
    images = paths("a_1_out", "a_1", "a", "b_x2")
    expected = {"a": "a", "a_1": "a_1", "a_1_out": "a_1_out", "b": "b_x2"}
    assert [path.stem for path in pair_by_name(names, images)] == [expected[name] for name in names]


def test_surplus_images_do_not_disturb() -> None:
    assert pair_by_name(["baby"], paths("montage", "babyx2", "babylon")) == paths("babyx2")


def test_mismatches_are_reported() -> None:
    with pytest.raises(UsageError, match=r"1 of 2 HR images have no image of that name: 'bird' .did you mean 'brid'"):
        pair_by_name(["baby", "bird"], paths("baby", "brid"))
    with pytest.raises(UsageError, match=r"several images, such as 'baby': babyx2.png, baby_out.png"):
        pair_by_name(["baby"], paths("babyx2", "baby_out"))


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    write_image(tmp_path / "hr" / "astronaut.png", Image(data.astronaut()[:81, :97]))
    write_image(tmp_path / "hr" / "camera.png", Image(data.camera()[100:180, 200:301, None]))
    return open_set([str(tmp_path / "hr")], scale=2)


@pytest.mark.parametrize("protocol", ["rgb8", "basicsr", "rgb"])
def test_finished_images_score_like_the_model_that_made_them(images: ImageSet, tmp_path: Path, protocol: str) -> None:
    made = score_network(
        Upscaler(None, scale=2),
        images,
        protocol=protocol,
        keep=lambda name, pixels: write_image(tmp_path / "sr" / f"{name}_x2.png", Image(pixels)),
    )
    files = pair_by_name(images.names, find_images(tmp_path / "sr"))
    assert score_images(files, images, protocol=protocol).images == made.images


def test_a_image_of_the_whole_hr_size_and_a_gray_one_in_color(images: ImageSet, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", Image(data.astronaut()[:81, :97]))
    write_image(tmp_path / "c.png", Image(np.repeat(images.read_hr(1), 3, axis=2)))
    score = score_images([tmp_path / "a.png", tmp_path / "c.png"], images)
    assert score.left_out("psnr") == 2


def test_other_sizes_and_missing_color_are_refused(images: ImageSet, tmp_path: Path) -> None:
    small, gray = tmp_path / "small.png", tmp_path / "gray.png"
    write_image(small, Image(data.astronaut()[:40, :48]))
    write_image(gray, Image(data.astronaut()[:80, :96, :1]))
    with pytest.raises(SrKdError, match=r"small.png is 48x40 pixels.*scale 2 is 96x80; is the scale right"):
        score_images([small, small], images)
    with pytest.raises(SrKdError, match=r"gray.png has one channel, but .*astronaut.png has three"):
        score_images([gray, gray], images)
    with pytest.raises(UsageError, match="'yfloat' needs the network"):
        score_images([small, small], images, protocol="yfloat")
    with pytest.raises(UsageError, match="no folder"):
        find_images(tmp_path / "nowhere")
