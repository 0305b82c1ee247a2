import io

import numpy as np
import PIL.Image
import pytest
import skimage.data

from sr_kd.errors import SrKdError, UsageError
from sr_kd.imaging.upscaler import Upscaler

PHOTOGRAPH = skimage.data.astronaut()[:48, 100:164]


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    return Upscaler(None, scale=2, device="cpu")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
def test_a_truncated_pil_image_says_so(upscaler, kind):
    buffer = io.BytesIO()
    PIL.Image.fromarray(PHOTOGRAPH).save(buffer, kind)
    cut = buffer.getvalue()[: len(buffer.getvalue()) * 2 // 3]
    try:
        opened = PIL.Image.open(io.BytesIO(cut))
    except OSError:
        return  # Pillow refuses it before we see it
    with pytest.raises(SrKdError, match="the PIL image cannot be decoded: "):
        upscaler.upscale(opened)


def test_a_closed_pil_image_says_so(upscaler, tmp_path):
    PIL.Image.fromarray(PHOTOGRAPH).save(tmp_path / "x.png")
    with PIL.Image.open(tmp_path / "x.png") as opened:
        pass
    with pytest.raises(SrKdError, match="the PIL image cannot be decoded: "):
        upscaler.upscale(opened)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_sixteen_bit_gray_with_a_transparent_level_is_refused(upscaler, mode):
    image = PIL.Image.frombytes(mode, (8, 8), bytes(128))
    assert upscaler.upscale(image).size == (16, 16)
    image.info["transparency"] = 0
    with pytest.raises(UsageError, match="16-bit gray with a transparent level: PIL has no mode"):
        upscaler.upscale(image)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_a_transparent_color_of_eight_bits_becomes_alpha(upscaler, mode):
    image = PIL.Image.new(mode, (8, 8))
    image.info["transparency"] = (0, 0, 0) if mode == "RGB" else 0
    assert upscaler.upscale(image).getchannel("A").getextrema() == (0, 0)


def test_arrays_of_other_kinds(upscaler, tmp_path):
    gray = PHOTOGRAPH[..., 0].copy()
    with pytest.raises(UsageError, match=r"np\.matrix is no image: give np\.asarray"):
        upscaler.upscale(np.asmatrix(gray))
    masked = np.ma.array(gray, mask=gray == gray[0, 0])
    with pytest.raises(UsageError, match="masked array"):
        upscaler.upscale(masked)
    expected = upscaler.upscale(gray)
    mapped = np.memmap(tmp_path / "x", gray.dtype, "w+", shape=gray.shape)
    mapped[:] = gray
    for array in (np.ma.array(gray), mapped, gray.view(np.recarray), np.asfortranarray(gray)):
        result = upscaler.upscale(array)
        assert type(result) is np.ndarray
        np.testing.assert_array_equal(result, expected)
