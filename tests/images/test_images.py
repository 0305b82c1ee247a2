import io
import os
import struct
import tracemalloc
import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_kd.errors import SrKdError, UsageError
from sr_kd.images import SUFFIXES, Image, Metadata, decode_image, read_image, write_image
from sr_kd.images.write import encode_image

PHOTOGRAPH = skimage.data.astronaut()[:48, 100:164]  # 48 x 64


@cache  # a profile says when it was made
def profile(space: str = "sRGB") -> bytes:
    if space == "GRAY":  # Pillow makes none, and only the header counts here
        return profile()[:16] + b"GRAY" + profile()[20:]
    return PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile(space)).tobytes()


def exif(orientation: int = 1) -> PIL.Image.Exif:
    data = PIL.Image.Exif()
    data[0x010F], data[0x0110], data[0x0112] = "Maker", "Camera 1", orientation
    detail = data.get_ifd(0x8769)
    detail[0x9003], detail[0xA002], detail[0xA003] = "2024:05:06 07:08:09", 64, 48
    data.get_ifd(0x8825)[1] = "N"
    return data


def parsed(image: Image) -> PIL.Image.Exif:
    data = PIL.Image.Exif()
    data.load(image.metadata.exif)
    return data


def deep(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    """16-bit samples whose low bytes matter."""
    low = np.random.default_rng(seed).integers(0, 256, pixels.shape)
    return (pixels.astype(np.uint16) << 8) | low.astype(np.uint16)


def saved(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def raw_png(samples: np.ndarray, extra: bytes = b"") -> bytes:
    """A PNG written by hand, without any filter: independent of the writer under test."""
    height, width, count = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 8 * samples.itemsize, {1: 0, 2: 4, 3: 2, 4: 6}[count], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in samples)
    parts = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


# --- what is read ---


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_reads_sixteen_bit_png(count):
    samples = np.random.default_rng(count).integers(0, 65536, (5, 7, count)).astype(np.uint16)
    image = decode_image(raw_png(samples), "x.png")
    colors = count - (count % 2 == 0)
    assert image.bit_depth == 16 and image.peak == 65535
    assert (image.height, image.width, image.channels) == (5, 7, colors)
    np.testing.assert_array_equal(image.pixels, samples[..., :colors])
    assert (image.alpha is None) == (count % 2 == 1)
    if image.alpha is not None:
        np.testing.assert_array_equal(image.alpha, samples[..., -1])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_reads_every_format(kind):
    data = saved(PIL.Image.fromarray(PHOTOGRAPH), kind)
    expected = np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB"))
    image = decode_image(data, "x")
    assert image.alpha is None and image.bit_depth == 8
    np.testing.assert_array_equal(image.pixels, expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P"])
def test_reads_every_png_mode(mode):
    source = PIL.Image.fromarray(PHOTOGRAPH).convert(mode)
    image = decode_image(saved(source, "PNG"), "x.png")
    assert image.channels == (1 if mode in ("1", "L", "LA") else 3)
    assert (image.alpha is not None) == mode.endswith("A")
    shown = source.convert("L" if image.channels == 1 else "RGB")
    np.testing.assert_array_equal(image.pixels.squeeze(), np.asarray(shown))


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_with_transparency_is_expanded(kind):
    source = PIL.Image.fromarray(PHOTOGRAPH).quantize(16)
    image = decode_image(saved(source, kind, transparency=3), "x")
    np.testing.assert_array_equal(image.alpha == 0, np.asarray(source) == 3)
    np.testing.assert_array_equal(image.pixels, np.asarray(source.convert("RGB")))


def test_a_gif_frame_that_does_not_cover_the_canvas():
    data = bytearray(saved(PIL.Image.fromarray(PHOTOGRAPH).quantize(16), "GIF"))
    height, width = PHOTOGRAPH.shape[:2]
    frame = decode_image(bytes(data), "x").pixels
    data[6:10] = struct.pack("<HH", width + 6, height + 2)
    image = decode_image(bytes(data), "x")
    assert image.pixels.shape == (height + 2, width + 6, 3) and not image.transparent
    np.testing.assert_array_equal(image.pixels[:height, :width], frame)
    assert not np.ptp(image.pixels[height:], axis=(0, 1)).any()


def test_an_animated_png_of_one_frame_is_an_image():
    buffer = io.BytesIO()
    encode_image(buffer, Image(deep(PHOTOGRAPH)), "PNG")
    content = b"acTL" + struct.pack(">II", 1, 0)
    data = buffer.getvalue()
    chunk = struct.pack(">I", 8) + content + struct.pack(">I", zlib.crc32(content))
    np.testing.assert_array_equal(decode_image(data[:33] + chunk + data[33:], "x").pixels, deep(PHOTOGRAPH))


def test_gray_with_a_transparent_level():
    source = PIL.Image.fromarray(PHOTOGRAPH).convert("L")
    image = decode_image(saved(source, "PNG", transparency=100), "x")
    assert image.channels == 1
    np.testing.assert_array_equal(image.alpha == 0, np.asarray(source) == 100)


def test_sixteen_bit_gray_with_a_transparent_level():
    samples = np.random.default_rng(0).integers(0, 65536, (5, 7, 1)).astype(np.uint16)
    samples[1:3, 2:5], samples[4, 6] = 1000, 1001
    image = decode_image(raw_png(samples, chunk(b"tRNS", struct.pack(">H", 1000))), "x.png")
    np.testing.assert_array_equal(image.pixels, samples)
    assert image.alpha.dtype == np.uint16
    np.testing.assert_array_equal(image.alpha, np.where(samples[..., 0] == 1000, 0, 65535))


def test_sixteen_bit_color_with_a_transparent_one():
    samples = np.random.default_rng(0).integers(0, 65536, (5, 7, 3)).astype(np.uint16)
    samples[1:3, 2:5] = 65535, 0, 65535
    image = decode_image(raw_png(samples, chunk(b"tRNS", struct.pack(">3H", 65535, 0, 65535))), "x.png")
    np.testing.assert_array_equal(image.pixels, samples)
    np.testing.assert_array_equal(image.alpha == 0, (samples == (65535, 0, 65535)).all(axis=2))


@pytest.mark.parametrize("icc", [None, b"no profile", profile("LAB"), profile("sRGB")])
def test_cmyk_becomes_srgb_and_says_so(icc, tmp_path):
    data = saved(PIL.Image.fromarray(PHOTOGRAPH).convert("CMYK"), "JPEG", quality=100, icc_profile=icc)
    image = decode_image(data, "x.jpg")
    assert image.channels == 3
    assert np.abs(image.pixels.astype(int) - PHOTOGRAPH).mean() < 3
    write_image(tmp_path / "x.png", image)
    said = PIL.ImageCms.ImageCmsProfile(io.BytesIO(read_image(tmp_path / "x.png").metadata.icc)).profile
    assert (said.profile_description, said.xcolor_space.strip()) == ("sRGB built-in", "RGB")
    assert image.metadata.icc == decode_image(data, "x.jpg").metadata.icc


def test_gray_jpeg_stays_gray():
    source = PIL.Image.fromarray(PHOTOGRAPH).convert("L")
    assert decode_image(saved(source, "JPEG"), "x.jpg").channels == 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "PNG16", "TIFF16"])
