"""LMDBs in BasicSR's format: written, read, exchanged with BasicSR, and refused when damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest

from sr_kd.data.embedded import embedded_files
from sr_kd.data.lmdb import LmdbWriter, lmdb_images
from sr_kd.data.prepare import encode_png
from sr_kd.data.sets import open_set
from sr_kd.errors import SrKdError, UsageError
from sr_kd.images import Header, read_image

NAMES = ("0001", "dots.in.name", "höhe 1", "写真")


@pytest.fixture(scope="module")
def crops() -> dict[str, np.ndarray]:
    pixels = [read_image(path).pixels[:60, :80] for path in embedded_files("scikit-image:held_out")]
    return dict(zip(NAMES, pixels, strict=True))


def write(folder: Path, images: dict[str, np.ndarray]) -> Path:
    with LmdbWriter(folder) as writer:
        for name, pixels in images.items():
            writer.put(name, encode_png(pixels))
        writer.finish((name, Header(*pixels.shape)) for name, pixels in images.items())
    return folder


@pytest.fixture
def folder(tmp_path: Path, crops: dict[str, np.ndarray]) -> Path:
    return write(tmp_path / "set.lmdb", crops)


def test_what_is_written_is_read(folder, crops):
    images = lmdb_images(str(folder))
    assert tuple(image.name for image in images) == NAMES
    for image, pixels in zip(images, crops.values(), strict=True):
        assert np.array_equal(image.read().pixels, pixels)
        assert image.header() == Header(60, 80, 3)


def test_the_meta_info_is_basicsr_s(folder):
    lines = (folder / "meta_info.txt").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["0001.png (60,80,3) 1", "dots.in.name.png (60,80,3) 1"]


def test_a_set_opens_from_lmdbs(tmp_path, folder, crops):
    small = write(tmp_path / "lr.lmdb", {name: pixels[::2, ::2] for name, pixels in crops.items()})
    images = open_set([str(folder)], scale=2, dataroot_lq=[str(small)])
    assert images.name == "set"
    pair = images.read(1)
    assert np.array_equal(pair.hr, crops["dots.in.name"])
    assert np.array_equal(pair.lr, crops["dots.in.name"][::2, ::2])
    unnamed = folder.rename(tmp_path / "plain")
    assert len(open_set([str(unnamed)], scale=2, lmdb=True)) == len(NAMES)
    assert len(open_set([str(unnamed)], scale=2)) == len(NAMES)  # known by its content


def test_the_map_grows_when_it_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr("sr_kd.data.lmdb._FIRST_MAP", 2**16)
    noise = np.random.default_rng(0).integers(0, 256, (8, 200, 200, 3), np.uint8)
    images = {f"noise_{number}": pixels for number, pixels in enumerate(noise)}
    for image, pixels in zip(lmdb_images(str(write(tmp_path / "big.lmdb", images))), noise, strict=True):
        assert np.array_equal(image.read().pixels, pixels)


def test_writing_goes_on_where_it_stopped(tmp_path, crops):
    with LmdbWriter(tmp_path / "set.lmdb") as writer:
        writer.put("0001", encode_png(crops["0001"]))
    with pytest.raises(UsageError, match=r"no meta_info\.txt.*interrupted"):
        lmdb_images(str(tmp_path / "set.lmdb"))
    with LmdbWriter(tmp_path / "set.lmdb") as writer:
        assert writer.names() == {"0001"}
        writer.put("写真", encode_png(crops["写真"]))
        writer.finish((name, Header(60, 80, 3)) for name in ("0001", "写真"))
    assert len(lmdb_images(str(tmp_path / "set.lmdb"))) == 2


class TestErrors:
    def test_no_lmdb_there(self, folder):
        with pytest.raises(UsageError, match=r"no data\.mdb \(did you mean 'set\.lmdb'"):
            lmdb_images(str(folder.parent / "sets.lmdb"))

    @pytest.mark.parametrize("content", [b"", b"not a data base" * 1000])
    def test_a_foreign_file(self, folder, content):
        (folder / "data.mdb").write_bytes(content)
        with pytest.raises(SrKdError, match=r"data\.mdb is no LMDB"):
            lmdb_images(str(folder))

    def test_a_truncated_file(self, folder):
        data = folder / "data.mdb"
        data.write_bytes(data.read_bytes()[:-8192])
        with pytest.raises(SrKdError, match=r"data\.mdb is truncated: \d+ bytes of \d+"):
            lmdb_images(str(folder))

    def test_a_list_of_another_data_base(self, folder):
        (folder / "meta_info.txt").write_text("0001.png (60,80,3) 1\nother.png (60,80,3) 1\n")
        with pytest.raises(SrKdError, match=r"1 of 2 images .* not in the data base, such as 'other'"):
            lmdb_images(str(folder))

    @pytest.mark.parametrize("line", ["0001.png", "0001.png 60 80 3", "(60,80,3) 1"])
    def test_a_list_of_another_kind(self, folder, line):
        (folder / "meta_info.txt").write_text(f"0001.png (60,80,3) 1\n{line}\n")
        with pytest.raises(UsageError, match=r"meta_info\.txt, line 2: expected"):
            lmdb_images(str(folder))

    def test_a_list_without_images(self, folder):
        (folder / "meta_info.txt").write_text("")
        with pytest.raises(UsageError, match="lists no image"):
            lmdb_images(str(folder))

    def test_a_value_that_is_no_image(self, tmp_path):
        with LmdbWriter(tmp_path / "odd.lmdb") as writer:
            writer.put("a", b"pickled")
            writer.finish([("a", Header(60, 80, 3))])
        with pytest.raises(SrKdError, match=r"odd\.lmdb/a: "):
            lmdb_images(str(tmp_path / "odd.lmdb"))[0].read()

    def test_sizes_that_the_list_has_wrong(self, folder):
        listing = folder / "meta_info.txt"
        listing.write_text(listing.read_text().replace("0001.png (60,80,3)", "0001.png (90,80,3)"))
        with pytest.raises(SrKdError, match="0001 is smaller than its header says"):
            open_set([str(folder)], scale=2).read(0)

    def test_keys_of_lr_and_hr_that_differ(self, tmp_path, folder, crops):
        small = write(tmp_path / "lr.lmdb", {f"{name}_lr": pixels[::2, ::2] for name, pixels in crops.items()})
        with pytest.raises(UsageError, match=r"4 of 4 HR images have no LR image in .*lr\.lmdb: .*'0001_lr'"):
            open_set([str(folder)], scale=2, dataroot_lq=[str(small)])

    def test_a_name_that_is_no_utf8(self, tmp_path):
        with LmdbWriter(tmp_path / "odd.lmdb") as writer, pytest.raises(SrKdError, match="is no UTF-8"):
            writer.put("\udcff", b"")

    def test_a_name_too_long_for_a_key(self, tmp_path):
        with LmdbWriter(tmp_path / "long.lmdb") as writer, pytest.raises(SrKdError, match="longer than LMDB's 511"):
            writer.put("x" * 600, b"")

    def test_a_place_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(SrKdError, match="cannot write the LMDB"):
            LmdbWriter(tmp_path / "file" / "set.lmdb")


@pytest.mark.usefixtures("basicsr")
class TestWithBasicSR:
    def test_basicsr_reads_ours(self, tmp_path, crops):
        from basicsr.data.data_util import paired_paths_from_lmdb
        from basicsr.utils import FileClient, imfrombytes

        plain = {name.replace(".", "_"): pixels for name, pixels in crops.items() if name.isascii()}
        hr = write(tmp_path / "hr.lmdb", plain)
        lr = write(tmp_path / "lr.lmdb", {name: pixels[::2, ::2] for name, pixels in plain.items()})
        paths = paired_paths_from_lmdb([str(lr), str(hr)], ["lq", "gt"])
        client = FileClient("lmdb", db_paths=[str(lr), str(hr)], client_keys=["lq", "gt"])
        assert [path["gt_path"] for path in paths] == list(plain)
        for path, pixels in zip(paths, plain.values(), strict=True):
            assert np.array_equal(imfrombytes(client.get(path["gt_path"], "gt"))[..., ::-1], pixels)
            assert np.array_equal(imfrombytes(client.get(path["lq_path"], "lq"))[..., ::-1], pixels[::2, ::2])

    def test_we_read_basicsr_s(self, tmp_path, crops):
        from basicsr.utils.lmdb_util import make_lmdb_from_imgs

        keys = [name for name in crops if name.isascii()]
        for key in keys:
            cv2.imwrite(str(tmp_path / f"{key}.png"), crops[key][..., ::-1])
        cv2.imwrite(str(tmp_path / "gray.png"), crops[keys[0]][..., 0])
        keys.append("gray")
        make_lmdb_from_imgs(str(tmp_path), str(tmp_path / "set.lmdb"), [f"{key}.png" for key in keys], keys)
        images = lmdb_images(str(tmp_path / "set.lmdb"))
        assert [image.name for image in images] == keys
        for image in images[:-1]:
            assert np.array_equal(image.read().pixels, crops[image.name])
        assert images[-1].header() == Header(60, 80, 1)
        assert np.array_equal(images[-1].read().pixels[..., 0], crops[keys[0]][..., 0])


def test_lmdb_is_left_closed(folder):
    """A second environment on the same file is an error in LMDB: reading must not hold one."""
    lmdb_images(str(folder))[0].read()
    lmdb.open(str(folder), readonly=True, lock=False).close()


@pytest.mark.parametrize("name", ["../../../evil", "/evil", "a/b", "a\\b", "..", "."])
def test_names_that_are_paths_are_refused(folder, name):
    (folder / "meta_info.txt").write_text(f"0001.png (60,80,3) 1\n{name}.png (60,80,3) 1\n")
    with pytest.raises(UsageError, match=r"meta_info\.txt, line 2: .* is a path"):
        lmdb_images(str(folder))


def test_a_damaged_file_never_ends_the_process_or_in_another_error(tmp_path, crops):
    """LMDB's own library follows what is written here, out of its map: SIGBUS, SIGSEGV, SIGABRT."""
    folder = write(tmp_path / "set.lmdb", {f"{name}{i:03}": crops["0001"][:8, :8] for name in NAMES for i in range(60)})
    with LmdbWriter(folder) as writer:  # a second transaction: now some pages are free
        writer.put("more", encode_png(crops["0001"]))
    whole, random, refused = (folder / "data.mdb").read_bytes(), np.random.default_rng(0), 0
    for _ in range(400):
        data = np.frombuffer(whole, np.uint8).copy()
        for _ in range(random.integers(1, 5)):
            page = int(random.integers(len(data) // 4096)) * 4096
            data[page + int(random.choice([random.integers(160), random.integers(4096)]))] = random.integers(256)
        (folder / "data.mdb").write_bytes(data[: random.integers(len(data))] if random.random() < 0.1 else data)
        try:
            for image in lmdb_images(str(folder))[::40]:
                image.read()
        except SrKdError as error:
            refused += 1
            assert str(folder) in str(error)
    assert 100 < refused < 400


@pytest.mark.parametrize("place", [44, 92])
def test_keys_of_another_kind_are_refused_before_writing(folder, place):
    """Flags in the meta pages, here of keys with several values, end LMDB's library by an assertion."""
    data = bytearray((folder / "data.mdb").read_bytes())
    for page in (0, 4096):
        data[page + place] |= 4
    (folder / "data.mdb").write_bytes(data)
    with pytest.raises(SrKdError, match=r"data\.mdb is no LMDB"):
        LmdbWriter(folder)


def test_a_list_of_free_pages_longer_than_its_place_is_refused_before_writing(folder, crops):
    for number in range(2):  # later transactions leave pages free
        with LmdbWriter(folder) as writer:
            writer.put(f"more{number}", encode_png(crops["0001"]))
    data = bytearray((folder / "data.mdb").read_bytes())
    meta = max((0, 4096), key=lambda page: struct.unpack_from("<Q", data, page + 144))  # the newest transaction
    page = 4096 * struct.unpack_from("<Q", data, meta + 80)[0]
    for slot in range(page + 16, page + struct.unpack_from("<H", data, page + 12)[0], 2):
        node = page + struct.unpack_from("<H", data, slot)[0]
        struct.pack_into("<Q", data, node + 16, 10**6)  # behind 8 bytes of header and a key of 8
    (folder / "data.mdb").write_bytes(data)
    with pytest.raises(SrKdError, match="its list of free pages"):
        LmdbWriter(folder)


def test_the_lock_that_the_library_maps_has_its_room(folder):
    """Sparse, it would end the process on a full disk."""
    status = (folder / "lock.mdb").stat()
    assert status.st_blocks * 512 >= status.st_size >= 8192
