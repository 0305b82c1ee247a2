"""A drawing of images, boxes and words, painted as pixels or as PDF."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

INK, PAPER, BOX = (20, 20, 20), (255, 255, 255), (230, 30, 30)
Color = tuple[int, int, int]


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
    line: float = 3
    color: Color = BOX


@dataclass(frozen=True)
class Words:
    """A line of text; `left` is its middle where it is `centered`, `base` its base line."""

    text: str
    left: float
    base: float
    size: float
    centered: bool = True


@dataclass(frozen=True)
class Sheet:
    """Everything on a white page; lengths are pixels, from the top left."""

    width: int
    height: int
    items: Sequence[Placed | Frame | Words]


def paint(sheet: Sheet) -> np.ndarray:
    """The sheet as (H, W, 3) uint8."""
    page = PillowImage.new("RGB", (sheet.width, sheet.height), PAPER)
    canvas = ImageDraw.Draw(page)
    for item in sheet.items:
        if isinstance(item, Placed):
            size = (max(1, round(item.width)), max(1, round(item.height)))
            smaller = size[0] < item.pixels.shape[1]
            way = PillowImage.Resampling.LANCZOS if smaller else PillowImage.Resampling.NEAREST
            image = PillowImage.fromarray(np.ascontiguousarray(item.pixels)).resize(size, way)
            page.paste(image, (round(item.left), round(item.top)))
        elif isinstance(item, Frame):
            corners = [round(edge) for edge in _corners(item)]
            canvas.rectangle(corners, outline=item.color, width=round(item.line))
        else:
            font = ImageFont.load_default(item.size)
            canvas.text((item.left, item.base), item.text, INK, font, anchor="ms" if item.centered else "ls")
    return np.array(page)


def text_width(text: str, size: float) -> float:
    """Of a line in pixels."""
    return float(ImageFont.load_default(size).getlength(text))


def to_pdf(sheet: Sheet, scale: float = 0.5) -> bytes:
    """The sheet as a PDF of one page: images without loss, words and boxes as vectors (Helvetica, Latin letters).

    Args:
        scale: points per pixel.
    """
    images = [item for item in sheet.items if isinstance(item, Placed)]
    drawing = [f"{scale:g} 0 0 {scale:g} 0 0 cm"]
    for item in sheet.items:
        drawing.append(_pdf_item(item, sheet.height, images))
    content = "\n".join(drawing).encode("latin-1")
    names = " ".join(f"/I{number} {number + 6} 0 R" for number in range(len(images)))
    box = f"[0 0 {sheet.width * scale:g} {sheet.height * scale:g}]"
    resources = f"<< /Font << /F 5 0 R >> /XObject << {names} >> >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox {box} /Contents 4 0 R /Resources {resources} >>".encode(),
        _stream("", content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        *(_pdf_image(item.pixels) for item in images),
    ]
    return _pdf_file(objects)


def _corners(item: Frame) -> tuple[float, float, float, float]:
    return item.left, item.top, item.left + item.width, item.top + item.height


def _pdf_item(item: Placed | Frame | Words, page: int, images: Sequence[Placed]) -> str:
    """PDF counts from the bottom."""
    if isinstance(item, Placed):
        number = next(index for index, each in enumerate(images) if each is item)
        return (
            f"q {item.width:g} 0 0 {item.height:g} {item.left:g} {page - item.top - item.height:g} cm /I{number} Do Q"
        )
    if isinstance(item, Frame):
        color = " ".join(f"{part / 255:.3f}" for part in item.color)
        place = f"{item.left:g} {page - item.top - item.height:g} {item.width:g} {item.height:g}"
        return f"{color} RG {item.line:g} w {place} re S"
    size = item.size * 0.95
    left = item.left - text_width(item.text, item.size) / 2 if item.centered else item.left
    text = item.text.encode("cp1252", "replace").decode("latin-1")
    for special in "\\()":
        text = text.replace(special, f"\\{special}")
    color = " ".join(f"{part / 255:.3f}" for part in INK)
    return f"BT {color} rg /F {size:g} Tf {left:.2f} {page - item.base:g} Td ({text}) Tj ET"


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
