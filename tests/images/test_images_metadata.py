"""What a file says beside its pixels is kept, or named as lost, and never costs the image."""

import io
import os
import struct
import subprocess
import sys
import time
import zlib
from functools import cache

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
import skimage.data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sr_kd.errors import SrKdError
from sr_kd.images import FORMATS, Image, Metadata, decode_image, read_image, write_image
from sr_kd.images.color import srgb_profile

PHOTOGRAPH = skimage.data.astronaut()[:48, 100:164]
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 tiff:Orientation="6" tiff:ImageWidth = '64' xmlns:dc="http://purl.org/dc/elements/1.1/" dc:title="A 6 &amp; 64">
<tiff:ImageLength>48</tiff:ImageLength><exif:PixelXDimension> 64 </exif:PixelXDimension></rdf:Description>
</rdf:RDF></x:xmpmeta>"""
IPTC = b"\x1c\x02\x05\x00\x05Title\x1c\x02\x50\x00\x03Me."


def saved(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(PHOTOGRAPH).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_with(*chunks: bytes, late: bytes = b"") -> bytes:
    data = saved("PNG")
    return data[:33] + b"".join(chunks) + data[33:-12] + late + data[-12:]


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def with_xmp(kind: str, xmp: bytes) -> bytes:
    return png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)) if kind == "PNG" else saved(kind, xmp=xmp)


@cache
def swapped_profile() -> bytes:
    """A profile whose red is sRGB's green, and the other way round."""
    profile = bytearray(srgb_profile())
    tags = {profile[at : at + 4].decode(): at + 4 for at in range(132, 132 + 12 * profile[131], 12)}
    red, green = (slice(tags[name], tags[name] + 4) for name in ("rXYZ", "gXYZ"))
    profile[red], profile[green] = profile[green], profile[red]
    return bytes(profile)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".avif"])
def test_xmp_goes_everywhere_upright_and_with_the_new_sizes(kind, suffix, tmp_path):
    image = decode_image(with_xmp(kind, XMP), "x")
    assert (image.width, image.height) == (48, 64)  # what it says of the orientation counts where EXIF says nothing
    large = Image(np.repeat(np.repeat(image.pixels, 2, axis=0), 2, axis=1), None, image.metadata)
    assert write_image(tmp_path / f"x{suffix}", large) == []
    expected = (
        XMP.replace(b'"6"', b'"1"').replace(b"'64'", b"'96'").replace(b">48<", b">128<").replace(b"> 64 <", b">96<")
    )
    assert read_image(tmp_path / f"x{suffix}").metadata.xmp == expected
    with PIL.Image.open(tmp_path / f"x{suffix}") as opened:
        opened.load()
        found = opened.info.get("xmp") or opened.info.get("XML:com.adobe.xmp")
        assert (found.encode() if isinstance(found, str) else found) == expected


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_orientation_of_exif_counts_before_that_of_xmp(kind):
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x0110] = 1, "Camera 1"
    if kind == "PNG":
        parts = [chunk(b"eXIf", exif.tobytes()[6:]), chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)]
        files = [png_with(*parts), png_with(*parts[::-1])]
    else:
        files = [saved(kind, exif=exif, xmp=XMP)]
    for data in files:
        image = decode_image(data, "x")
        assert (image.width, image.height) == (64, 48)
        kept = PIL.Image.Exif()
        kept.load(image.metadata.exif)
        assert kept[0x0110] == "Camera 1"


def test_iptc_and_comments_are_kept_where_they_can_be_and_named_where_not(tmp_path):
    photoshop = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC + b"\0" * (len(IPTC) % 2)
    image = decode_image(saved("JPEG", extra=segment(0xED, photoshop), comment="Ünïcode"), "x.jpg")
    assert (image.metadata.iptc, image.metadata.text) == (IPTC, {"Comment": "Ünïcode"})
    lost = {
        suffix: write_image(tmp_path / f"x{suffix}", image) for suffix in (".jpg", ".tiff", ".png", ".webp", ".bmp")
    }
    assert lost[".jpg"] == []
    assert lost[".png"] == ["left out of the PNG file: IPTC"]
    assert lost[".tiff"] == ["left out of the TIFF file: text"]
    assert lost[".webp"] == ["left out of the WEBP file: IPTC", "left out of the WEBP file: text 'Comment'"]
    for suffix, iptc, text in (
        (".jpg", IPTC, True),
        (".tiff", IPTC, False),
        (".png", None, True),
        (".webp", None, False),
    ):
        again = read_image(tmp_path / f"x{suffix}").metadata
        assert (again.iptc, again.text) == (iptc, {"Comment": "Ünïcode"} if text else {})


