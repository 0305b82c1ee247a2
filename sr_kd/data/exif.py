"""EXIF: the orientation is applied and reset, the rest stays."""

from __future__ import annotations

import numpy as np
import PIL.Image
from PIL.ExifTags import IFD, Base

# A TIFF file mixes what describes the image with what describes the file; only the former is kept.
DESCRIPTIVE = (
    Base.ImageDescription,
    Base.Make,
    Base.Model,
    Base.Software,
    Base.DateTime,
    Base.Artist,
    Base.HostComputer,
    Base.Copyright,
    Base.Orientation,
)
POINTERS = (IFD.Exif, IFD.GPSInfo)


def read_exif(opened: PIL.Image.Image) -> tuple[int, bytes | None]:
    """The orientation (1 to 8), and the EXIF data with the orientation reset, or None, of a loaded image.

    Unreadable EXIF data counts as none: an image is not lost for it.
    """
    try:
        exif = opened.getexif()
        orientation = int(exif.get(Base.Orientation, 1))
        if opened.format == "TIFF":
            for tag in [tag for tag in exif if tag not in DESCRIPTIVE and tag not in POINTERS]:
                del exif[tag]
        if Base.Orientation in exif:
            exif[Base.Orientation] = 1
        content = [tag for tag in exif if opened.format != "TIFF" or tag != Base.Orientation]
        return (orientation if 1 <= orientation <= 8 else 1), (exif.tobytes() if content else None)
    except Exception:  # Pillow raises whatever the damage leads to
        return 1, None


def resize_exif(exif: bytes | None, width: int, height: int) -> bytes | None:
    """The EXIF data with the sizes that it states brought up to date."""
    if exif is None:
        return None
    parsed = load_exif(exif)
    detail = parsed.get_ifd(IFD.Exif)
    for directory, tags in (
        (parsed, (Base.ImageWidth, Base.ImageLength)),
        (detail, (Base.ExifImageWidth, Base.ExifImageHeight)),
    ):
        for tag, value in zip(tags, (width, height), strict=True):
            if tag in directory:
                directory[tag] = value
    return parsed.tobytes()


def load_exif(exif: bytes) -> PIL.Image.Exif:
    """Parsed EXIF data."""
    parsed = PIL.Image.Exif()
    parsed.load(exif)
    return parsed


def orient(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Samples (H, W, ...) stored with this EXIF orientation, turned upright (a view)."""
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples
