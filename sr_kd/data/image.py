"""Image files: pixels, transparency, bit depth and metadata, read once and written atomically."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFile

from ..errors import SrKdError, UsageError
from ..files import atomic_path
from .encode import encode_image
from .exif import orient, read_exif
from .image16 import decode_deep, deep_format
from .plain import plain
from .png import read_color

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".avif": "AVIF",
}
SUFFIXES = frozenset({*FORMATS, ".gif"})
LONGEST_SIDE = {"WEBP": 16_383, "JPEG": 65_500, "AVIF": 65_536}
SPECIAL = "it is a pipe, socket or device; copy it to a file first"
STRIPE_BYTES = 2**19  # what a processor's cache holds


@dataclass(frozen=True)
class Metadata:
    """What a file says about its image: color profile, EXIF (upright), dots per inch, PNG text and PNG's other
    chunks about color, by name with their raw content."""

    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: Mapping[str, str] = field(default_factory=dict)
    png_color: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """One decoded image.

    Attributes:
        pixels: (H, W, C) uint8 or uint16, C = 1 (gray) or 3 (RGB).
        alpha: (H, W) of the same type, straight (colors are not multiplied by it), or None.
        metadata: what the file says about the image.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    metadata: Metadata = Metadata()

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        """1 (gray) or 3 (RGB), alpha not counted."""
        return int(self.pixels.shape[2])

    @property
    def samples(self) -> int:
        """Channels with alpha: 1 to 4."""
        return self.channels + (self.alpha is not None)

    @property
    def bit_depth(self) -> int:
        """8 or 16."""
        return 8 * self.pixels.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Of pixels and transparency."""
        return self.pixels.nbytes + (0 if self.alpha is None else self.alpha.nbytes)

    @property
    def peak(self) -> int:
        """The value of white: 255 or 65535."""
        return 2**self.bit_depth - 1

    def stripes(self) -> Iterator[np.ndarray]:
        """Some rows at a time, from the top: (rows, W, samples), alpha as the last channel."""
        rows = max(1, STRIPE_BYTES * self.height // self.nbytes)
        for top in range(0, self.height, rows):
            part = self.pixels[top : top + rows]
            if self.alpha is not None:
                part = np.concatenate([part, self.alpha[top : top + rows, :, None]], axis=2)
            yield part


def read_image(path: Path | str) -> Image:
    """Read an image file: upright, palette and transparency expanded, CMYK converted, depth kept.

    Raises:
        SrKdError: no such file, not an image, damaged, animated, or of an unsupported kind.
    """
    try:
        if is_special(Path(path)):
            raise SrKdError(f"cannot read {path}: {SPECIAL}")
        data = Path(path).read_bytes()
    except OSError as error:
        link = f" (it is a symbolic link to {Path(path).readlink()})" if Path(path).is_symlink() else ""
        raise SrKdError(f"cannot read {path}: {error.strerror or error}{link}") from None
    return decode_image(data, str(path))


def is_special(path: Path) -> bool:
    """Whether it is neither a file nor a folder; reading from it might wait for ever."""
    return path.exists() and not path.is_file() and not path.is_dir()


def decode_image(data: bytes, name: str) -> Image:
    """As `read_image`, from memory. `name` is what errors call the image."""
    if not data:
        raise SrKdError(f"cannot read {name}: the file is empty")
    try:
        with PIL.Image.open(io.BytesIO(data)) as opened:
            return _decode(opened, data)
    except PIL.UnidentifiedImageError:
        raise SrKdError(
            f"cannot read {name}: the content is no image of a known format ({', '.join(sorted(SUFFIXES))})"
        ) from None
    except PIL.Image.DecompressionBombError:
        most = 2 * (PIL.Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise SrKdError(
            f"cannot read {name}: it has more than {most:.0f} megapixels, the limit "
            "(in Python, PIL.Image.MAX_IMAGE_PIXELS is half of it); cut it into parts"
        ) from None
    except SrKdError as error:
        raise SrKdError(f"cannot read {name}: {error}") from None
    except MemoryError:
        raise SrKdError(f"cannot read {name}: not enough memory") from None
    except Exception as error:  # a decoder fed damaged data may raise anything
        raise SrKdError(f"cannot read {name}: damaged or unsupported ({error})") from None


def write_image(path: Path | str, image: Image, *, quality: int | None = None) -> None:
    """Write an image file atomically, with its metadata; the suffix of `path` says the format.

    PNG and TIFF keep every kind of image exactly; WebP is lossless unless a quality is given; BMP,
    JPEG, WebP and AVIF hold 8 bits.

    Args:
        path: where to; its folder is made if needed.
        image: what to write.
        quality: 1 to 100 for JPEG, WebP and AVIF (default 95, lossless, 90).

    Raises:
        UsageError: a suffix that cannot be written.
        SrKdError: the format cannot hold the image, or the file cannot be written.
    """
    path = Path(path)
    kind = output_format(path.suffix)
    check_holds(path, image.width, image.height, transparent=image.alpha is not None)
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            encode_image(file, image, kind, quality)
    except (ValueError, KeyError) as error:
        raise SrKdError(f"cannot write {path}: {error}") from None


def output_format(suffix: str) -> str:
    """The format that a suffix stands for. Raises UsageError for one that cannot be written."""
    if suffix.lower() not in FORMATS:
        raise UsageError(f"cannot write '{suffix}' files; use one of {', '.join(sorted(FORMATS))}")
    return FORMATS[suffix.lower()]


def check_holds(path: Path | str, width: int, height: int, *, transparent: bool) -> None:
    """Refuse, with an SrKdError, an image that the format of `path` cannot hold."""
    kind = output_format(Path(path).suffix)
    if transparent and kind in ("JPEG", "BMP"):
        raise SrKdError(f"cannot write {path}: {kind} has no transparency; use .png, .webp, .tiff or .avif")
    longest = LONGEST_SIDE.get(kind, max(width, height))
    if max(width, height) > longest:
        raise SrKdError(
            f"cannot write {path}: {width}x{height} pixels, {kind} holds at most {longest} a side; use .png"
        )


def count_frames(opened: PIL.Image.Image) -> str | None:
    """What to say of an animation or of several pages; None for a single image."""
    if opened.format == "MPO":  # phones store a preview behind the photograph
        return None
    try:
        frames = getattr(opened, "n_frames", 1)
    except ValueError:  # the file is closed, and no longer tells
        return None
    what = "pages; split them into files" if opened.format == "TIFF" else "frames; animations are not supported"
    return f"this {opened.format} has {frames} {what}" if frames > 1 else None


def _decode(opened: PIL.ImageFile.ImageFile, data: bytes) -> Image:
    if several := count_frames(opened):
        raise SrKdError(several)
    deep = deep_format(opened)
    opened.load()
    rotation, exif = read_exif(opened)
    metadata = _metadata(opened, exif)
    if opened.format == "PNG":
        metadata = replace(metadata, png_color=read_color(data))
    if deep:
        samples = decode_deep(data, gray=deep == "gray", transparent=opened.info.get("transparency"))
    else:
        flat, icc = plain(opened, metadata.icc)
        metadata = replace(metadata, icc=icc)
        samples = np.asarray(flat)
    if opened.format != "TIFF":  # Pillow and OpenCV turn TIFF upright themselves, and nothing else
        samples = orient(samples, rotation)
    samples = np.ascontiguousarray(samples if samples.ndim == 3 else samples[..., None])
    if samples.shape[2] in (1, 3):
        return Image(samples, None, metadata)
    return Image(np.ascontiguousarray(samples[..., :-1]), np.ascontiguousarray(samples[..., -1]), metadata)


def _metadata(opened: PIL.Image.Image, exif: bytes | None) -> Metadata:
    dpi = opened.info.get("dpi")
    text = {
        str(key): str(value)
        for key, value in getattr(opened, "text", {}).items()
        if not str(key).startswith("Raw profile type")  # EXIF and ICC in disguise, kept as such
    }
    usable = dpi is not None and all(0 < float(value) < 1e6 for value in dpi)
    return Metadata(
        icc=opened.info.get("icc_profile") or None,
        exif=exif,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi is not None and usable else None,
        text=text,
    )
