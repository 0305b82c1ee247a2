"""Image files: pixels, transparency, depth and metadata, read and written."""

from .formats import FORMATS, NOT_READ, SUFFIXES, check_holds, output_format
from .image import Image, Metadata, to_eight_bits
from .read import SPECIAL, Header, decode_image, is_special, read_header, read_image
from .write import write_image

__all__ = [
    "FORMATS",
    "NOT_READ",
    "SPECIAL",
    "SUFFIXES",
    "Header",
    "Image",
    "Metadata",
    "check_holds",
    "decode_image",
    "is_special",
    "output_format",
    "read_header",
    "read_image",
    "to_eight_bits",
    "write_image",
]
