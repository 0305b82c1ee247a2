"""Colors beside transparency."""

from __future__ import annotations

import cv2
import numpy as np


def bleed_colors(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Give fully transparent pixels the color of the nearest visible one.

    What such pixels hold is arbitrary, often black; a network would mix it into the edges and leave a
    dark fringe around what is visible.

    Args:
        pixels: (H, W, C).
        alpha: (H, W), straight.

    Returns:
        A new (H, W, C), or `pixels` itself where nothing or everything is transparent.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return pixels
    _, labels = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    visible = np.flatnonzero(~hidden)
    place = np.zeros(int(labels.max()) + 1, np.int64)
    place[labels.ravel()[visible]] = visible
    filled = pixels.copy()
    filled[hidden] = pixels.reshape(-1, pixels.shape[2])[place[labels[hidden]]]
    return filled
