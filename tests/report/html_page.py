"""Reading a page: its elements, their attributes, and the text in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "input", "img", "br", "hr"}


@dataclass
class Element:
    """One element; `text` is all of what is written in it."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    inside: list[str] = field(default_factory=list)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.open: list[Element] = []

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs), inside=[one.tag for one in self.open])
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag if self.open else ''}>"
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element.text += data


def read_page(path: Path) -> list[Element]:
    """Every element of a page in its order. AssertionError where elements are not closed as they were opened."""
    parser = _Parser()
    parser.feed(path.read_text(encoding="utf-8"))
    parser.close()
    assert not parser.open, f"<{parser.open[-1].tag}> is not closed"
    return parser.elements
