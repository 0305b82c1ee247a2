"""LR patches as cameras and web sites make them: blur, shrinking, noise and JPEG in random order.

Random order: BSRGAN (Zhang, Liang, Van Gool, Timofte, ICCV 2021), <https://arxiv.org/abs/2103.14006>. Ranges and
their names: Real-ESRGAN (Wang, Xie, Dong, Shan, ICCVW 2021), <https://arxiv.org/abs/2107.10833>. Each acts once here.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import AfterValidator, Field

from ..config.section import Fraction, NonNegative, Positive, Section
from .resize import resize_pixels
from .sampler import key_of

_OPENCV = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"[lowest, highest], such as [{limits[1]:g}, {limits[0]:g}]")
    return limits


Quality = Annotated[int, Field(ge=1, le=100)]
PositiveRange = Annotated[tuple[Positive, Positive], AfterValidator(_ascending)]
NonNegativeRange = Annotated[tuple[NonNegative, NonNegative], AfterValidator(_ascending)]
QualityRange = Annotated[tuple[Quality, Quality], AfterValidator(_ascending)]


class Degradation(Section):
    """How LR patches are made of HR patches in training: blur, shrinking, noise and JPEG in random order.

    Attributes:
        blur_prob: probability of a Gaussian blur.
        blur_sigma: [lowest, highest] standard deviation of the blur, in HR pixels.
        anisotropic_prob: probability that the blur has two of them, along axes at a random angle.
        resize_kernels: one of them, at random, shrinks the patch; bilinear and bicubic do not antialias.
        noise_prob: probability of noise.
        gaussian_noise_prob: probability that noise is Gaussian; otherwise it is Poisson.
        noise_range: [lowest, highest] standard deviation of Gaussian noise, in levels of 255.
        poisson_scale_range: [lowest, highest] factor of Poisson noise: 1 is that of 255 photons in white.
        gray_noise_prob: probability of the same noise in all channels.
        jpeg_prob: probability of JPEG compression.
        jpeg_range: [lowest, highest] quality, 1 to 100.
    """

    blur_prob: Fraction = 0.8
    blur_sigma: PositiveRange = (0.2, 3.0)
    anisotropic_prob: Fraction = 0.5
    resize_kernels: list[Literal["area", "bilinear", "bicubic", "matlab_bicubic"]] = Field(
        default=["area", "bilinear", "bicubic"], min_length=1
    )
    noise_prob: Fraction = 0.8
    gaussian_noise_prob: Fraction = 0.5
    noise_range: NonNegativeRange = (1.0, 25.0)
    poisson_scale_range: NonNegativeRange = (0.05, 2.5)
    gray_noise_prob: Fraction = 0.4
    jpeg_prob: Fraction = 0.8
    jpeg_range: QualityRange = (30, 95)


def generator_of(seed: int, stream: str, iteration: int, index: int) -> np.random.Generator:
    """The random numbers of one sample, `index` in the global batch of an iteration: the same in every process."""
    counter = np.array([0, index, iteration, 0], np.uint64)  # the lowest word counts the numbers drawn
    return np.random.Generator(np.random.Philox(counter=counter, key=key_of(seed, f"{stream}/degradation")))


def degrade(hr: np.ndarray, scale: int, options: Degradation, random: np.random.Generator) -> np.ndarray:
    """An LR patch of an HR patch; what lies beyond its borders is mirrored.

    Args:
        hr: (H, W, C) uint8, C = 1 (gray) or 3 (RGB), sides multiples of `scale`.
        scale: how many times smaller.
        random: all that is random is drawn from it.

    Returns:
        (H / scale, W / scale, C) uint8, rounded once at the end and wherever JPEG or "matlab_bicubic" need it.

    >>> degrade(np.zeros((96, 96, 3), np.uint8), 4, Degradation(), generator_of(0, "student", 0, 0)).shape
    (24, 24, 3)
    """
    small = hr.shape[0] // scale, hr.shape[1] // scale
    image = hr.astype(np.float32)
    for step in random.permutation(4):
        if step == 0 and random.random() < options.blur_prob:
            # A blur of the lens is as wide after shrinking as before, in the scene.
            image = _filtered(image, blur_kernel(options, random, image.shape[0] / hr.shape[0]))
        elif step == 1:
            image = _shrunk(image, small, options.resize_kernels[int(random.integers(len(options.resize_kernels)))])
        elif step == 2 and random.random() < options.noise_prob:
            image = image + noise(image, options, random)
        elif step == 3 and random.random() < options.jpeg_prob:
            low, high = options.jpeg_range
            image = compressed(_bytes(image), int(random.integers(low, high + 1))).astype(np.float32)
    return _bytes(image)


def blur_kernel(options: Degradation, random: np.random.Generator, size: float = 1.0) -> np.ndarray:
    """A Gaussian kernel (K, K) whose sum is 1, cut off at three standard deviations.

    Args:
        size: of the image that is blurred, relative to HR: standard deviations shrink with it.
    """
    first = second = random.uniform(*options.blur_sigma) * size
    angle = 0.0
    if random.random() < options.anisotropic_prob:
        second, angle = random.uniform(*options.blur_sigma) * size, random.uniform(0, math.pi)
    radius = max(1, math.ceil(3 * max(first, second)))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    kernel = np.exp(-0.5 * ((along / first) ** 2 + (across / second) ** 2))
    return np.asarray(kernel / kernel.sum(), np.float32)


def noise(image: np.ndarray, options: Degradation, random: np.random.Generator) -> np.ndarray:
    """Noise (H, W, 1 or C) for an image (H, W, C) in 0..255, in its levels."""
    if random.random() < options.gray_noise_prob:
        image = image.mean(axis=2, keepdims=True)
    if random.random() < options.gaussian_noise_prob:
        return random.standard_normal(image.shape, np.float32) * np.float32(random.uniform(*options.noise_range))
    photons = image.clip(0, 255)
    scale = random.uniform(*options.poisson_scale_range)
    return ((random.poisson(photons) - photons) * scale).astype(np.float32)


def compressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    """What JPEG makes of (H, W, C) uint8 at a quality of 1 to 100, its colors at half the size."""
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED)).reshape(pixels.shape)
    return np.ascontiguousarray(decoded[..., ::-1])


def _filtered(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT).reshape(image.shape)


def _shrunk(image: np.ndarray, size: tuple[int, int], kernel: str) -> np.ndarray:
    if kernel == "matlab_bicubic":
        return resize_pixels(_bytes(image), size).astype(np.float32)
    small = cv2.resize(image, (size[1], size[0]), interpolation=_OPENCV[kernel])
    return small.reshape(*size, image.shape[2])


def _bytes(image: np.ndarray) -> np.ndarray:
    return np.rint(image).clip(0, 255).astype(np.uint8)
