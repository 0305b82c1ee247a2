"""A TIFF file means the same however it is stored."""

import io
import itertools
import struct

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
import pyvips
import skimage.data
import tifffile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sr_kd.errors import SrKdError
from sr_kd.images import Image, Metadata, decode_image, read_header, write_image
from sr_kd.images.metadata import orient

PHOTOGRAPH = skimage.data.astronaut()[:37, 100:153]


def stored(samples: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


def by_pillow(image: PIL.Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("extra", [None, "unspecified", "assocalpha", "unassalpha"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_way_to_store_it_is_read_alike(tmp_path, dtype, photometric, extra):
    random, peak = np.random.default_rng(0), np.iinfo(dtype).max
    colors = 3 if photometric == "rgb" else 1
    pixels = random.integers(1, peak, (37, 53, colors)).astype(dtype)
    alpha = random.integers(peak // 3, peak, (37, 53)).astype(dtype)
    if extra == "assocalpha":
        pixels = np.minimum(pixels, alpha[..., None])
    shown = peak - pixels if photometric == "miniswhite" else pixels
    samples = np.dstack([shown, alpha]) if extra else shown
    expected = pixels
    if extra == "assocalpha":
        expected = np.minimum(peak, np.rint(pixels * (peak / alpha[..., None])))
    for planar, tile, order, big in itertools.product(
        ("contig", "separate"), (None, (16, 16)), ("<", ">"), (False, True)
    ):
        if samples.shape[2] == 1 and planar == "separate":
            continue
        array = np.moveaxis(samples, 2, 0) if planar == "separate" else samples
        array = array[..., 0] if samples.shape[2] == 1 else array
        layout = {} if samples.shape[2] == 1 else {"planarconfig": planar}
        said = {} if extra is None else {"extrasamples": [extra]}
        data = stored(array, photometric=photometric, tile=tile, byteorder=order, bigtiff=big, **layout, **said)
        image = decode_image(data, "x.tif")
        way = f"{planar} {tile} {order} {big}"
        assert image.pixels.dtype == dtype and image.pixels.shape == pixels.shape, way
        assert np.abs(image.pixels.astype(int) - expected).max() <= (extra == "assocalpha"), way
        assert (image.alpha is None) == (extra in (None, "unspecified")), way
        if image.alpha is not None:
            np.testing.assert_array_equal(image.alpha, alpha, way)
        (tmp_path / "x.tif").write_bytes(data)
        header = read_header(tmp_path / "x.tif")
        assert (header.height, header.width, header.channels, header.bit_depth, header.alpha) == (
            *(37, 53, colors, 8 * np.dtype(dtype).itemsize),
            image.alpha is not None,
        )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kinds", list(itertools.product(["unspecified", "unassalpha", "assocalpha"], repeat=2)))
def test_the_first_extra_sample_that_is_alpha_is_transparency(kinds, dtype):
    peak = np.iinfo(dtype).max
    random = np.random.default_rng(1)
    alphas = random.integers(peak // 2, peak, (20, 24, 2)).astype(dtype)
    pixels = np.minimum(random.integers(0, peak, (20, 24, 3)).astype(dtype), alphas.min(axis=2, keepdims=True))
    image = decode_image(stored(np.dstack([pixels, alphas]), photometric="rgb", extrasamples=list(kinds)), "x.tif")
    which = next((index for index, kind in enumerate(kinds) if kind != "unspecified"), None)
    if which is None:
        assert image.alpha is None
    else:
        np.testing.assert_array_equal(image.alpha, alphas[..., which])
    expected = pixels.astype(float)
    if which is not None and kinds[which] == "assocalpha":
        expected = pixels * (peak / alphas[..., which, None])
    assert np.abs(image.pixels - expected).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_that_old_programs_do_not_declare(dtype):
    samples = np.dstack([PHOTOGRAPH, PHOTOGRAPH[..., 0]]).astype(dtype)
    data = bytearray(stored(samples, photometric="rgb", extrasamples=["unassalpha"]))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        data[file.pages[0].tags[338].offset] -= 1  # another tag, which nobody knows
    image = decode_image(bytes(data), "x.tif")
    np.testing.assert_array_equal(image.pixels, PHOTOGRAPH)
    np.testing.assert_array_equal(image.alpha, PHOTOGRAPH[..., 0])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_what_pillow_writes_is_what_pillow_reads(mode):
    data = by_pillow(PIL.Image.fromarray(PHOTOGRAPH).convert(mode))
    image = decode_image(data, "x.tif")
    with PIL.Image.open(io.BytesIO(data)) as opened:
        expected = np.asarray(opened.convert("L" if mode in ("1", "L", "LA") else "RGB"))
    np.testing.assert_array_equal(image.pixels.squeeze(), expected)
    assert (image.alpha is not None) == mode.endswith("A")
    assert ("CMYK was converted to sRGB" in image.notes) == (mode == "CMYK")


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bit_cmyk_is_converted_as_its_twin_and_says_so(order):
    samples = np.dstack([PHOTOGRAPH, PHOTOGRAPH[..., 0]])
    twin = decode_image(stored(samples, photometric="separated"), "x.tif")
    deep = stored(samples.astype(np.uint16) * 257, photometric="separated", byteorder=order, compression="zlib")
    image = decode_image(deep, "x.tif")
    np.testing.assert_array_equal(image.pixels, twin.pixels)
    assert (twin.notes, image.notes) == (("CMYK was converted to sRGB",), ("CMYK was converted to sRGB of 8 bits",))


@pytest.mark.parametrize("compression", ["lzw", "deflate", "packbits"])
@pytest.mark.parametrize("predictor", ["none", "horizontal"])
@pytest.mark.parametrize("tile", [False, True])
def test_compressions_of_sixteen_bits(compression, predictor, tile):
    deep = PHOTOGRAPH.astype(np.uint16) * 257 + 3
    written = pyvips.Image.new_from_array(deep).copy(interpretation="rgb16")
    data = written.tiffsave_buffer(
        compression=compression, predictor=predictor, tile=tile, tile_width=16, tile_height=16
    )
    np.testing.assert_array_equal(decode_image(data, "x.tif").pixels, deep)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "jpeg", "tiff_adobe_deflate", "zstd", "lzma"])
def test_compressions(compression):
    data = by_pillow(PIL.Image.fromarray(PHOTOGRAPH), compression=compression)
    with PIL.Image.open(io.BytesIO(data)) as opened:
        np.testing.assert_array_equal(decode_image(data, "x.tif").pixels, np.asarray(opened))


def by_hand(levels: np.ndarray, depth: int, photometric: int, colors: np.ndarray | None = None) -> bytes:
    """Rows of 8 levels, a few bits each; `colors` (levels, 3) uint16 is a palette."""
    bits = "".join(format(int(level), f"0{depth}b") for level in levels.ravel())
    packed = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    palette = b"" if colors is None else colors.T.astype("<u2").tobytes()
    height, start = len(levels), 8 + len(packed) + len(palette)
    numbers = {256: 8, 257: height, 258: depth, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height, 279: len(packed)}
    fields = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in numbers.items()]
    if palette:
        fields.append(struct.pack("<HHII", 320, 3, len(palette) // 2, 8 + len(packed)))
    head = b"II*\0" + struct.pack("<I", start) + packed + palette
    return head + struct.pack("<H", len(fields)) + b"".join(fields) + b"\0\0\0\0"


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("photometric", [0, 1])
def test_few_bits_are_stretched(depth, photometric):
    levels = np.arange(16).reshape(2, 8) % 2**depth
    shown = levels if photometric == 1 else 2**depth - 1 - levels
    expected = np.rint(shown * 255 / (2**depth - 1))
    data = by_hand(levels, depth, photometric)
    np.testing.assert_array_equal(decode_image(data, "x.tif").pixels[..., 0], expected)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("gray", [False, True])
def test_a_palette_is_looked_up(depth, gray):
    levels = np.arange(64).reshape(8, 8) * 5 % 2**depth
    colors = np.random.default_rng(depth).integers(0, 256, (2**depth, 1 if gray else 3))
    colors = np.broadcast_to(colors, (2**depth, 3))
    image = decode_image(by_hand(levels, depth, 3, colors * 257), "x.tif")
    shown = colors[levels]
    eight = decode_image(by_hand(levels, depth, 3, colors), "x.tif")  # as some programs write them
    np.testing.assert_array_equal(eight.pixels, image.pixels)
    np.testing.assert_array_equal(np.broadcast_to(image.pixels, shown.shape), shown)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_palette_of_sixteen_bits_is_looked_up(compression, gray):
    random = np.random.default_rng(0)
    levels = random.integers(0, 65536, (37, 53)).astype(np.uint16)
    colors = random.integers(0, 65536, (1 if gray else 3, 65536)).astype(np.uint16)
    colors = np.ascontiguousarray(np.broadcast_to(colors, (3, 65536)))
    for order, tile, big in itertools.product("<>", (None, (16, 16)), (False, True)):
        layout = {"byteorder": order, "tile": tile, "bigtiff": big, "compression": compression}
        image = decode_image(stored(levels, photometric="palette", colormap=colors, **layout), "x.tif")
        assert image.pixels.dtype == np.uint16 and image.channels == (1 if gray else 3)
        np.testing.assert_array_equal(image.pixels, colors.T[levels][..., : image.channels])


@pytest.mark.parametrize(
    ("samples", "options", "words"),
    [
        (PHOTOGRAPH.astype(np.float32), {"photometric": "rgb"}, "32-bit and floating-point samples"),
        (PHOTOGRAPH.astype(np.float16), {"photometric": "rgb"}, "32-bit and floating-point samples"),
        (PHOTOGRAPH.astype(np.uint32), {"photometric": "rgb"}, "32-bit and floating-point samples"),
        (PHOTOGRAPH.astype(np.int16), {"photometric": "rgb"}, "signed samples"),
        (PHOTOGRAPH.astype(np.int8), {"photometric": "rgb"}, "signed samples"),
        (PHOTOGRAPH.astype(np.uint16), {"photometric": "cielab"}, "colors of kind 8, compression 1"),
        (PHOTOGRAPH, {"photometric": "icclab"}, "ICCLAB"),
        (
            np.dstack([PHOTOGRAPH, PHOTOGRAPH[..., :2]]),
            {"photometric": "separated", "extrasamples": ["unassalpha"]},
            "colors of kind 5, compression 1 and 1 extra samples",
        ),
        (PHOTOGRAPH[..., 0], {"photometric": "cfa"}, "CFA"),
    ],
)
def test_what_is_refused_says_why(samples, options, words):
    with pytest.raises(SrKdError, match=words):
        decode_image(stored(samples, **options), "x.tif")


METADATA = (
    254,
    269,
    270,
    274,
    282,
    283,
    296,
    297,
    305,
    306,
    315,
    330,
    700,
    33723,
    34377,
    34665,
    34675,
    34853,
    32995,
    40961,
    65000,
)


@settings(deadline=None, max_examples=80)
@given(
    order=st.sampled_from("<>"),
    code=st.sampled_from(METADATA),
    kind=st.sampled_from([*range(14), 16, 99]),
    count=st.sampled_from([0, 1, 2, 300, 2**32 - 16]),
    value=st.binary(min_size=4, max_size=4),
)
@example("<", 274, 3, 1, b"\0\0\0\0")  # libtiff calls it an error, as the next ones
@example(">", 274, 3, 1, b"\0\x09\0\0")
@example("<", 40961, 99, 1, b"\1\0\0\0")
@example(">", 65000, 16, 2, b"\xff\xff\xff\0")
@example("<", 296, 2, 2, b"x\0\0\0")
@example("<", 32995, 3, 1, b"\1\0\0\0")  # SGI's Matteing: libtiff took a color for transparency
def test_no_tag_of_any_kind_or_size_costs_the_image(order, code, kind, count, value):
    samples = PHOTOGRAPH[:9, :7].astype(np.uint16) * 257
    data = bytearray(stored(samples, photometric="rgb", byteorder=order, metadata=None, software=False))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        at, page = file.pages[0].tags[305 if 305 in file.pages[0].tags else 282].offset, file.pages[0].offset
    data[at : at + 12] = struct.pack(f"{order}HHI", code, kind, count) + value
    assert at > page
    image = decode_image(bytes(data), "x.tif")
    flips = [orient(samples, turn) for turn in (range(1, 9) if code == 274 else (1,))]
    assert any(np.array_equal(image.pixels, each) for each in flips)


def test_a_reduced_copy_is_passed_over_and_named():
    for first in (False, True):
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer) as writer:
            for reduced in (first, not first):
                samples = PHOTOGRAPH[::2, ::2] if reduced else PHOTOGRAPH
                writer.write(samples, photometric="rgb", subfiletype=int(reduced))
        image = decode_image(buffer.getvalue(), "x.tif")
        np.testing.assert_array_equal(image.pixels, PHOTOGRAPH)
        assert image.notes == ("a reduced copy or mask in the file was left out",)


def test_a_stack_whose_pages_have_no_tags_of_their_own_is_refused():
    with pytest.raises(SrKdError, match="this TIFF has 3 pages"):
        decode_image(stored(np.stack([PHOTOGRAPH[..., 0]] * 3), imagej=True), "x.tif")


def test_tags_that_are_not_kept_are_named():
    tags = [(319, "f", 6, (0.68, 0.32, 0.265, 0.69, 0.15, 0.06), True), (34377, "B", 4, b"8BIM", True)]
    image = decode_image(stored(PHOTOGRAPH, photometric="rgb", extratags=tags), "x.tif")
    assert image.notes == ("a set of primaries (319) was left out", "Photoshop's own data (34377) was left out")


def test_iptc_of_long_numbers_is_read():
    image = decode_image(stored(PHOTOGRAPH, photometric="rgb", extratags=[(33723, "I", 2, (0x3702021C, 1), True)]), "x")
    assert image.metadata.iptc == b"\x1c\x02\x02\x37\1\0\0\0"


def test_bigtiff_that_names_its_software_keeps_its_metadata(tmp_path):
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    for order in "<>":
        data = stored(
            PHOTOGRAPH.astype(np.uint16),
            photometric="rgb",
            bigtiff=True,
            byteorder=order,
            software="Scanner 1",
            iccprofile=profile,
            resolution=(300, 150),
            resolutionunit="INCH",
        )
        metadata = decode_image(data, "x.tif").metadata
        assert (metadata.icc, metadata.dpi) == (profile, (300, 150))
        kept = PIL.Image.Exif()
        kept.load(metadata.exif)
        assert kept[0x0131] == "Scanner 1"


def test_exif_is_where_other_programs_look_for_it(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x010F], exif[0x010E], exif[0x0132] = "Maker", "Ünïcode", "2024:05:06 07:08:09"
    exif.get_ifd(0x8769)[0x829D] = 2.8
    exif.get_ifd(0x8825)[1] = "N"
    write_image(
        tmp_path / "x.tiff", Image(PHOTOGRAPH, metadata=Metadata(exif=exif.tobytes(), xmp=b"<x/>", iptc=b"\x1c\2\5"))
    )
    with PIL.Image.open(tmp_path / "x.tiff") as opened:
        found = opened.getexif()
        assert (found[0x010F], found.get_ifd(0x8769)[0x829D], found.get_ifd(0x8825)[1]) == ("Maker", 2.8, "N")
        opened.load()
    with tifffile.TiffFile(tmp_path / "x.tiff") as file:
        tags = file.pages[0].tags
        assert tags["ExifTag"].value["FNumber"] == 2.8 and tags["Make"].value == "Maker"
        assert tags[700].value == b"<x/>" and tags["Orientation"].value == 1
        assert [tag.code for tag in tags] == sorted(tag.code for tag in tags)
