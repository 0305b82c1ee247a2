"""Batches from the pool against crops cut by hand from the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from skimage.color import rgb2ycbcr

from sr_kd.data.embedded import embedded_files
from sr_kd.data.patches import PatchSource, check_patch_size, decoded_bytes, open_patches
from sr_kd.data.pool import PixelPool
from sr_kd.data.resize import make_lr
from sr_kd.data.sampler import PatchSampler
from sr_kd.data.sets import ImageSet, open_set
from sr_kd.errors import SrKdError, UsageError

CPU = torch.device("cpu")
GIB = 2**30


def source(images: ImageSet, **changes: Any) -> PatchSource:
    opened = {"color": "rgb", "device": CPU, "quiet": True}
    opened |= {key: changes.pop(key) for key in opened if key in changes}
    patch = check_patch_size(images, changes.pop("gt_size", 48))
    sampler = PatchSampler(images.lr_sizes, patch, changes.pop("batch_size", 32), seed=5, stream="student", **changes)
    return open_patches(images, sampler, memory_budget_gib=4, **opened)


@pytest.fixture(scope="module")
def mixed() -> ImageSet:
    """Color and gray photographs of many sizes."""
    return open_set("scikit-image:train", scale=2)


@pytest.fixture(scope="module")
def gray(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    folder = tmp_path_factory.mktemp("gray")
    for path in embedded_files("scikit-image:held_out"):
        PIL.Image.open(path).convert("L").save(folder / f"{path.stem}.png")
    return open_set(str(folder), scale=3)


def by_hand(images: ImageSet, gt_size: int, batch_size: int, iteration: int) -> tuple[np.ndarray, np.ndarray]:
    """The RGB patches, uint8 (N, S, S, 3), cut from the files with Pillow and turned one by one with NumPy."""
    scale = images.scale
    patch = gt_size // scale
    draw = PatchSampler(images.lr_sizes, patch, batch_size, hflip=True, rotate=True, seed=5, stream="student").draw(
        iteration
    )
    batch: list[tuple[np.ndarray, np.ndarray]] = []
    for sample in range(batch_size):
        file = PIL.Image.open(images.hr[draw.image[sample]].path)
        file = file if file.mode == "L" else file.convert("RGB")
        height, width = images.lr_sizes[draw.image[sample]] * scale
        pixels = np.asarray(file).reshape(file.height, file.width, -1)[:height, :width]
        top, left = draw.top[sample], draw.left[sample]
        crops = (
            make_lr(pixels, scale)[top : top + patch, left : left + patch],
            pixels[top * scale : (top + patch) * scale, left * scale : (left + patch) * scale],
        )
        turned = []
        for crop in crops:
            crop = np.repeat(crop, 3, axis=2) if crop.shape[2] == 1 else crop
            crop = crop[:, ::-1] if draw.hflip[sample] else crop
            crop = crop[::-1] if draw.vflip[sample] else crop
            turned.append(crop.transpose(1, 0, 2) if draw.transpose[sample] else crop)
        batch.append((turned[0], turned[1]))
    return np.stack([lr for lr, _ in batch]), np.stack([hr for _, hr in batch])


@pytest.mark.parametrize("iteration", [0, 12_345])
def test_rgb_batches_are_the_crops_of_the_files(mixed, iteration):
    for found, expected in zip(source(mixed).batch(iteration), by_hand(mixed, 48, 32, iteration), strict=True):
        assert found.dtype == torch.float32 and found.is_contiguous()
        assert np.array_equal((found * 255).round().byte().permute(0, 2, 3, 1).numpy(), expected)


@pytest.mark.parametrize("name", ["mixed", "gray"])
def test_y_batches_are_scikit_image_s_luma_of_the_crops(name, request):
    images = request.getfixturevalue(name)
    for found, expected in zip(source(images, color="y").batch(3), by_hand(images, 48, 32, 3), strict=True):
        assert found.shape[1] == 1
        assert found[:, 0].numpy() == pytest.approx(rgb2ycbcr(expected)[..., 0] / 255, abs=1e-6)


def test_gray_sets_keep_one_channel_and_serve_rgb_networks(gray):
    assert gray.channels == 1
    assert decoded_bytes(gray) == sum(
        10 * (h // 3) * (w // 3) for h, w in ((512, 512), (300, 451), (400, 600), (427, 640))
    )
    lr, hr = source(gray).batch(0)
    assert lr.shape == (32, 3, 16, 16) and hr.shape == (32, 3, 48, 48)
    assert np.array_equal((hr * 255).round().byte().permute(0, 2, 3, 1).numpy(), by_hand(gray, 48, 32, 0)[1])


@pytest.mark.parametrize("world_size", [2, 3, 5])
def test_the_ranks_together_see_the_global_batch(mixed, world_size):
    whole = source(mixed).batch(9)
    parts = [source(mixed, share=(rank, world_size)).batch(9) for rank in range(world_size)]
    for index in range(2):
        assert torch.equal(torch.cat([part[index] for part in parts]), whole[index])


def test_lr_and_hr_are_turned_together(mixed):
    """LR made from the turned HR patch is the LR patch, inside (the border sees pixels beyond the patch)."""
    lr, hr = source(mixed).batch(4)
    for small, large in zip(lr, hr, strict=True):
        pixels = (large * 255).round().byte().permute(1, 2, 0).numpy()
        again = torch.from_numpy(make_lr(pixels, 2)).permute(2, 0, 1)
        difference = (again - (small * 255).round()).abs()[:, 4:-4, 4:-4]
        assert difference.max() <= 2  # levels: rounding after each pass tells the axes apart


def test_lr_files_are_used_as_they_are(tmp_path):
    rng = np.random.default_rng(0)
    for folder, side in (("HR", 64), ("LR", 32)):
        (tmp_path / folder).mkdir()
        PIL.Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(tmp_path / folder / "a.png")
    images = open_set(str(tmp_path / "HR"), scale=2, dataroot_lq=str(tmp_path / "LR"))
    lr, hr = source(images, gt_size=64, hflip=False, rotate=False, batch_size=1).batch(0)
    for found, folder in ((lr, "LR"), (hr, "HR")):
        expected = np.asarray(PIL.Image.open(tmp_path / folder / "a.png"))
        assert np.array_equal((found[0] * 255).round().byte().permute(1, 2, 0).numpy(), expected)


def test_errors_come_before_the_images_are_read(mixed, tmp_path):
    with pytest.raises(UsageError, match="gt_size 49 is no multiple of scale 2; the nearest are 48 and 50"):
        source(mixed, gt_size=49)
    with pytest.raises(
        UsageError, match=r"images of scikit-image:train are smaller than the patch.*coins\.png \(384x303\)"
    ):
        source(mixed, gt_size=400)


def test_a_damaged_image_is_named_while_loading(tmp_path):
    path = tmp_path / "damaged.png"
    PIL.Image.open(embedded_files("scikit-image:held_out")[0]).save(path)
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(SrKdError, match=r"damaged\.png"):
        source(open_set(str(tmp_path), scale=2))


def test_loading_reports_progress_unless_quiet(gray: ImageSet, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    source(gray, quiet=False)
    assert "4/4" in capsys.readouterr().err
    source(gray)
    assert capsys.readouterr().err == ""


def test_offsets_beyond_two_gib():
    pool = PixelPool(np.array([[40_000, 20_000], [64, 64]]), 3, CPU)  # the first image's pages are never touched
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    pool.store(1, pixels)
    one = torch.ones(1, dtype=torch.int64)
    assert np.array_equal(pool.crop(one, one * 20, one * 30, 34)[0].numpy(), pixels[20:54, 30:64])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="hardware: needs a CUDA device")
@pytest.mark.parametrize("color", ["y", "rgb"])
def test_batches_are_equal_on_cuda(mixed, color):
    on_cuda = source(mixed, color=color, device=torch.device("cuda"))
    for found, expected in zip(on_cuda.batch(2), source(mixed, color=color).batch(2), strict=True):
        assert found.is_cuda
        torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-6)
