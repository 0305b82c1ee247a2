"""The formats of image files: by suffix, by content, and what each can hold."""

from __future__ import annotations

from pathlib import Path

from ..errors import SrKdError, UsageError
from .color import beyond_srgb
from .image import Image

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".avif": "AVIF",
}
SUFFIXES = frozenset({*FORMATS, ".gif"})  # of what is read
_KNOWN = """
    .heic .heif .hif .heics .avifs .avci .jxl .jp2 .j2k .j2c .jpc .jpx .jpf .jpm .jph .jxr .wdp .hdp .jxs .jls .tga
    .dds .ktx .ktx2 .exr .hdr .rgbe .psd .psb .xcf .kra .ora .clip .afphoto .svg .svgz .ai .wmf .emf .ico .icns .cur
    .qoi .eps .ps .ppm .pgm .pbm .pnm .pam .pfm .pcx .sgi .rgb .rgba .bw .ras .iff .lbm .xbm .xpm .wbmp .pict .pct
    .dpx .cin .fits .fit .dcm .bpg .flif .mng .jng .mpo .apng .dib .rle .jif .jfi .pjpeg .pjp .jps .pns .btf .tf8 .ptif
    .dng .cr2 .cr3 .crw .nef .nrw .arw .sr2 .srf .orf .rw2 .rwl .raw .raf .pef .srw .x3f .3fr .fff .iiq .dcr .kdc .mrw
    .erf .mef .mos .gpr
"""
NOT_READ = frozenset(_KNOWN.split())  # images, too, but of no use here
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"GIF8": "GIF",
    b"BM": "BMP",
    # The rest is not read.
    b"%!PS": "EPS",
    b"\xc5\xd0\xd3\xc6": "EPS",
    b"%PDF": "PDF",
    b"8BPS": "a Photoshop document",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"DDS ": "DDS",
    b"v/1\x01": "OpenEXR",
}
OPAQUE = ("JPEG", "BMP")
_LONGEST_SIDE = {"WEBP": 16_383, "JPEG": 65_500, "AVIF": 65_536}


def format_of(data: bytes) -> str:
    """The format of a file's content, as Pillow calls it. The file's name does not count.

    Raises:
        SrKdError: none that is read; a known one is named.
    """
    name = names_a_format(data)
    if name is None:
        raise SrKdError(f"the content is no image of a known format ({', '.join(sorted(SUFFIXES))})")
    if name not in {*FORMATS.values(), "GIF"}:
        raise SrKdError(f"the content is {name}, which is not read; convert it to PNG or TIFF first")
    return name


def names_a_format(data: bytes) -> str | None:
    """What the content of a file is, by how it begins; None where that tells nothing."""
    for signature, name in _SIGNATURES.items():
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        brands = data[8 : max(16, min(256, int.from_bytes(data[:4], "big")))]
        if b"avif" in brands or b"avis" in brands:
            return "AVIF"
        return "HEIC" if b"hei" in brands or b"mif1" in brands else "a video"
    return None


def output_format(suffix: str) -> str:
    """The format that a suffix stands for. Raises UsageError for one that cannot be written."""
    if suffix.lower() not in FORMATS:
        raise UsageError(f"cannot write '{suffix}' files; use one of {', '.join(sorted(FORMATS))}")
    return FORMATS[suffix.lower()]


def check_holds(path: Path | str, image: Image, width: int, height: int) -> None:
    """Refuse, with an SrKdError, what the format of `path` cannot hold: an image like this one, of this size."""
    kind = output_format(Path(path).suffix)
    longest = _LONGEST_SIDE.get(kind, max(width, height))
    if max(width, height) > longest:
        raise SrKdError(
            f"cannot write {path}: {width}x{height} pixels, {kind} holds at most {longest} a side; use .png"
        )
    if kind in OPAQUE and image.transparent:
        raise SrKdError(f"cannot write {path}: {kind} has no transparency; use .png, .webp, .tiff or .avif")
    if kind != "PNG" and image.metadata.icc is None and (colors := beyond_srgb(image.metadata.png_color)):
        raise SrKdError(
            f"cannot write {path}: the image's colors are {colors}, no sRGB, and of the formats written here "
            "only PNG can say so without a color profile; use .png"
        )
