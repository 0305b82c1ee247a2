"""A drawing of images, boxes and words, painted as pixels or as PDF."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

INK, PAPER, BOX = (20, 20, 20), (255, 255, 255), (230, 30, 30)
LINE = 3  # width of a frame's
POINTS = 0.5  # of a PDF, for each pixel


@dataclass(frozen=True)
class Placed:
    """An image (H, W, 3) uint8 in a rectangle; pixels are magnified as they are."""

    pixels: np.ndarray
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Frame:
    """The outline of a rectangle."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Words:
    """A line of text; `left` is its middle where it is `centered`, `base` its base line."""

    text: str
    left: float
    base: float
    size: float
    centered: bool = True


@dataclass
class Sheet:
    """A white page with images, boxes upon them, and words; lengths are pixels, from the top left."""

    width: int = 0
    height: int = 0
    images: list[Placed] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)


def paint(sheet: Sheet) -> np.ndarray:
    """The sheet as (H, W, 3) uint8."""
    page = PillowImage.new("RGB", (sheet.width, sheet.height), PAPER)
    canvas = ImageDraw.Draw(page)
    for each in sheet.images:
        size = (max(1, round(each.width)), max(1, round(each.height)))
        smaller = size[0] < each.pixels.shape[1]
        way = PillowImage.Resampling.LANCZOS if smaller else PillowImage.Resampling.NEAREST
        image = PillowImage.fromarray(np.ascontiguousarray(each.pixels)).resize(size, way)
        page.paste(image, (round(each.left), round(each.top)))
    for box in sheet.frames:
        corners = (box.left, box.top, box.left + box.width, box.top + box.height)
        canvas.rectangle([round(edge) for edge in corners], outline=BOX, width=LINE)
    for line in sheet.words:
        font = ImageFont.load_default(line.size)
        canvas.text((line.left, line.base), line.text, INK, font, anchor="ms" if line.centered else "ls")
    return np.array(page)


def text_width(text: str, size: float) -> float:
    """Of a line in pixels."""
    return float(ImageFont.load_default(size).getlength(text))


def to_pdf(sheet: Sheet) -> bytes:
    """The sheet as a PDF of one page: images without loss, words and boxes as vectors (Helvetica, Latin letters)."""
    names = " ".join(f"/I{number} {number + 6} 0 R" for number in range(len(sheet.images)))
    box = f"[0 0 {sheet.width * POINTS:g} {sheet.height * POINTS:g}]"
    resources = f"<< /Font << /F 5 0 R >> /XObject << {names} >> >>"
    content = "\n".join([f"{POINTS:g} 0 0 {POINTS:g} 0 0 cm", *_pdf_content(sheet)])
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox {box} /Contents 4 0 R /Resources {resources} >>".encode(),
        _stream("", content.encode("latin-1")),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        *(_pdf_image(item.pixels) for item in sheet.images),
    ]
    return _pdf_file(objects)


def _pdf_content(sheet: Sheet) -> Iterator[str]:
    """PDF counts from the bottom."""
    ink, frame = (" ".join(f"{part / 255:.3f}" for part in color) for color in (INK, BOX))
    for number, each in enumerate(sheet.images):
        bottom = sheet.height - each.top - each.height
        yield f"q {each.width:g} 0 0 {each.height:g} {each.left:g} {bottom:g} cm /I{number} Do Q"
    for box in sheet.frames:
        bottom = sheet.height - box.top - box.height
        yield f"{frame} RG {LINE} w {box.left:g} {bottom:g} {box.width:g} {box.height:g} re S"
    for line in sheet.words:
        left = line.left - text_width(line.text, line.size) / 2 if line.centered else line.left
        text = line.text.encode("cp1252", "replace").decode("latin-1")
        for special in "\\()":
            text = text.replace(special, f"\\{special}")
        yield f"BT {ink} rg /F {line.size * 0.95:g} Tf {left:.2f} {sheet.height - line.base:g} Td ({text}) Tj ET"


def _pdf_image(pixels: np.ndarray) -> bytes:
    height, width = pixels.shape[:2]
    kind = f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /DeviceRGB /BitsPerComponent 8"
    return _stream(kind, np.ascontiguousarray(pixels).tobytes())


def _stream(description: str, content: bytes) -> bytes:
    packed = zlib.compress(content, 9)
    head = f"<< {description} /Filter /FlateDecode /Length {len(packed)} >>\nstream\n"
    return head.encode() + packed + b"\nendstream"


def _pdf_file(objects: Sequence[bytes]) -> bytes:
    """The objects with the table of their places."""
    body = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    start = len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, table)
    body += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, start)
    return bytes(body)
