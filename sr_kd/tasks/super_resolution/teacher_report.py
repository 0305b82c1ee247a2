"""What did the privileged teacher learn? Its score on HR, how LR-like its compact feature is, its decoder on LR."""

from __future__ import annotations

import torch
from torch import Tensor

from ...data.color import gray_to_y, rgb_to_y
from ...data.sets import ImageSet
from ...distributed import World
from ...evaluation.metrics.psnr import psnr
from ...evaluation.protocols import to_pixels
from ...networks.base import Color
from ...networks.teacher import PrivilegedTeacher
from ...training.task import Keep
from .strip import make_teacher_strip

LARGEST_PSNR = 120.0  # of identical images; the logs want a number


@torch.no_grad()
def privileged_scores(
    teacher: PrivilegedTeacher, images: ImageSet, world: World, keep: Keep | None = None
) -> list[float]:
    """PSNR in dB of teacher(HR) for this rank's share of the images, `scale` pixels cropped at the border.

    Args:
        keep: called with what the teacher makes of every image, in its own color.
    """
    teacher.eval()
    scores = []
    for index in range(world.rank, len(images), world.size):
        lr, hr = _tensors(images, index, teacher.color, world.device)
        sr, compact = teacher(hr)
        if keep is not None:
            strip = make_teacher_strip(lr, compact, sr, hr) if index == 0 else None
            keep(images.name, images.names[index], to_pixels(255 * sr[0]), strip)
        scores.append(_psnr(sr, hr, teacher.scale))
    return scores


@torch.no_grad()
def teacher_report(teacher: PrivilegedTeacher, images: ImageSet, device: torch.device) -> dict[str, float]:
    """Means over a set, PSNR in dB.

    Returns:
        teacher_on_hr: the privileged output against HR; decoder_on_lr: the decoder fed real LR;
        encoder_against_lr: the compact feature against LR, and encoder_against_lr_affine after the
        best affine fit (a weak imitation loss leaves a stretched LR). Without the latter two where
        the compact feature is wider than LR.
    """
    teacher.eval()
    sums: dict[str, float] = {}
    for index in range(len(images)):
        lr, hr = _tensors(images, index, teacher.color, device)
        sr, compact = teacher(hr)
        values = {"teacher_on_hr": _psnr(sr, hr, teacher.scale)}
        if compact.shape == lr.shape:
            values["decoder_on_lr"] = _psnr(teacher.decoder(lr), hr, teacher.scale)
            values["encoder_against_lr"] = _psnr(compact, lr, 1)
            values["encoder_against_lr_affine"] = _psnr(_best_affine(compact, lr), lr, 1)
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + value
    return {name: total / len(images) for name, total in sums.items()}


def _tensors(images: ImageSet, index: int, color: Color, device: torch.device) -> tuple[Tensor, Tensor]:
    pair = images.read(index)

    def convert(pixels: Tensor) -> Tensor:
        image = pixels.to(device).permute(2, 0, 1).unsqueeze(0).float() / 255
        if color == "rgb":
            return image.expand(-1, 3, -1, -1)
        return rgb_to_y(image) if image.shape[1] == 3 else gray_to_y(image)

    return convert(torch.from_numpy(pair.lr)), convert(torch.from_numpy(pair.hr))


def _psnr(image: Tensor, reference: Tensor, border: int) -> float:
    """PSNR with peak 1 of an image clamped to [0, 1], in dB, at most 120; without a border of so many pixels."""
    inner = slice(border, -border)
    sr, hr = (each[..., inner, inner].cpu().double() for each in (image.clamp(0, 1), reference))
    return min(psnr(sr, hr, peak=1.0), LARGEST_PSNR)


def _best_affine(image: Tensor, reference: Tensor) -> Tensor:
    """``a * image + b`` with the least squared error against the reference."""
    centered, target = image - image.mean(), reference - reference.mean()
    slope = (centered * target).sum() / centered.square().sum().clamp(min=1e-12)
    return slope * centered + reference.mean()
