"""Reading the data file of an LMDB page by page.

LMDB itself maps the file into memory and trusts it: a damaged one ends the process by SIGSEGV, SIGBUS or abort(). Here
every number is checked before it is followed. Source: the structures of liblmdb 0.9, `mdb.c
<https://github.com/LMDB/lmdb/blob/mdb.RE/0.9/libraries/liblmdb/mdb.c>`_, as 64-bit little-endian systems write them.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import BinaryIO, NamedTuple

_PAGE = Struct("<Q2xHHH")  # its number, kind, end of the list of nodes, begin of the nodes (or: how many pages)
# Magic, version; page size, flags, depth and root of the free pages; flags, depth and root; last page, transaction.
_META = Struct("<16xII16x IHH32xQ 4xHH32xQ QQ")
_NODE = Struct("<HHHH")  # length of the value, or number of a page (low, middle), flags (or high), length of the key
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4
_WITHIN, _ELSEWHERE = 0, 1  # flags of a value in its leaf, and of one on pages of its own
_KEYS, _NUMBERS = 0x7F, 8  # bits that say what keys are; keys that are numbers
_EMPTY, _DEEPEST = 2**64 - 1, 32
_PAGE_SIZES = tuple(2**power for power in range(9, 17))


class LmdbFileError(ValueError):
    """What is wrong with the file: "is truncated..."."""


class Value(NamedTuple):
    """Where a value lies in the file, in bytes."""

    offset: int
    size: int


def read_index(path: Path) -> dict[bytes, Value]:
    """Key -> where its value is, for all of the main data base; the list of free pages is checked for writers.

    Raises:
        LmdbFileError: a foreign, truncated or damaged file. OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            return _Pages(file).index()
        except (struct.error, MemoryError):
            raise LmdbFileError("is damaged: a page ends before what it holds") from None


class _Pages:
    """The pages of a file as its newest transaction left them; none may belong to two owners."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = self._meta(0)[0]
        newest = max(self._meta(0), self._meta(self._size), key=lambda meta: meta[1])
        _, _, last, self._free, self._root = newest
        needed, found = (last + 1) * self._size, os.fstat(file.fileno()).st_size
        if found < needed:
            raise LmdbFileError(f"is truncated: {found} bytes of {needed}")
        self._taken = bytearray(last + 1)
        self._take(0, 2)

    def index(self) -> dict[bytes, Value]:
        """All values of the data; none overlaps a free page."""
        found = dict(self._values(*self._root))
        for value in dict(self._values(*self._free)).values():
            count, *pages = struct.unpack(f"<{value.size // 8}Q", self._read(value.offset, value.size // 8 * 8)) or (1,)
            if count > len(pages) or sorted(pages[:count], reverse=True) != pages[:count]:
                raise LmdbFileError("is damaged: its list of free pages is longer than its place, or in disorder")
            for page in pages[:count]:
                self._take(page)
        return found

    def _meta(self, offset: int) -> tuple[int, int, int, tuple[int, int], tuple[int, int]]:
        """(page size, transaction, last page, root and depth of the free pages and of the data): one of two pages."""
        data = self._read(offset, _META.size)
        if len(data) == _META.size:
            magic, version, size, free_keys, free_depth, free, keys, depth, root, last, transaction = _META.unpack(data)
            plain = (free_keys & _KEYS, keys) == (_NUMBERS, 0)
            if plain and (magic, version) == (_MAGIC, _VERSION) and size in _PAGE_SIZES:
                return size, transaction, last, (free, free_depth), (root, depth)
        raise LmdbFileError("is no LMDB of a 64-bit little-endian system, or damaged")

    def _values(self, number: int, depth: int) -> Iterator[tuple[bytes, Value]]:
        """What is below a page; leaves have depth 1."""
        if number == _EMPTY and depth == 0:
            return
        self._take(number)
        page = self._read(number * self._size, self._size)
        own, kind, end, _ = _PAGE.unpack_from(page)
        wanted = _LEAF if depth == 1 else _BRANCH
        if (own, kind) != (number, wanted) or not _PAGE.size <= end <= self._size or depth > _DEEPEST:
            raise LmdbFileError(f"is damaged: page {number} is none of a tree")
        for place in struct.unpack_from(f"<{(end - _PAGE.size) // 2}H", page, _PAGE.size):
            low, middle, high, key_size = _NODE.unpack_from(page, place)
            begin, length = place + _NODE.size + key_size, low | middle << 16
            if place < end or begin > self._size:
                raise LmdbFileError(f"is damaged: a key does not fit into page {number}")
            if kind == _BRANCH:
                yield from self._values(length | high << 32, depth - 1)
                continue
            key = page[begin - key_size : begin]
            if high == _ELSEWHERE:
                (first,) = struct.unpack_from("<Q", page, begin)
                yield key, self._elsewhere(first, length)
            elif high == _WITHIN and begin + length <= self._size:
                yield key, Value(number * self._size + begin, length)
            else:
                raise LmdbFileError(f"is damaged: a value does not fit into page {number}")

    def _elsewhere(self, number: int, length: int) -> Value:
        """A value that has pages of its own."""
        self._take(number)
        own, kind, low, high = _PAGE.unpack(self._read(number * self._size, _PAGE.size))
        count = low | high << 16
        if (own, kind) != (number, _OVERFLOW) or _PAGE.size + length > count * self._size:
            raise LmdbFileError(f"is damaged: a value does not fit into its {count} pages from {number} on")
        self._take(number + 1, count - 1)
        return Value(number * self._size + _PAGE.size, length)

    def _take(self, number: int, count: int = 1) -> None:
        """Pages that nothing else has; this also ends a walk in a circle."""
        if number + count > len(self._taken):
            raise LmdbFileError(f"is damaged: it refers to page {number + count - 1} of {len(self._taken)}")
        if any(self._taken[number : number + count]):
            raise LmdbFileError(f"is damaged: it refers to page {number} twice")
        self._taken[number : number + count] = b"\1" * count

    def _read(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)