def test_orientation_is_applied_and_reset(kind, orientation, tmp_path):
    upright = PIL.ImageOps.exif_transpose
    base = PIL.Image.fromarray(PHOTOGRAPH)
    tagged = base.copy()
    tagged.getexif()[0x0112] = orientation
    expected = np.asarray(upright(tagged))
    if kind.endswith("16"):
        path = tmp_path / f"x.{kind[:3].lower()}".replace("tif", "tiff")
        stored = Image(deep(PHOTOGRAPH), None, Metadata(exif=exif().tobytes()))
        write_image(path, stored)
        data = path.read_bytes()
        image = decode_image(_with_orientation(data, orientation), "x")
        np.testing.assert_array_equal(image.pixels >> 8, expected)
    else:
        options = {"lossless": True} if kind == "WEBP" else {}
        data = saved(base, kind, exif=exif(orientation), **options)
        image = decode_image(data, "x")
        plain = decode_image(saved(base, kind, **options), "x").pixels
        tagged = PIL.Image.fromarray(plain)
        tagged.getexif()[0x0112] = orientation
        np.testing.assert_array_equal(image.pixels, np.asarray(upright(tagged)))
    assert parsed(image).get(0x0112, 1) == 1
    assert parsed(image)[0x0110] == "Camera 1"


