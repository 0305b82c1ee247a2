"""16-bit color, which Pillow cannot hold: OpenCV decodes it."""

from __future__ import annotations

from typing import Any, BinaryIO, Literal, cast

import cv2
import numpy as np
import PIL.ImageFile

from ..errors import SrKdError

BITS_PER_SAMPLE = 258


def deep_format(opened: PIL.ImageFile.ImageFile) -> Literal["gray", "color"] | None:
    """Whether an opened, not yet loaded PNG or TIFF has 16 bits a sample, and of which kind."""
    if opened.format == "PNG":
        stream = cast(BinaryIO, opened.fp)
        position = stream.tell()
        stream.seek(24)
        depth, color_type = stream.read(2)
        stream.seek(position)
        return None if depth != 16 else ("gray" if color_type in (0, 4) else "color")
    if opened.format == "TIFF":
        tags: Any = getattr(opened, "tag_v2", {})
        if set(tags.get(BITS_PER_SAMPLE, (1,))) == {16} and opened.mode != "CMYK":
            return "gray" if opened.mode.startswith("I;16") else "color"
    return None


def decode_deep(data: bytes, gray: bool, transparent: object = None) -> np.ndarray:
    """(H, W, C) uint16: gray (1 sample, 2 with alpha) or RGB (3, 4 with alpha).

    Args:
        data: the file.
        gray: what `deep_format` said.
        transparent: the level of gray that a PNG declares to be transparent; OpenCV expands that of colors alone.

    Raises:
        SrKdError: OpenCV cannot decode it, or not with 16 bits.
    """
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.dtype != np.uint16:
        raise SrKdError("damaged, or of an unsupported 16-bit kind")
    if samples.ndim == 2:
        if isinstance(transparent, int):
            return np.dstack([samples, np.where(samples == transparent, 0, 65535).astype(np.uint16)])
        return samples[..., None]
    if gray:
        return samples[..., [0, 3]] if samples.shape[2] == 4 else samples[..., :1]
    return samples[..., [2, 1, 0, 3][: samples.shape[2]]]
