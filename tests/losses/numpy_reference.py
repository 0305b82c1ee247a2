"""NumPy in float64, written from the formulas: what the losses are compared with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn


def numerical_gradient(function: Callable[[np.ndarray], float], point: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Central differences in every coordinate."""
    gradient = np.zeros_like(point)
    for index in np.ndindex(point.shape):
        moved = point.copy()
        moved[index] = point[index] + step
        above = function(moved)
        moved[index] = point[index] - step
        gradient[index] = (above - function(moved)) / (2 * step)
    return gradient


def block_mean(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(N, C, H, W) averaged over blocks of rows x columns."""
    n, c, h, w = image.shape
    return image.reshape(n, c, h // rows, rows, w // columns, columns).mean((3, 5))


def convolve(image: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """'Same' cross-correlation: (N, C, H, W), weight (O, C, k, k)."""
    pad = weight.shape[2] // 2
    padded = np.pad(image, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(2, 3))
    made = np.einsum("nchwij,ocij->nohw", windows, weight)
    return made if bias is None else made + bias[:, None, None]


def transposed(image: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Stride 1 transposed convolution, weight (C, O, k, k): each pixel spreads its kernel."""
    k = weight.shape[2]
    n, _, h, w = image.shape
    made = np.zeros((n, weight.shape[1], h + k - 1, w + k - 1))
    for y in range(h):
        for x in range(w):
            made[:, :, y : y + k, x : x + k] += np.einsum("nc,coij->noij", image[:, :, y, x], weight)
    cut = k // 2
    return made[:, :, cut : cut + h, cut : cut + w] + bias[:, None, None]


def apply(module: nn.Module, image: np.ndarray) -> np.ndarray:
    """A sequence of the layers that the adapters are made of, with the module's own numbers."""
    if isinstance(module, nn.Sequential):
        for layer in module:
            image = apply(layer, image)
        return image
    values = {name: parameter.detach().double().numpy() for name, parameter in module.named_parameters()}
    if isinstance(module, nn.ConvTranspose2d):
        return transposed(image, values["weight"], values["bias"])
    if isinstance(module, nn.Conv2d):
        return convolve(image, values["weight"], values.get("bias"))
    if isinstance(module, nn.PReLU):
        return np.where(image > 0, image, values["weight"] * image)
    if isinstance(module, nn.LeakyReLU):
        return np.where(image > 0, image, module.negative_slope * image)
    if isinstance(module, nn.ReLU):
        return np.maximum(image, 0)
    if isinstance(module, nn.BatchNorm2d):  # in training mode: the batch's own statistics
        mean, variance = image.mean((0, 2, 3), keepdims=True), image.var((0, 2, 3), keepdims=True)
        scaled = (image - mean) / np.sqrt(variance + module.eps)
        return scaled * values["weight"][:, None, None] + values["bias"][:, None, None]
    raise TypeError(type(module))


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows (N, n) of length 1."""
    return rows / np.sqrt((rows**2).sum(1, keepdims=True))


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)