def _with_orientation(data: bytes, orientation: int) -> bytes:
    """Change the orientation entry of the one EXIF directory in a file, and PNG's checksum with it."""
    for order in ("<", ">"):
        entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, 1, 0)
        if entry in data:
            data = data.replace(entry, struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0))
            break
    else:
        assert orientation == 1
    if data[:4] == b"\x89PNG":
        start = data.index(b"eXIf")
        (length,) = struct.unpack(">I", data[start - 4 : start])
        end = start + 4 + length
        data = data[:end] + struct.pack(">I", zlib.crc32(data[start:end])) + data[end + 4 :]
    return data


# --- what is written ---


@settings(deadline=None)
@given(
    st.sampled_from([".png", ".tiff"]),
    st.sampled_from([1, 3]),
    st.booleans(),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 99),
)
def test_png_and_tiff_keep_every_kind(tmp_path_factory, suffix, channels, transparent, dtype, height, width, seed):
    generator = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    image = Image(
        generator.integers(0, top, (height, width, channels), dtype, endpoint=True),
        generator.integers(0, top, (height, width), dtype, endpoint=True) if transparent else None,
    )
    path = tmp_path_factory.getbasetemp() / f"kept{suffix}"
    write_image(path, image)
    again = read_image(path)
    if suffix == ".tiff" and transparent and channels == 1 and dtype is np.uint16:
        assert again.channels == 3  # written as RGBA
    np.testing.assert_array_equal(again.pixels, np.broadcast_to(image.pixels, again.pixels.shape))
    assert again.pixels.dtype == dtype
    assert (again.alpha is None) == (not transparent)
    if transparent:
        np.testing.assert_array_equal(again.alpha, image.alpha)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".avif", ".bmp"])
def test_metadata_survives(suffix, depth, tmp_path):
    pixels = PHOTOGRAPH if depth == 8 else deep(PHOTOGRAPH)
    text = {"Title": "Ünïcode 写真", "Software": "camera"}
    big = np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1)
    path = tmp_path / f"фото 写真{suffix}"
    write_image(path, Image(big, None, Metadata(profile(), exif().tobytes(), (300.0, 150.0), text)))
    again = read_image(path)
    assert again.bit_depth == (depth if suffix in (".png", ".tiff") else 8)
    if suffix not in (".webp", ".avif"):
        assert again.metadata.dpi == pytest.approx((300, 150), rel=1e-3)
    if suffix != ".bmp":
        assert again.metadata.icc == profile()
        kept = parsed(again)
        assert (kept[0x010F], kept[0x0110]) == ("Maker", "Camera 1")
        assert kept.get_ifd(0x8825) == {1: "N"}
        detail = kept.get_ifd(0x8769)
        assert (detail[0x9003], detail[0xA002], detail[0xA003]) == ("2024:05:06 07:08:09", 128, 96)
    assert again.metadata.text == (text if suffix == ".png" else {})


@pytest.mark.parametrize(
    ("space", "channels", "stays"),
    [("sRGB", 3, True), ("sRGB", 1, True), ("GRAY", 1, True), ("GRAY", 3, False), ("LAB", 3, False), ("LAB", 1, False)],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".avif"])
def test_a_profile_stays_where_it_belongs_to_the_pixels(suffix, space, channels, stays, tmp_path):
    write_image(tmp_path / f"x{suffix}", Image(PHOTOGRAPH[..., :channels].copy(), None, Metadata(profile(space))))
    with PIL.Image.open(tmp_path / f"x{suffix}") as opened:
        held = stays and not (suffix == ".webp" and space == "GRAY")  # its pixels are always RGB
        assert opened.info.get("icc_profile") == (profile(space) if held else None)


