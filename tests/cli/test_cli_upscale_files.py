"""Files as people have them, through the command line."""

import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import skimage.data
import tifffile

from sr_kd.cli.main import main
from sr_kd.images import Image, read_image, write_image
from sr_kd.imaging import folder

PHOTOGRAPH = skimage.data.astronaut()[:48, 100:164]


@pytest.fixture
def here(capsys, monkeypatch, tmp_path):
    """The command line in this process (a new one costs seconds), in the test's folder: (code, out, err)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["upscale", *[str(argument) for argument in arguments], "-n", "bicubic", "--device", "cpu"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def lines(err: str) -> list[str]:
    """Without the progress bar."""
    return [line for line in err.replace("\r", "\n").splitlines() if line.startswith("sr-kd")]


def test_whatever_one_image_raises_the_others_go_on(here, monkeypatch):
    for name in ("a.png", "b.png", "c.png"):
        write_image(name, Image(PHOTOGRAPH))

    def read(path):
        if Path(path).name == "b.png":
            raise struct.error("unpack requires\na buffer")
        return read_image(path)

    monkeypatch.setattr(folder, "read_image", read)
    code, out, err = here("-i", ".", "-o", "out", "--json", "s.json")
    assert code == 1 and out.startswith("2 done, 1 failed in ")
    assert lines(err) == ["sr-kd upscale: b.png: failed: unexpected error: unpack requires a buffer"]
    assert json.loads(Path("s.json").read_text())["failed"] == 1


def test_sixteen_bits_mean_what_eight_do(here):
    """The ways to store a TIFF that once came out wrong or stopped the run."""
    gray, peak = PHOTOGRAPH[..., 0].astype(np.uint16) * 257, 65535
    alpha = np.where(PHOTOGRAPH[..., 1] > 120, peak, 9000).astype(np.uint16)
    deep = PHOTOGRAPH.astype(np.uint16) * 257
    premultiplied = np.rint(deep * (alpha[..., None] / peak)).astype(np.uint16)
    Path("in").mkdir()
    tifffile.imwrite("in/black.tif", gray, photometric="minisblack")
    tifffile.imwrite("in/white.tif", peak - gray, photometric="miniswhite")
    tifffile.imwrite("in/white_be.tif", peak - gray, photometric="miniswhite", byteorder=">")
    for name, samples, extra in (
        ("straight", np.dstack([deep, alpha]), "unassalpha"),
        ("premultiplied", np.dstack([premultiplied, alpha]), "assocalpha"),
        ("selection", np.dstack([deep, alpha]), "unspecified"),
    ):
        tifffile.imwrite(f"in/{name}.tif", samples, photometric="rgb", extrasamples=[extra])
    tifffile.imwrite("in/rgb.tif", deep, photometric="rgb")
    tifffile.imwrite("in/big.tif", deep, photometric="rgb", bigtiff=True)
    code, out, err = here("-i", "in", "-o", "out")
    assert code == 0 and out.startswith("8 done in ") and lines(err) == []
    results = {path.stem: read_image(path) for path in Path("out").iterdir()}
    for one, other in (("white", "black"), ("white_be", "black"), ("selection", "rgb"), ("big", "rgb")):
        np.testing.assert_array_equal(results[one].pixels, results[other].pixels)
        assert results[one].alpha is None and results[one].bit_depth == 16
    np.testing.assert_array_equal(results["premultiplied"].alpha, results["straight"].alpha)
    difference = np.abs(results["premultiplied"].pixels.astype(int) - results["straight"].pixels)
    assert difference.max() <= 10  # where alpha is a seventh, a rounding counts seven times


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_level_of_gray_at_every_depth(here, depth):
    ring = np.hypot(*np.mgrid[-16:16, -24:24]) < 12
    back, fore = {1: (1, 0), 2: (2, 1), 4: (9, 3), 8: (150, 40), 16: (40000, 9000)}[depth]
    levels = np.where(ring, fore, back)
    bits = ("".join(format(level, f"0{depth}b") for level in row) for row in levels)
    rows = b"".join(b"\0" + int(row, 2).to_bytes(len(row) // 8, "big") for row in bits)
    Path("a.png").write_bytes(png(48, 32, depth, 0, rows, (b"tRNS", struct.pack(">H", back))))
    shown = np.round(levels / (2**depth - 1) * (65535 if depth == 16 else 255))
    dtype = np.uint16 if depth == 16 else np.uint8
    peak = np.iinfo(dtype).max
    twin = Image(shown.astype(dtype)[..., None], np.where(ring, peak, 0).astype(dtype))
    write_image("twin.png", twin)
    assert here("-i", "a.png", "twin.png", "-o", "out")[0] == 0
    one, other = read_image("out/a.png"), read_image("out/twin.png")
    np.testing.assert_array_equal(one.pixels, other.pixels)
    np.testing.assert_array_equal(one.alpha, other.alpha)


def png(width: int, height: int, depth: int, color: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    said = b"".join(chunk(kind, data) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + header + said + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_an_opaque_alpha_is_no_transparency(here):
    alpha = np.full(PHOTOGRAPH.shape[:2], 255, np.uint8)
    write_image("opaque.png", Image(PHOTOGRAPH, alpha))
    Path("named.jpg").write_bytes(Path("opaque.png").read_bytes())
    alpha[7, 9] = 254
    write_image("almost.png", Image(PHOTOGRAPH, alpha))
    deep = np.full(PHOTOGRAPH.shape[:2], 65535, np.uint16)
    write_image("deep.png", Image(PHOTOGRAPH.astype(np.uint16), deep))
    code, _, err = here("-i", "opaque.png", "named.jpg", "almost.png", "deep.png", "-o", "out", "--ext", "jpg")
    assert code == 1 and sorted(path.name for path in Path("out").iterdir()) == ["deep.jpg", "named.jpg", "opaque.jpg"]
    assert lines(err) == [
        "sr-kd upscale: almost.png: failed: cannot write out/almost.jpg: JPEG has no transparency; use .png, .webp, "
        ".tiff or .avif"
    ]
    assert here("-i", "opaque.png", "-o", "bmp", "--ext", "bmp")[0] == 0


def test_images_that_are_not_read_are_counted(here):
    write_image("in/a.png", Image(PHOTOGRAPH))
    write_image("in/b.jpe", Image(PHOTOGRAPH))
    for name in ("a.heic", "sub/b.HEIC", "c.jxl", "d.jp2", "e.tga", "f.dds", "notes.txt", ".g.heic", "out/h.heic"):
        Path("in", name).parent.mkdir(exist_ok=True)
        Path("in", name).touch()
    Path("in/photo").write_bytes(Path("in/a.png").read_bytes())
    Path("in/LICENSE").write_text("text")
    os.mkfifo("in/pipe")
    code, out, _ = here("-i", "in", "-o", "in/out", "--json", "s.json")
    assert code == 0
    assert out.startswith("2 done, not read: 1 .dds, 2 .heic, 1 .jp2, 1 .jxl, 1 .tga, 1 without a suffix in ")
    found = json.loads(Path("s.json").read_text())["not_read"]
    assert found == {".dds": 1, ".heic": 2, ".jp2": 1, ".jxl": 1, ".tga": 1, "without a suffix": 1}
    Path("in/gone").symlink_to("nowhere")
    code, _, err = here("-i", "in/gone", "-o", "out")
    assert code == 2 and "in/gone is a link to nowhere, which is not there" in err
    code, _, err = here("-i", "in/sub", "-o", "out")
    assert code == 2 and "no images in in/sub; known suffixes: .avif" in err and "(found, but not read: 1 .heic)" in err


def test_linked_folders_are_followed_but_not_in_circles(here):
    write_image("in/a.png", Image(PHOTOGRAPH))
    write_image("in/sub/b.png", Image(PHOTOGRAPH))
    write_image("elsewhere/deep/c.png", Image(PHOTOGRAPH))
    Path("in/album").symlink_to("../elsewhere")
    Path("in/sub/up").symlink_to("..")
    Path("in/again").symlink_to("sub")
    Path("elsewhere/back").symlink_to("../in")
    for number, pattern in enumerate(("in", "in/**/*.png", "in/**/[abc].*")):
        assert here("-i", pattern, "-o", f"out{number}")[0] == 0
        made = {path.relative_to(f"out{number}").as_posix() for path in Path(f"out{number}").rglob("*.png")}
        assert made == {"a.png", "sub/b.png", "album/deep/c.png"}, pattern


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("-", "-o -: results do not go to standard output"),
        ("x.jxl", "-o x.jxl: cannot write '.jxl' files; use one of"),
        ("x.pgn", "-o x.pgn: cannot write '.pgn' files (did you mean '.png'?); use one of"),
        ("x.jepg", "did you mean '.jpg'?"),
        ("x.heic", "cannot write '.heic' files"),
    ],
)
def test_a_target_that_is_no_folder_is_not_made_one(here, target, words):
    write_image("a.png", Image(PHOTOGRAPH))
    code, out, err = here("-i", "a.png", "-o", target)
    assert (code, out) == (2, "") and words in err and err.count("\n") == 1
    assert not Path(target).exists()
    if target != "-":
        assert here("-i", "a.png", "-o", f"{target}/")[0] == 0 and Path(target, "a.png").exists()


def test_an_image_on_standard_input(here, monkeypatch):
    for suffix in (".png", ".jpg", ".webp", ".tiff", ".bmp", ".avif"):
        write_image(f"a{suffix}", Image(PHOTOGRAPH))
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(f"a{suffix}").read_bytes())))
        code, out, err = here("-i", "-", "-o", "out")
        assert (code, out) == (2, "") and err.count("\n") == 1 and err.isprintable() is False
        assert "'-i -' reads a list of files from standard input, and there is" in err
    write_image("BM.png", Image(PHOTOGRAPH))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"BM.png\n")))
    assert here("-i", "-", "-o", "out")[0] == 0


def test_names_cannot_move_the_cursor(here):
    name = "\x1b[31mred\n\u202e.png"
    Path("in").mkdir()
    Path("in", name).write_bytes(b"no image")
    code, out, err = here("-i", "in", "-o", "out\x1b[0m")
    assert code == 1
    assert lines(err)[0].startswith("sr-kd upscale: in/\\x1b[31mred\\n\\u202e.png: failed: cannot read")
    assert "\x1b" not in out + err.replace("\x1b[A", "") and "\u202e" not in err
    code, _, err = here("-i", f"in/{name}x", "-o", "out")
    assert code == 2 and err.count("\n") == 1 and "\\x1b[31mred\\n\\u202e.pngx" in err


def test_names_are_taken_as_they_are(here):
    Path("# ünï %20").mkdir()
    names = ["#1.png", "%20.png", "a b.png", "quote'\".png", "$HOME;x&.png", "-n.png", "[1].png", "é.png", "~.png"]
    for name in names:
        PIL.Image.fromarray(PHOTOGRAPH).save(Path("# ünï %20", name))
    assert here("-i", "# ünï %20", "-o", "o%s #")[0] == 0
    assert sorted(path.name for path in Path("o%s #").iterdir()) == sorted(names)
    for name in names:
        assert here("-i", f"# ünï %20/{name}", "-o", "one/")[0] == 0
    assert sorted(path.name for path in Path("one").iterdir()) == sorted(names)


def test_notes_are_said_once_and_stand_in_the_summary(here):
    image = PIL.Image.fromarray(PHOTOGRAPH)
    Path("in").mkdir()
    for index in range(3):
        image.save(f"in/{index}.jpg", comment="mine")
    code, _, err = here("-i", "in", "-o", "out", "--ext", "webp", "--json", "s.json")
    note = "left out of the WEBP file: text 'Comment'"
    assert code == 0 and lines(err) == [f"sr-kd upscale: note: in/0.jpg and 2 more: {note}"]
    assert [file["notes"] for file in json.loads(Path("s.json").read_text())["files"]] == [[note]] * 3
    assert lines(here("-i", "in", "-o", "out", "--ext", "webp", "--quiet")[2]) == []


def leftovers(place: Path) -> list[str]:
    return [path.name for path in place.iterdir() if path.name.startswith(".")] if place.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_nothing_half_done(start_cli, tmp_path, number):
    source = tmp_path / "in"
    for index in range(40):
        write_image(source / f"{index:02}.png", Image(np.tile(PHOTOGRAPH, (8, 8, 1))))
    process = start_cli("upscale", "-i", source, "-o", tmp_path / "out", "-n", "bicubic", "--ext", "webp")
    deadline = time.monotonic() + 120
    while not leftovers(tmp_path / "out") and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and lines(err)[-1] == "sr-kd upscale: stopped" and "Traceback" not in err
    assert leftovers(tmp_path / "out") == []
    assert len(list((tmp_path / "out").iterdir())) < 40


def test_what_a_killed_run_left_is_swept_and_nothing_else(here, tmp_path):
    write_image("in/photo.png", Image(PHOTOGRAPH))
    Path("out").mkdir()
    old = time.time() - 3600
    others = {".photo.abcdefgh.png", ".photo.png", ".photo.sr_kd-notes.png", ".photo.sr_kd-abcdefgh.old.png"}
    for name in (".photo.sr_kd-ab12_xyz.png", ".other.sr_kd-abcdefgh.jpg", *others):
        Path("out", name).write_bytes(b"half")
        os.utime(Path("out", name), (old, old))
    Path("out/.photo.sr_kd-zzzzzzzz.png").write_bytes(b"of a run that has just begun")
    program = (
        "import os, sys, time; from sr_kd.files import atomic_path\n"
        "with atomic_path('out/photo.png') as path:\n"
        "    os.utime(path, (0, 0)); print(path.name, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as other:
        in_work = other.stdout.readline().strip()
        assert here("-i", "in", "-o", "out")[0] == 0
        assert set(leftovers(Path("out"))) == others | {in_work, ".photo.sr_kd-zzzzzzzz.png"}
        other.kill()
    assert here("-i", "in", "-o", "out")[0] == 0
    assert in_work not in leftovers(Path("out"))