@pytest.mark.parametrize("late", [False, True])
def test_one_wrong_chunk_of_a_png_is_all_that_is_lost(late):
    exif = PIL.Image.Exif()
    exif[0x0110] = "Camera 1"
    good = [
        chunk(b"eXIf", exif.tobytes()[6:]),
        chunk(b"tEXt", "Autör\0Zoë".encode("latin-1")),
        chunk(b"iCCP", b"x\0\0" + zlib.compress(srgb_profile())),
        chunk(b"pHYs", struct.pack(">IIB", 11811, 5906, 1)),
    ]
    bad = {
        chunk(b"zTXt", b"a\0\0" + zlib.compress(b"a" * 2_000_000)): "a text",
        chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(b"a" * 2_000_000)): "a text",
        chunk(b"zTXt", b"a\0\0zzz")[:-1] + b"\0": "a text",
        chunk(b"pHYs", b"\1"): "dots per inch",
        chunk(b"gAMA", b"\1"): None,
        chunk(b"abCd", b"\1" * 100_000): None,
        chunk(b"sPLT", b""): None,
        chunk(b"tIME", b"\1"): None,
        chunk(b"hIST", b"\1" * 4): None,
    }
    for wrong, name in bad.items():
        where = {"late": wrong} if late else {}
        image = decode_image(png_with(*good, *([] if late else [wrong]), **where), "x.png")
        np.testing.assert_array_equal(image.pixels, PHOTOGRAPH)
        metadata = image.metadata
        assert metadata.icc == srgb_profile() and metadata.exif is not None and metadata.text == {"Autör": "Zoë"}
        assert metadata.dpi == pytest.approx((300, 150), rel=1e-3)
        assert image.notes == ((f"{name} is damaged or too long and was left out",) if name else ())
    for wrong in (b"x\0\0zzz", b"x\0\0" + zlib.compress(b"no profile"), b""):
        image = decode_image(png_with(chunk(b"iCCP", wrong)), "x.png")
        assert image.metadata.icc is None and image.notes == ("the color profile is damaged and was left out",)


@pytest.mark.parametrize(
    "wrong",
    [
        segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04"),
        segment(0xEE, b"Adobe"),
        segment(0xE0, b"JFIF\0"),
    ],
)
def test_one_wrong_segment_of_a_jpeg_is_all_that_is_lost(wrong):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    data = saved("JPEG", exif=exif, comment="mine", icc_profile=srgb_profile())
    image = decode_image(data[:2] + wrong + data[2:], "x.jpg")
    whole = decode_image(data, "x.jpg")
    np.testing.assert_array_equal(image.pixels, whole.pixels)
    assert image.metadata == whole.metadata and whole.metadata.text == {"Comment": "mine"}
    assert image.notes == ("a part of the metadata is damaged and was left out",)


def test_of_endlessly_many_entries_the_first_are_read():
    many = [chunk(b"tEXt", b"k%d\0v" % number) for number in range(50_000)]  # 0.8 MB, which took minutes
    image = decode_image(png_with(*many, *[chunk(b"iCCP", b"x\0\0zzz")] * 1000), "x.png")
    assert list(image.metadata.text) == [f"k{number}" for number in range(256)]
    assert image.notes == (
        "the color profile is damaged and was left out",
        "of 50,000 entries of metadata, those after the first 256 were left out",
    )


@pytest.mark.parametrize(
    "piece",
    (b"6", b"<hdrgm:a>", b"<hdrgm:a ", b" hdrgm:a = ", b"Orientation=' ", b"<a:HasExtendedXMP>"),
)
def test_xmp_takes_a_time_that_grows_with_its_length_alone(piece):
    began = time.process_time()
    packet = b"<x>" + piece * (1_000_000 // len(piece)) + b'<y tiff:Orientation="6"/></x>'  # some took hours
    image = decode_image(png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)), "x.png")
    assert image.metadata.xmp == packet.replace(b'="6"', b'="1"')
    assert time.process_time() - began < 10


