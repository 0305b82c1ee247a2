"""A comparison image: HR with a box, and the magnified crops of HR, bicubic and every model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..data.sets import ImageSet
from ..errors import UsageError, unknown_name
from ..imaging.upscaler import Upscaler
from ..progress import progress_bar
from .benchmark import score_image, upscale_image
from .protocols import find_protocol, luma, to_pixels
from .sheet import Frame, Placed, Sheet, Words, paint, text_width

_MAGNIFICATION = 4
_GAP = 12


@dataclass(frozen=True)
class Panel:
    """One upscaling of an image: (H, W, C) uint8 and its PSNR in dB over the whole image."""

    label: str
    pixels: np.ndarray
    psnr: float


@dataclass(frozen=True)
class Row:
    """An image, the square crop to show (top, left, side in HR pixels), and its upscaled images.

    `difference` says how much the models disagree in the crop: mean variance of Y, in levels squared.
    """

    name: str
    hr: np.ndarray
    crop: tuple[int, int, int]
    panels: tuple[Panel, ...]
    difference: float


def compare_visually(
    models: Mapping[str, Upscaler], image_set: ImageSet, *, images: int = 3, quiet: bool = True
) -> np.ndarray:
    """The rows of `find_rows`, whose arguments and errors these are, drawn as (H, W, 3) uint8."""
    rows = find_rows(models, image_set, images=images, quiet=quiet)
    return paint(arrange(rows, title_of(image_set)))


def title_of(image_set: ImageSet) -> str:
    """What the captions mean."""
    return f"{image_set.name} x{image_set.scale}; PSNR over the whole image, protocol rgb8"


def find_rows(
    models: Mapping[str, Upscaler],
    image_set: ImageSet,
    *,
    images: int = 3,
    side: int = 56,
    chosen: Sequence[str] = (),
    crop: tuple[int, int] | None = None,
    quiet: bool = True,
) -> list[Row]:
    """The images, and the places in them, where the models differ most.

    Args:
        models: by label; bicubic is added if it is missing. Captions have their PSNR (rgb8) over the whole image.
        image_set: opened at the same scale.
        images: how many images to show at most.
        quiet: no progress bar.
        side: of the square crops, in HR pixels.
        chosen: names of the images to show, in this order; by default those in which the models differ most.
        crop: left and top of the crop in HR pixels, in every image; by default where the models differ most.

    Raises:
        UsageError: an image that is not in the set, or a crop that is not within the image.
        SrKdError: an image that cannot be read.
    """
    protocol = find_protocol("rgb8")
    scale = image_set.scale
    for name in chosen:
        if name not in image_set.names:
            raise unknown_name(f"image of {image_set.name}", name, image_set.names)
    has_bicubic = any(upscaler.network is None for upscaler in models.values())
    shown = dict(models) if has_bicubic else {"bicubic": Upscaler(None, scale=scale), **models}
    rows: list[Row] = []
    wanted = [image_set.names.index(name) for name in chosen] or list(range(len(image_set)))
    with torch.inference_mode(), progress_bar(len(wanted), "montage", "image", quiet) as bar:
        for index in wanted:
            name = image_set.names[index]
            panels, planes = [], {}
            for label, upscaler in shown.items():
                upscaled = upscale_image(image_set, index, protocol, upscaler)
                score = score_image(name, upscaled.sr, upscaled.hr, protocol, scale, ("psnr",))
                panels.append(Panel(label, upscaled.image(), score.psnr or 0.0))
                planes[label] = luma(upscaled.sr.cpu())
            contenders = [plane for label, plane in planes.items() if shown[label].network is not None]
            place, difference = find_crop(contenders if len(contenders) > 1 else list(planes.values()), side, scale)
            hr = to_pixels(upscaled.hr)
            if crop is not None:
                place = _given_crop(crop, place[2], name, hr)
            rows.append(Row(name, hr, place, tuple(panels), difference))
            if not chosen:
                rows = sorted(rows, key=lambda row: -row.difference)[:images]
            bar.update()
    return rows


def _given_crop(crop: tuple[int, int], side: int, name: str, hr: np.ndarray) -> tuple[int, int, int]:
    left, top = crop
    height, width = hr.shape[:2]
    if not (0 <= left <= width - side and 0 <= top <= height - side):
        raise UsageError(
            f"the crop at {left},{top} with a side of {side} is not within {name} ({width}x{height}): "
            f"left is at most {width - side}, top at most {height - side}"
        )
    return top, left, side


def find_crop(planes: Sequence[Tensor], side: int, border: int) -> tuple[tuple[int, int, int], float]:
    """The square in which the planes differ most.

    Args:
        planes: (1, H, W) in levels, at least one.
        side: of the square, at most the image's shorter side.
        border: pixels at the image's edge that do not count.

    Returns:
        (top, left, side) and the mean variance over the planes inside.
    """
    variance = torch.stack(list(planes)).var(dim=0, unbiased=False)
    height, width = variance.shape[-2:]
    side = min(side, height, width)
    inner = torch.zeros_like(variance)
    inner[..., border : height - border, border : width - border] = 1
    rows = functional.avg_pool2d((variance * inner).double(), (side, 1), stride=1)
    means = functional.avg_pool2d(rows, (1, side), stride=1)[0]
    top, left = divmod(int(means.argmax()), means.shape[1])
    return (top, left, side), float(means.max())


def arrange(rows: Sequence[Row], title: str) -> Sheet:
    """The rows below each other: all of an image with a box, HR's crop, then the panels' crops, all of one height."""
    strips = [_tiles(row) for row in rows]
    lengths = [sum(tile.width + _GAP for tile in tiles) for tiles in strips]
    sheet = Sheet(round(max(lengths)) + _GAP)
    y = float(_GAP)
    for row, tiles, length in zip(rows, strips, lengths, strict=True):
        x = sheet.width - length  # right-aligned: the crops form columns
        top, left, side = row.crop
        high = side * _MAGNIFICATION
        ratio = high / row.hr.shape[0]
        sheet.frames.append(Frame(x + left * ratio, y + top * ratio, side * ratio, side * ratio))
        for tile in tiles:
            middle = x + tile.width / 2
            sheet.images.append(Placed(tile.pixels, x, y, tile.width, high))
            sheet.words.append(Words(_fitted(tile.label, tile.width, 20), middle, y + high + 23, 20))
            sheet.words.append(Words(tile.value, middle, y + high + 47, 18))
            x += tile.width + _GAP
        y += high + 56 + _GAP
    sheet.words.append(Words(title, _GAP, y + 18, 18, centered=False))
    sheet.height = round(y) + 18 + 2 * _GAP
    return sheet


@dataclass(frozen=True)
class _Tile:
    """What one column of a row shows, and how wide."""

    pixels: np.ndarray
    width: float
    label: str
    value: str = ""


def _tiles(row: Row) -> list[_Tile]:
    side = row.crop[2] * _MAGNIFICATION
    height, width = row.hr.shape[:2]
    best = max(panel.psnr for panel in row.panels)
    tiles = [_Tile(_rgb(row.hr), width * side / height, row.name), _Tile(_cut(row.hr, row.crop), side, "HR", "PSNR")]
    for panel in row.panels:
        mark = " (best)" if panel.psnr == best and len(row.panels) > 1 else ""
        tiles.append(_Tile(_cut(panel.pixels, row.crop), side, panel.label, f"{panel.psnr:.2f} dB{mark}"))
    return tiles


def _fitted(text: str, width: float, size: float) -> str:
    """The text, shortened in the middle until it is no wider than `width` pixels."""
    shortened, keep = text, len(text)
    while text_width(shortened, size) > width and keep > 2:
        keep -= 1
        shortened = f"{text[: (keep + 1) // 2]}...{text[len(text) - keep // 2 :]}"
    return shortened


def _cut(pixels: np.ndarray, crop: tuple[int, int, int]) -> np.ndarray:
    top, left, side = crop
    return _rgb(pixels)[top : top + side, left : left + side]


def _rgb(pixels: np.ndarray) -> np.ndarray:
    """(H, W, C) uint8 with three channels."""
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