COLOR = {
    b"cICP": bytes([9, 16, 0, 1]),
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    b"sRGB": b"\2",
}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_color_chunks_go_from_png_to_png(dtype, tmp_path):
    samples = PHOTOGRAPH.astype(dtype)
    extra = b"".join(chunk(kind, content) for kind, content in COLOR.items())
    image = decode_image(raw_png(samples, extra), "x.png")
    assert image.metadata.png_color == COLOR
    for suffix in SUFFIXES - {".gif", ".png"}:
        with pytest.raises(SrKdError, match=r"colors are BT\.2020, HDR \(PQ\), no sRGB.*use \.png"):
            write_image(tmp_path / f"x{suffix}", image)
    write_image(tmp_path / "x.png", image)
    data = (tmp_path / "x.png").read_bytes()
    for kind, content in COLOR.items():
        assert chunk(kind, content) in data.partition(b"IDAT")[0] and data.count(kind) == 1
    np.testing.assert_array_equal(read_image(tmp_path / "x.png").pixels, samples)
    write_image(tmp_path / "x.png", replace(image, metadata=replace(image.metadata, icc=profile())))
    data = (tmp_path / "x.png").read_bytes()
    assert b"iCCP" in data and b"sRGB\2" not in data and chunk(b"gAMA", COLOR[b"gAMA"]) in data


def test_sixteen_bit_png_is_read_by_others(tmp_path):
    import cv2
    import imageio.v3

    samples = deep(PHOTOGRAPH)
    write_image(tmp_path / "x.png", Image(samples, samples[..., 0].copy(), Metadata(icc=profile())))
    other = cv2.imread(str(tmp_path / "x.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(other[..., [2, 1, 0]], samples)
    with PIL.Image.open(tmp_path / "x.png") as opened:
        assert opened.info["icc_profile"] == profile()
    write_image(tmp_path / "x.tiff", Image(samples))
    np.testing.assert_array_equal(imageio.v3.imread(tmp_path / "x.tiff", plugin="tifffile"), samples)


def test_sixteen_bits_are_rounded_for_eight_bit_formats(tmp_path):
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    write_image(tmp_path / "x.bmp", Image(levels))
    np.testing.assert_array_equal(read_image(tmp_path / "x.bmp").pixels, np.rint(levels / 257.0).astype(np.uint8))


def test_webp_is_lossless_unless_a_quality_is_given(tmp_path):
    alpha = np.zeros(PHOTOGRAPH.shape[:2], np.uint8)  # colors under full transparency stay too
    write_image(tmp_path / "a.webp", Image(PHOTOGRAPH, alpha))
    np.testing.assert_array_equal(read_image(tmp_path / "a.webp").pixels, PHOTOGRAPH)
    write_image(tmp_path / "b.webp", Image(PHOTOGRAPH), quality=50)
    assert (tmp_path / "b.webp").stat().st_size < (tmp_path / "a.webp").stat().st_size / 2


def test_quality_changes_the_size(tmp_path):
    for suffix in (".jpg", ".avif"):
        sizes = []
        for quality in (30, None):
            write_image(tmp_path / f"x{suffix}", Image(PHOTOGRAPH), quality=quality)
            sizes.append((tmp_path / f"x{suffix}").stat().st_size)
        assert sizes[0] < 0.6 * sizes[1]


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_writing_takes_little_memory_beside_the_image(suffix, dtype, tmp_path):
    noise = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (2000, 1500, 4), dtype, endpoint=True)
    image = Image(noise[..., :3].copy(), noise[..., 3].copy())
    tracemalloc.start()
    write_image(tmp_path / f"x{suffix}", image)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / f"x{suffix}").stat().st_size > 0.9 * image.nbytes > 2 * most


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp", ".webp"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays_in_any_order_are_written_and_stay_as_they_are(suffix, dtype, tmp_path):
    whole = np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8).astype(dtype)
    whole *= 1 if dtype is np.uint8 else 257
    before = whole.copy()
    for pixels in (whole[..., :3], whole[::-1, ::-1, 1:], whole.swapaxes(0, 1)[..., 2:3], whole[..., 2::-1]):
        write_image(tmp_path / f"x{suffix}", Image(pixels))
        again = read_image(tmp_path / f"x{suffix}").pixels
        expected = pixels if again.dtype == dtype else pixels >> 8
        np.testing.assert_array_equal(again, np.broadcast_to(expected, again.shape))
    np.testing.assert_array_equal(whole, before)