def test_text_and_exif_after_the_pixels_count(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    late = chunk(b"eXIf", exif.tobytes()[6:]) + chunk(b"tEXt", b"Title\0late")
    image = decode_image(png_with(late=late), "x.png")
    np.testing.assert_array_equal(image.pixels, np.rot90(PHOTOGRAPH, -1))
    assert image.metadata.text == {"Title": "late"}


WHATEVER = st.one_of(st.none(), st.binary(max_size=40), st.integers(1, 70_000).map(lambda size: b"\1" * size))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(sorted(FORMATS)),
    icc=st.one_of(WHATEVER, st.just(srgb_profile()), st.binary(max_size=9).map(lambda end: srgb_profile()[:-40] + end)),
    exif=st.one_of(WHATEVER, WHATEVER.map(lambda data: b"Exif\0\0II*\0\x08\0\0\0" + (data or b""))),
    xmp=WHATEVER,
    iptc=WHATEVER,
    dpi=st.one_of(st.none(), st.tuples(st.floats(1e-9, 1e6), st.floats(1e-9, 1e6))),
    text=st.dictionaries(st.text(max_size=90), st.one_of(st.text(max_size=20), st.just("a" * 70_000)), max_size=2),
    png_color=st.dictionaries(st.sampled_from([b"gAMA", b"cHRM", b"sRGB"]), st.just(b""), max_size=2),
    alpha=st.booleans(),
)
def test_no_metadata_costs_the_image(tmp_path, suffix, alpha, **said):
    transparency = np.full((4, 5), 255 if FORMATS[suffix] in ("JPEG", "BMP") else 9, np.uint8)
    image = Image(PHOTOGRAPH[:4, :5].copy(), transparency if alpha else None, Metadata(**said))
    write_image(tmp_path / f"x{suffix}", image)
    again = read_image(tmp_path / f"x{suffix}")
    assert again.pixels.shape == (4, 5, 3)
    if FORMATS[suffix] in ("PNG", "TIFF", "WEBP"):
        np.testing.assert_array_equal(again.pixels, image.pixels)
    with PIL.Image.open(tmp_path / f"x{suffix}") as opened:
        opened.load()
        opened.getexif()


def test_a_profile_that_pillow_would_not_open_is_left_out_of_a_png_and_kept_elsewhere(tmp_path):
    heavy = srgb_profile() + np.random.default_rng(0).bytes(1_600_000)
    heavy = struct.pack(">I", len(heavy)) + heavy[4:]
    image = decode_image(png_with(chunk(b"iCCP", b"x\0\0" + zlib.compress(heavy))), "x.png")
    assert image.metadata.icc == heavy
    assert write_image(tmp_path / "x.png", image) == ["left out of the PNG file: color profile"]
    for suffix in (".jpg", ".tiff", ".webp"):
        assert write_image(tmp_path / f"x{suffix}", image) == []
        assert read_image(tmp_path / f"x{suffix}").metadata.icc == heavy
    np.testing.assert_array_equal(read_image(tmp_path / "x.png").pixels, PHOTOGRAPH)


# --- color ---


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colors_of_another_profile_are_converted_where_none_can_be_kept(dtype, tmp_path):
    pixels = PHOTOGRAPH.astype(dtype) * (1 if dtype is np.uint8 else 257)
    notes = write_image(tmp_path / "x.bmp", Image(pixels, None, Metadata(swapped_profile())))
    assert notes == ["left out of the BMP file: color profile (colors were converted to sRGB)"]
    found = read_image(tmp_path / "x.bmp").pixels.astype(int)
    assert np.abs(found - PHOTOGRAPH[..., [1, 0, 2]]).max() <= 3
    write_image(tmp_path / "x.bmp", Image(pixels, None, Metadata(srgb_profile())))
    np.testing.assert_array_equal(read_image(tmp_path / "x.bmp").pixels, PHOTOGRAPH)
    heavy = swapped_profile() + np.random.default_rng(0).bytes(1_600_000)
    heavy = struct.pack(">I", len(heavy)) + heavy[4:]
    notes = write_image(tmp_path / "x.png", Image(pixels, None, Metadata(heavy)))
    assert notes == ["left out of the PNG file: color profile (colors were converted to sRGB)"]
    again = read_image(tmp_path / "x.png")
    assert again.pixels.dtype == dtype
    assert np.abs(again.pixels / again.peak - PHOTOGRAPH[..., [1, 0, 2]] / 255).max() <= 3 / 255


