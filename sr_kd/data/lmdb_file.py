"""Reading LMDB's ``data.mdb`` without its library, which trusts the file: a damaged one ends the process.

The library maps the file and follows every number in it, so that one flipped bit is a bus error or an abort. Here
every number is checked before it is used, and pages are read, not mapped. The format is that of LMDB 0.9 where
numbers are little-endian and sizes have 64 bits (MDB_page, MDB_meta and MDB_node in its ``mdb.c``).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_NO_PAGE = 2**64 - 1
_BRANCH, _LEAF, _OVERFLOW, _META = 1, 2, 4, 8  # kinds of pages
_WITHIN, _APART = 0, 1  # kinds of values: in their node, or on pages of their own
_PAGE_SIZES = frozenset(2**power for power in range(9, 16))
_PAGE = struct.Struct("<Q2xHHH")  # its number, kind, end of the nodes' offsets, and begin of the nodes
_META_DATA = struct.Struct("<II16x I36xQ 4xH34xQ QQ")
_NODE = struct.Struct("<HHHH")  # size of the value (or number of the page below) in two parts, kind, size of the key


class LmdbFileError(ValueError):
    """Says, without its name, what is wrong with the file."""


class Value(NamedTuple):
    """Where a value is in the file."""

    offset: int
    size: int


class _Meta(NamedTuple):
    """What one of the two meta pages says; the one of the later transaction holds."""

    magic: int
    version: int
    page_size: int
    free_root: int
    flags: int
    root: int
    last_page: int
    transaction: int


def read_index(path: Path) -> dict[bytes, Value]:
    """Every key with the place of its value, in order. Every page but those of values is looked at.

    Raises:
        LmdbFileError: no LMDB, one of several data bases, a damaged or a truncated one.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        meta = _read_meta(file)
        needed, found = (meta.last_page + 1) * meta.page_size, os.fstat(file.fileno()).st_size
        if found < needed:
            raise LmdbFileError(f"is truncated: {found} bytes of {needed}")
        pages = _Pages(file, meta.page_size, meta.last_page)
        index = dict(pages.entries(meta.root))
        for _, value in pages.entries(meta.free_root):
            pages.take_free(value)
        return index


def _read_meta(file: BinaryIO) -> _Meta:
    found: list[_Meta] = []
    for number in range(2):
        head = file.read(_PAGE.size + _META_DATA.size)
        if len(head) < _PAGE.size + _META_DATA.size:
            raise LmdbFileError("is no LMDB, or a truncated one")
        meta = _Meta(*_META_DATA.unpack_from(head, _PAGE.size))
        sound = (meta.magic, meta.version) == (_MAGIC, _VERSION) and meta.page_size in _PAGE_SIZES
        if not sound or _PAGE.unpack_from(head)[:2] != (number, _META):
            raise LmdbFileError("is no LMDB of 64 bits, or a damaged one")
        found.append(meta)
        file.seek(meta.page_size)
    meta = max(found, key=lambda each: each.transaction)
    if found[0].page_size != found[1].page_size or meta.flags:
        raise LmdbFileError("is an LMDB with keys or values of another kind than images have, or a damaged one")
    return meta


class _Pages:
    """The pages of a file, each of which has one use: no circle is endless, and no free page holds anything."""

    def __init__(self, file: BinaryIO, size: int, last: int) -> None:
        self._file, self._size, self._taken = file, size, bytearray(last + 1)
        self._taken[:2] = b"\1\1"  # the meta pages

    def entries(self, root: int) -> Iterator[tuple[bytes, Value]]:
        """Every key below a page, in order, with its value."""
        waiting = [] if root == _NO_PAGE else [root]
        while waiting:
            number = waiting.pop()
            page, kind = self._read(number)
            _, _, end, _ = _PAGE.unpack_from(page)
            if kind not in (_BRANCH, _LEAF) or not _PAGE.size <= end <= self._size or end % 2:
                raise _damaged(number)
            below = []
            for (start,) in struct.iter_unpack("<H", page[_PAGE.size : end]):
                if not end <= start <= self._size - _NODE.size:
                    raise _damaged(number)
                low, high, flags, key_size = _NODE.unpack_from(page, start)
                key_end, size = start + _NODE.size + key_size, low | high << 16
                if key_end + (8 if flags == _APART else size) * (kind == _LEAF) > self._size:
                    raise _damaged(number)
                if kind == _BRANCH:
                    below.append(size | flags << 32)
                    continue
                if flags not in (_WITHIN, _APART):
                    raise _damaged(number)
                offset = number * self._size + key_end
                if flags == _APART:
                    offset = self._value_apart(*struct.unpack_from("<Q", page, key_end), size)
                yield page[start + _NODE.size : key_end], Value(offset, size)
            waiting += reversed(below)

    def take_free(self, value: Value) -> None:
        """Take the pages that the next writing may use: a value with their count, then their numbers, largest first."""
        self._file.seek(value.offset)
        data = self._file.read(value.size)
        count, *free = (number for (number,) in struct.iter_unpack("<Q", data[: len(data) // 8 * 8] or bytes(8)))
        if len(data) != 8 * (count + 1) or sorted(free, reverse=True) != free:
            raise LmdbFileError("is damaged: its list of free pages")
        for number in free:
            self._take(number, 1)

    def _read(self, number: int) -> tuple[bytes, int]:
        """A page and its kind."""
        self._take(number, 1)
        self._file.seek(number * self._size)
        page = self._file.read(self._size)
        if len(page) < self._size:
            raise LmdbFileError("is truncated")
        own, kind, _, _ = _PAGE.unpack_from(page)
        if own != number:
            raise _damaged(number)
        return page, kind

    def _value_apart(self, number: int, size: int) -> int:
        """Where a value begins that has pages of its own."""
        page, kind = self._read(number)
        (count,) = struct.unpack_from("<I", page, _PAGE.size - 4)
        if kind != _OVERFLOW or not 0 < _PAGE.size + size <= count * self._size:
            raise _damaged(number)
        self._take(number + 1, count - 1)
        return number * self._size + _PAGE.size

    def _take(self, number: int, count: int) -> None:
        if number + count > len(self._taken) or any(self._taken[number : number + count]):
            raise _damaged(number)
        self._taken[number : number + count] = b"\1" * count


def _damaged(number: int) -> LmdbFileError:
    return LmdbFileError(f"is damaged: page {number}")