# --- what is refused ---


def frames(kind: str) -> bytes:
    images = [PIL.Image.fromarray(np.roll(PHOTOGRAPH, shift, axis=0)) for shift in (0, 5, 10)]
    return saved(images[0], kind, save_all=True, append_images=images[1:])


@pytest.mark.parametrize(
    ("kind", "word"), [("GIF", "animations"), ("PNG", "animations"), ("WEBP", "animations"), ("TIFF", "3 pages")]
)
def test_animations_and_pages_are_refused(kind, word):
    with pytest.raises(SrKdError, match=rf"holiday\.x.*{kind}.*{word}"):
        decode_image(frames(kind), "holiday.x")


def test_a_phone_photograph_with_a_preview_is_read():
    image = decode_image(frames("MPO"), "x.jpg")
    assert np.abs(image.pixels.astype(int) - PHOTOGRAPH).mean() < 4


@pytest.mark.parametrize("bits", [8, 16])
def test_truncated_png(bits, tmp_path):
    write_image(tmp_path / "x.png", Image(PHOTOGRAPH if bits == 8 else deep(PHOTOGRAPH)))
    data = (tmp_path / "x.png").read_bytes()
    with pytest.raises(SrKdError, match=r"cannot read half\.png: damaged"):
        decode_image(data[: len(data) // 2], "half.png")


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=64), st.sampled_from(["PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF"]), st.data())
def test_damaged_files_never_raise_anything_else(noise, kind, data):
    good = bytearray(saved(PIL.Image.fromarray(PHOTOGRAPH[:8, :8]), kind))
    start = data.draw(st.integers(0, len(good) - 1))
    good[start : start + len(noise)] = noise
    try:
        image = decode_image(bytes(good), "noisy")
    except SrKdError as error:
        assert "noisy" in str(error)
    else:
        assert image.pixels.ndim == 3


@pytest.mark.parametrize(("content", "word"), [(b"", "empty"), (b"hello world", "no image of a known format")])
def test_what_is_no_image(content, word, tmp_path):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(SrKdError, match=rf"x\.png.*{word}"):
        read_image(tmp_path / "x.png")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(SrKdError, match="No such file"):
        read_image(tmp_path / "x.png")
    with pytest.raises(SrKdError, match="directory"):
        read_image(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(SrKdError, match=r"cannot read .*pipe\.png: it is a pipe"):
        read_image(tmp_path / "pipe.png")


def test_floating_point_is_refused():
    data = saved(PIL.Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF")
    with pytest.raises(SrKdError, match="floating-point"):
        decode_image(data, "x.tiff")


def test_what_a_format_cannot_hold(tmp_path):
    alpha = np.full(PHOTOGRAPH.shape[:2], 9, np.uint8)
    for suffix in (".jpg", ".bmp"):
        with pytest.raises(SrKdError, match="no transparency"):
            write_image(tmp_path / f"x{suffix}", Image(PHOTOGRAPH, alpha))
    with pytest.raises(SrKdError, match="at most 16383"):
        write_image(tmp_path / "x.webp", Image(np.zeros((1, 16_384, 1), np.uint8)))
    with pytest.raises(UsageError, match=r"'\.gif'"):
        write_image(tmp_path / "x.gif", Image(PHOTOGRAPH))
    assert list(tmp_path.iterdir()) == []


def test_broken_exif_does_not_lose_the_image():
    data = saved(PIL.Image.fromarray(PHOTOGRAPH), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    image = decode_image(data, "x.jpg")
    assert image.pixels.shape == PHOTOGRAPH.shape and image.metadata.exif is None


def test_suffixes_are_lower_case_with_a_dot():
    assert all(suffix == suffix.lower() and Path(f"a{suffix}").suffix == suffix for suffix in SUFFIXES)


def test_a_png_longer_than_libpng_writes(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(1, 1_000_001, 1), dtype=np.uint8)
    write_image(tmp_path / "long.png", Image(pixels))
    np.testing.assert_array_equal(read_image(tmp_path / "long.png").pixels, pixels)