def gamma_gray_profile() -> bytes:
    """Of gray with a gamma of 1.5: ICC.1, with the tags that it must have."""
    tags = {
        b"desc": b"desc\0\0\0\0\0\0\0\x02x\0" + bytes(78),
        b"cprt": b"text\0\0\0\0x\0\0\0",
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63_190, 65_536, 54_061),
        b"kTRC": b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(1.5 * 256)),
    }
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(
        ">I4xI4s4s4s12x4s", 132 + len(table) - 4 + len(body), 0x2100000, b"mntr", b"GRAY", b"XYZ ", b"acsp"
    )
    head = head.ljust(68, b"\0") + struct.pack(">3i", 63_190, 65_536, 54_061)
    return head.ljust(128, b"\0") + table + body


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".avif", ".bmp"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("transparent", [False, True])
def test_gray_of_another_profile_keeps_it_or_is_converted(transparent, dtype, suffix, tmp_path):
    gray, peak = np.tile(np.arange(256), (16, 1))[..., None], np.iinfo(dtype).max
    alpha = np.full((16, 256), peak if suffix in (".jpg", ".bmp") else peak // 2, dtype) if transparent else None
    image = Image((gray * (peak // 255)).astype(dtype), alpha, Metadata(gamma_gray_profile()))
    notes = write_image(tmp_path / f"x{suffix}", image)
    again = read_image(tmp_path / f"x{suffix}")
    expected = gray / 255
    if suffix in (".webp", ".bmp") or (transparent and suffix == ".avif"):
        assert notes == [f"left out of the {suffix[1:].upper()} file: color profile (colors were converted to sRGB)"]
        expected = expected**1.5  # as light; then IEC 61966-2-1
        expected = np.where(expected <= 0.0031308, 12.92 * expected, 1.055 * expected ** (1 / 2.4) - 0.055)
        assert again.metadata.icc is None
    else:
        assert notes == [] and again.metadata.icc == image.metadata.icc and again.channels == 1
    assert np.abs(again.pixels / again.peak - expected).max() <= 3 / 255


def test_gray_webp_with_a_profile_of_gray_is_gray(tmp_path):
    picture = PIL.Image.fromarray(PHOTOGRAPH[..., 0])
    picture.save(tmp_path / "x.webp", lossless=True, icc_profile=gamma_gray_profile())
    image = read_image(tmp_path / "x.webp")
    np.testing.assert_array_equal(image.pixels[..., 0], PHOTOGRAPH[..., 0])
    assert write_image(tmp_path / "x.png", image) == []
    assert read_image(tmp_path / "x.png").metadata.icc == gamma_gray_profile()


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tiff", ".avif", ".bmp"])
def test_code_points_beside_a_profile_are_named_where_they_are_lost(suffix, tmp_path):
    metadata = Metadata(srgb_profile(), png_color={b"cICP": bytes([9, 16, 0, 1])})
    notes = write_image(tmp_path / f"x{suffix}", Image(PHOTOGRAPH, None, metadata))
    said = "the statement that its colors are BT.2020, HDR (PQ)"
    assert f"left out of the {FORMATS[suffix]} file: {said}" in notes


PRIMARIES = (31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000)  # Display P3


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({b"cICP": bytes([9, 16, 0, 1])}, r"BT\.2020, HDR \(PQ\)"),
        ({b"cICP": bytes([9, 18, 0, 1]), b"sRGB": b"\0"}, r"BT\.2020, HDR \(HLG\)"),
        ({b"cICP": bytes([12, 13, 0, 1])}, "Display P3"),
        ({b"cICP": bytes([1, 8, 0, 1])}, "linear light"),
        ({b"cICP": bytes([1, 13, 0, 0])}, "of narrow range"),
        ({b"cHRM": struct.pack(">8I", *PRIMARIES)}, "of other primaries .cHRM."),
        ({b"gAMA": struct.pack(">I", 100_000)}, "of another gamma .gAMA."),
    ],
)
def test_colors_beyond_srgb_are_kept_or_refused(said, words, tmp_path):
    data = png_with(*(chunk(kind, content) for kind, content in said.items()))
    image = decode_image(data, "x.png")
    for suffix in (".jpg", ".webp", ".tiff", ".avif", ".bmp"):
        with pytest.raises(SrKdError, match=rf"colors are {words}, no sRGB.*use \.png"):
            write_image(tmp_path / f"x{suffix}", image)
    assert write_image(tmp_path / "x.png", image) == []
    assert read_image(tmp_path / "x.png").metadata.png_color == said


@pytest.mark.parametrize(
    "said", [{b"cICP": bytes([1, 13, 0, 1])}, {b"sRGB": b"\0", b"gAMA": struct.pack(">I", 99)}, {}]
)
def test_what_says_srgb_goes_everywhere(said, tmp_path):
    image = decode_image(png_with(*(chunk(kind, content) for kind, content in said.items())), "x.png")
    for suffix in (".jpg", ".webp", ".tiff", ".avif", ".bmp"):
        assert write_image(tmp_path / f"x{suffix}", image) == []


def test_an_avif_file_keeps_its_code_points(tmp_path):
    data = saved("AVIF")
    assert data.count(b"colrnclx") == 1
    at = data.index(b"colrnclx") + 8
    assert decode_image(data, "x.avif").metadata.png_color == {b"cICP": bytes([1, 13, 0, 1])}
    image = decode_image(data[:at] + struct.pack(">HH", 9, 16) + data[at + 4 :], "x.avif")
    assert image.metadata.png_color == {b"cICP": bytes([9, 16, 0, 1])}
    with pytest.raises(SrKdError, match=r"BT\.2020, HDR \(PQ\), no sRGB.*use \.png"):
        write_image(tmp_path / "x.avif", image)
    write_image(tmp_path / "x.png", image)
    assert chunk(b"cICP", bytes([9, 16, 0, 1])) in (tmp_path / "x.png").read_bytes()


def test_an_ultra_hdr_photograph_says_what_is_lost(tmp_path):
    xmp = XMP.replace(
        b"tiff:Orientation",
        b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" tiff:Orientation',
    ).replace(
        b"</rdf:Description>", b"<Container:Directory><rdf:Seq>\n</rdf:Seq></Container:Directory></rdf:Description>"
    )
    image = decode_image(saved("JPEG", xmp=xmp) + saved("JPEG"), "x.jpg")
    assert image.notes == ("the gain map for HDR displays was left out",)
    assert b"hdrgm:Version" not in image.metadata.xmp and b"Container:" not in image.metadata.xmp
    write_image(tmp_path / "x.jpg", image)
    assert read_image(tmp_path / "x.jpg").notes == ()
    assert decode_image(saved("JPEG", xmp=XMP), "x.jpg").notes == ()


def test_a_bmp_file_may_hold_a_profile(tmp_path):
    profile = swapped_profile()
    pixels = PHOTOGRAPH[::-1, :, ::-1].tobytes()  # 64 pixels: rows need no padding
    header = struct.pack("<IiiHHIIiiII", 124, 64, 48, 1, 24, 0, len(pixels), 0, 0, 0, 0) + bytes(16)
    header += b"DEBM" + bytes(48) + struct.pack("<IIII", 4, 124 + len(pixels), len(profile), 0)
    data = (
        b"BM" + struct.pack("<IHHI", 14 + 124 + len(pixels) + len(profile), 0, 0, 14 + 124) + header + pixels + profile
    )
    image = decode_image(data, "x.bmp")
    np.testing.assert_array_equal(image.pixels, PHOTOGRAPH)
    assert image.metadata.icc == profile
    write_image(tmp_path / "x.png", image)
    assert read_image(tmp_path / "x.png").metadata.icc == profile
    linked = decode_image(data.replace(b"DEBM", b"KNIL"), "x.bmp")
    assert (linked.metadata.icc, linked.notes) == (None, ("the name of a color profile was left out",))
    calibrated = decode_image(data.replace(b"DEBM" + bytes(12), bytes(4) + bytes(range(12))), "x.bmp")
    assert calibrated.notes == ("the calibration of its colors was left out",)


def test_a_gif_file_may_hold_a_profile():
    profile, data = swapped_profile(), saved("GIF")
    blocks = (profile[at : at + 255] for at in range(0, len(profile), 255))
    said = b"!\xff\x0bICCRGBG1012" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
    start = data.index(b",\0\0\0\0")  # of the one frame
    assert decode_image(data[:start] + said + data[start:], "x.gif").metadata.icc == profile


def test_content_credentials_are_named_as_lost():
    box = b"\0\0\0\x26jumb\0\0\0\x1ejumdc2pa\0\x11\0\x10\x80\0\0\xaa\x008\x9bq\3c2pa\0"
    data = saved("JPEG")
    for content in (png_with(chunk(b"caBX", box)), data[:2] + segment(0xEB, b"JP\0\1\0\0\0\1" + box) + data[2:]):
        assert decode_image(content, "x").notes == ("the content credentials (C2PA) were left out",)


def test_what_hdr_says_of_itself_goes_from_png_to_png(tmp_path):
    said = {b"cICP": bytes([9, 16, 0, 1]), b"mDCV": bytes(range(24)), b"cLLI": bytes(range(8))}
    image = decode_image(png_with(*(chunk(kind, content) for kind, content in said.items())), "x.png")
    assert write_image(tmp_path / "x.png", image) == []
    assert read_image(tmp_path / "x.png").metadata.png_color == said


# --- what stands elsewhere in a file ---


@pytest.mark.parametrize(
    ("said", "note"),
    [
        (b'GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"', "the video of a motion photo was left out"),
        (b"GCamera:MicroVideo='1' GCamera:MicroVideoOffset='99'", "the video of a motion photo was left out"),
        (b'xmpNote:HasExtendedXMP="0123456789ABCDEF"', "the second part of the XMP was left out"),
    ],
)
@pytest.mark.parametrize("element", [False, True])
def test_xmp_does_not_point_to_what_is_gone(said, note, element):
    if element:
        name, _, value = said.split()[0].partition(b"=")
        xmp = XMP.replace(b"<tiff:ImageLength>", b"<%s>%s</%s><tiff:ImageLength>" % (name, value[1:-1], name))
    else:
        xmp = XMP.replace(b"dc:title", said + b" dc:title")
    image = decode_image(saved("JPEG", xmp=xmp), "x.jpg")
    assert image.notes == (note,)
    assert image.metadata.xmp.split() == XMP.replace(b'"6"', b'"1"').split()


def test_raw_profiles_that_are_not_read_are_named():
    raw = chunk(b"tEXt", b"Raw profile type iptc\0\niptc\n       4\n1c020500\n")
    image = decode_image(png_with(raw), "x.png")
    assert image.notes == ("PNG text 'Raw profile type iptc' was left out",) and image.metadata.text == {}


def test_more_text_than_pillow_opens_is_left_out(tmp_path):
    text = {f"part {index}": "a" * 1_000_000 for index in range(80)}
    lost = write_image(tmp_path / "x.png", Image(PHOTOGRAPH, None, Metadata(text=text)))
    assert 60 < len(lost) < 70 and all(note.startswith("left out of the PNG file: text 'part ") for note in lost)
    with PIL.Image.open(tmp_path / "x.png") as opened:
        opened.load()
        assert len(opened.text) + len(lost) == 80


# --- content and library ---


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "the content is EPS"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "the content is HEIC"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "the content is JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "the content is JPEG 2000"),
        (b"P6 1 1 255\n\0\0\0", "no image of a known format"),
    ],
)
def test_no_other_decoder_is_tried(content, words, tmp_path, monkeypatch):
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(SrKdError, match=words):
        read_image(tmp_path / "x.png")
    assert not (tmp_path / "started").exists()


def test_without_libvips_there_is_a_sentence(tmp_path):
    (tmp_path / "x.png").write_bytes(saved("PNG"))
    (tmp_path / "x.jpg").write_bytes(saved("JPEG"))
    program = (
        "import sys; sys.modules['pyvips'] = None\n"
        "from sr_kd.images import read_image; from sr_kd.errors import SrKdError\n"
        "read_image('x.jpg')\n"
        "try: read_image('x.png')\n"
        "except SrKdError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cannot read x.png: PNG and TIFF need libvips (")
    assert "pip install 'pyvips[binary]'" in done.stdout


def test_a_forked_process_reads_what_its_parent_read(tmp_path):
    """libvips' threads would not be there in the child, which would wait for them for ever."""
    for name in ("x.png", "x.tiff"):
        write_image(tmp_path / name, Image(PHOTOGRAPH))
    program = (
        "import os, signal; from sr_kd.images import read_image\n"
        "for name in ('x.png', 'x.tiff'): read_image(name)\n"
        "if os.fork() == 0:\n"
        "    signal.alarm(60)\n"
        "    for name in ('x.png', 'x.tiff'): read_image(name)\n"
        "    os._exit(0)\n"
        "print(os.wait()[1])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
