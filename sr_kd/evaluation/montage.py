"""A comparison image: HR with a box, and the magnified crops of HR, bicubic and every model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from ..data.sets import ImageSet
from ..imaging.upscaler import Upscaler
from ..progress import progress_bar
from .benchmark import score_image, upscale_image
from .protocols import find_protocol, luma, to_pixels

_MAGNIFICATION = 4
_GAP = 12
_INK, _PAPER, _BOX = (20, 20, 20), (255, 255, 255), (230, 30, 30)


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
    models: Mapping[str, Upscaler],
    image_set: ImageSet,
    *,
    images: int = 3,
    side: int = 56,
    quiet: bool = True,
) -> np.ndarray:
    """Draw the images, and the places in them, where the models differ most.

    PSNR in the captions is that of protocol rgb8, over the whole image.

    Args:
        models: by label; bicubic is added if it is missing.
        image_set: opened at the same scale.
        images: how many images to show at most.
        side: of the square crops, in HR pixels.
        quiet: no progress bar.

    Returns:
        (H, W, 3) uint8.

    Raises:
        SrKdError: an image that cannot be read.
    """
    protocol = find_protocol("rgb8")
    scale = image_set.scale
    has_bicubic = any(upscaler.network is None for upscaler in models.values())
    shown = dict(models) if has_bicubic else {"bicubic": Upscaler(None, scale=scale), **models}
    rows: list[Row] = []
    with torch.inference_mode(), progress_bar(len(image_set), "montage", "image", quiet) as bar:
        for index, name in enumerate(image_set.names):
            panels, planes = [], {}
            for label, upscaler in shown.items():
                upscaled = upscale_image(image_set, index, protocol, upscaler)
                score = score_image(name, upscaled.sr, upscaled.hr, protocol, scale, ("psnr",))
                panels.append(Panel(label, upscaled.image(), score.psnr or 0.0))
                planes[label] = luma(upscaled.sr.cpu())
            contenders = [plane for label, plane in planes.items() if shown[label].network is not None]
            crop, difference = find_crop(contenders if len(contenders) > 1 else list(planes.values()), side, scale)
            rows.append(Row(name, to_pixels(upscaled.hr), crop, tuple(panels), difference))
            rows = sorted(rows, key=lambda row: -row.difference)[:images]
            bar.update()
    title = f"{image_set.name} x{scale}; PSNR over the whole image, protocol rgb8"
    return draw(rows, title)


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
    means = functional.avg_pool2d((variance * inner).double(), side, stride=1)[0]
    top, left = divmod(int(means.argmax()), means.shape[1])
    return (top, left, side), float(means.max())


def draw(rows: Sequence[Row], title: str) -> np.ndarray:
    """The rows below each other, on white, with the title at the bottom: (H, W, 3) uint8."""
    images = [_draw_row(row) for row in rows]
    font = ImageFont.load_default(18)
    width = max(image.width for image in images) + 2 * _GAP
    height = sum(image.height + _GAP for image in images) + 18 + 3 * _GAP
    sheet = PillowImage.new("RGB", (width, height), _PAPER)
    top = _GAP
    for image in images:
        sheet.paste(image, (width - _GAP - image.width, top))  # right-aligned: the crops form columns
        top += image.height + _GAP
    ImageDraw.Draw(sheet).text((_GAP, top), title, _INK, font)
    return np.array(sheet)


def _draw_row(row: Row) -> PillowImage.Image:
    """The whole HR image with a box, HR's crop, then the panels' crops, all of one height."""
    top, left, side = row.crop
    tile = side * _MAGNIFICATION
    whole = _pillow(row.hr)
    ratio = tile / whole.height
    overview = whole.resize((max(1, round(whole.width * ratio)), tile), PillowImage.Resampling.LANCZOS)
    box = [round(edge * ratio) for edge in (left, top, left + side, top + side)]
    ImageDraw.Draw(overview).rectangle(box, outline=_BOX, width=3)

    def crop(pixels: np.ndarray) -> PillowImage.Image:
        part = _pillow(pixels[top : top + side, left : left + side])
        return part.resize((tile, tile), PillowImage.Resampling.NEAREST)

    best = max(panel.psnr for panel in row.panels)
    tiles = [(overview, row.name, ""), (crop(row.hr), "HR", "PSNR")]
    for panel in row.panels:
        mark = " (best)" if panel.psnr == best and len(row.panels) > 1 else ""
        tiles.append((crop(panel.pixels), panel.label, f"{panel.psnr:.2f} dB{mark}"))
    fonts = ImageFont.load_default(20), ImageFont.load_default(18)
    width = sum(image.width + _GAP for image, _, _ in tiles) - _GAP
    strip = PillowImage.new("RGB", (width, tile + 56), _PAPER)
    canvas = ImageDraw.Draw(strip)
    x = 0
    for image, label, value in tiles:
        strip.paste(image, (x, 0))
        middle = x + image.width / 2
        canvas.text((middle, tile + 23), _fitted(label, image.width, fonts[0]), _INK, fonts[0], anchor="ms")
        canvas.text((middle, tile + 47), value, _INK, fonts[1], anchor="ms")
        x += image.width + _GAP
    return strip


def _fitted(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, shortened in the middle until it is no wider than `width` pixels."""
    shortened, keep = text, len(text)
    while font.getlength(shortened) > width and keep > 2:
        keep -= 1
        shortened = f"{text[: (keep + 1) // 2]}...{text[len(text) - keep // 2 :]}"
    return shortened


def _pillow(pixels: np.ndarray) -> PillowImage.Image:
    """(H, W, C) uint8 as an RGB image."""
    squeezed = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    return PillowImage.fromarray(np.ascontiguousarray(squeezed)).convert("RGB")
