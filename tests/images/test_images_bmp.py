"""Every way to store a BMP file, written by hand; and AVIF files that are turned by their own boxes."""

import io
import struct

import numpy as np
import PIL.Image
import pytest
import skimage.data

from sr_kd.images import decode_image

PHOTOGRAPH = skimage.data.astronaut()[:48, 100:164]
COLORS = np.random.default_rng(0).integers(0, 256, (256, 3)).astype(np.uint8)
ALPHA = np.linspace(0, 255, 48 * 64).astype(np.uint8).reshape(48, 64)


def bmp(width: int, height: int, bits: int, pixels: bytes, compression: int = 0, masks: bytes = b"") -> bytes:
    """A palette is COLORS; masks make a header of version 5."""
    palette = np.dstack([COLORS[None, :, ::-1], np.zeros((1, 256), np.uint8)]).tobytes() if bits == 8 else b""
    size = 124 if masks else 40
    offset = 14 + size + len(palette)
    header = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, compression, len(pixels), 0, 0, 0, 0)
    header = (header + masks).ljust(size, b"\0")
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + header + palette + pixels


def test_runs_with_a_jump() -> None:
    """Source: https://learn.microsoft.com/windows/win32/gdi/bitmap-compression"""
    levels = np.repeat(np.arange(8), 16).reshape(8, 16)
    levels[3, 4:10], levels[3, 10:] = 0, 99
    rows = [bytes([16, level, 0, 0]) for level in range(8)]
    rows[3] = bytes([4, 3, 0, 2, 6, 0, 6, 99, 0, 0])  # four pixels, six to the right, six pixels
    image = decode_image(bmp(16, 8, 8, b"".join(rows[::-1])[:-2] + b"\0\1", 1), "x.bmp")
    np.testing.assert_array_equal(image.pixels, COLORS[levels])


def test_runs_of_a_gray_palette() -> None:
    colored = np.dstack([COLORS[None, :, ::-1], np.zeros((1, 256), np.uint8)]).tobytes()
    grays = bytes(level for gray in range(255, -1, -1) for level in (gray, gray, gray, 0))
    data = bmp(16, 2, 8, bytes([16, 9, 0, 0, 16, 200, 0, 1]), 1)
    assert data.count(colored) == 1
    image = decode_image(data.replace(colored, grays), "x.bmp")
    np.testing.assert_array_equal(image.pixels[:, :, 0], [[55] * 16, [246] * 16])


@pytest.mark.parametrize("height", [48, -48])
def test_rows_from_below_or_from_above(height: int) -> None:
    stored = PHOTOGRAPH[:: 1 if height < 0 else -1, :, ::-1]
    np.testing.assert_array_equal(decode_image(bmp(64, height, 24, stored.tobytes()), "x.bmp").pixels, PHOTOGRAPH)


def test_the_fourth_byte_is_alpha_where_a_mask_says_so() -> None:
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    for fourth, said in ((ALPHA, masks), (np.zeros_like(ALPHA), b"")):
        stored = np.dstack([PHOTOGRAPH[..., ::-1], fourth])[::-1].tobytes()
        image = decode_image(bmp(64, 48, 32, stored, 3 if said else 0, said), "x.bmp")
        np.testing.assert_array_equal(image.pixels, PHOTOGRAPH)
        assert (image.alpha is not None) == bool(said)
        if image.alpha is not None:
            np.testing.assert_array_equal(image.alpha, ALPHA)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_file_is_turned_once(orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation  # Pillow writes it as irot and imir
    buffer = io.BytesIO()
    PIL.Image.fromarray(PHOTOGRAPH).save(buffer, "AVIF", quality=100, subsampling="4:4:4", exif=exif)
    upright = {
        1: PHOTOGRAPH,
        2: PHOTOGRAPH[:, ::-1],
        3: PHOTOGRAPH[::-1, ::-1],
        4: PHOTOGRAPH[::-1],
        5: PHOTOGRAPH.transpose(1, 0, 2),
        6: np.rot90(PHOTOGRAPH, -1),
        7: np.rot90(PHOTOGRAPH, 2).transpose(1, 0, 2),
        8: np.rot90(PHOTOGRAPH),
    }[orientation]
    image = decode_image(buffer.getvalue(), "x.avif")
    assert image.pixels.shape == upright.shape
    assert np.abs(image.pixels.astype(int) - upright).mean() < 2
