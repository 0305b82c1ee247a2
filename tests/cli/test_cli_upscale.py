import io
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
import skimage.data

from sr_kd.cli import upscale
from sr_kd.cli.main import main
from sr_kd.images import Image, Metadata, read_image, write_image
from sr_kd.imaging.upscaler import Upscaler
from sr_kd.networks import build_network
from sr_kd.networks.files import save_network

PHOTOGRAPH = skimage.data.astronaut()[:48, 100:164]  # 48 x 64


@pytest.fixture(scope="module")
def network():
    return build_network("FSRCNN", scale=2, init="bicubic").eval()


@pytest.fixture(scope="module")
def upscaler(network):
    return Upscaler(network, device="cpu")


@pytest.fixture(scope="module")
def model(network, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "net_g_latest.pth"
    save_network(path, network)
    return path


@pytest.fixture
def here(capsys, monkeypatch, tmp_path):
    """The command line in this process (a new one costs seconds), in the test's folder: (code, out, err)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@cache  # a profile says when it was made
def profile() -> bytes:
    return PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation: int = 1) -> PIL.Image.Exif:
    data = PIL.Image.Exif()
    data[0x0110], data[0x0112] = "Phone 1", orientation
    data.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    data.get_ifd(0x8825)[1] = "N"
    return data


def kept_exif(image: Image) -> PIL.Image.Exif:
    data = PIL.Image.Exif()
    data.load(image.metadata.exif)
    return data


@pytest.fixture
def album(tmp_path) -> Path:
    """What people really have: a rotated phone photograph, 16 bits, transparency, gray, palette, CMYK."""
    folder = tmp_path / "Álbum 写真"
    (folder / "sub").mkdir(parents=True)
    image = PIL.Image.fromarray(PHOTOGRAPH)
    image.save(folder / "phone.jpg", exif=exif(6), icc_profile=profile(), dpi=(72, 72), quality=100, subsampling=0)
    deep = PHOTOGRAPH.astype(np.uint16) * 256 + 77
    metadata = Metadata(profile(), exif().tobytes(), (300.0, 300.0), {"Title": "Ünïcode 写真"})
    write_image(folder / "deep.png", Image(deep, None, metadata))
    write_image(folder / "deep.tiff", Image(deep, deep[..., 0].copy(), Metadata(profile())))
    alpha = np.zeros(PHOTOGRAPH.shape[:2], np.uint8)
    alpha[10:30, 10:50] = 255
    cut_out = np.where(alpha[..., None] > 0, PHOTOGRAPH, 0).astype(np.uint8)
    write_image(folder / "sub" / "transparent.png", Image(cut_out, alpha, metadata))
    write_image(folder / "sub" / "transparent.webp", Image(cut_out, alpha, Metadata(profile())))
    image.convert("L").save(folder / "sub" / "gray.jpg", quality=100)
    image.quantize(16).save(folder / "palette.png", transparency=2)
    image.quantize(16).save(folder / "single.gif")
    image.convert("CMYK").save(folder / "print.jpeg", quality=100)
    image.save(folder / "plain.bmp", dpi=(150, 150))
    image.save(folder / "plain.avif", quality=95)
    return folder


BROKEN = {"truncated.png": None, "text.png": b"this is text", "empty.jpg": b"", "animated.gif": None}


def add_broken(folder: Path) -> None:
    good = (folder / "deep.png").read_bytes()
    frames = [PIL.Image.fromarray(np.roll(PHOTOGRAPH, shift, axis=0)) for shift in (0, 9)]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    (folder / "truncated.png").write_bytes(good[: len(good) // 2])
    (folder / "text.png").write_bytes(BROKEN["text.png"])
    (folder / "empty.jpg").write_bytes(BROKEN["empty.jpg"])


def test_pixels_and_metadata_of_every_format(run_cli, album, model, upscaler, tmp_path):
    done = run_cli("upscale", "-i", album, "-o", tmp_path / "out", "-n", model, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("11 done in ")
    sources = [path for path in sorted(album.rglob("*")) if path.is_file()]
    assert len(sources) == 11
    for source in sources:
        before = read_image(source)
        target = tmp_path / "out" / source.relative_to(album)
        after = read_image(target.with_suffix(".png") if source.suffix == ".gif" else target)
        expected = upscaler.upscale(before)
        assert after.bit_depth == before.bit_depth and after.channels == before.channels
        if source.suffix in (".jpg", ".jpeg", ".avif"):
            difference = np.abs(after.pixels.astype(int) - expected.pixels)
            assert difference.mean() < 4, source
        else:
            np.testing.assert_array_equal(after.pixels, expected.pixels)
        assert (after.alpha is None) == (before.alpha is None)
        if before.alpha is not None:
            np.testing.assert_array_equal(after.alpha, expected.alpha)
        assert after.metadata.icc == before.metadata.icc
        assert after.metadata.text == before.metadata.text
        assert (after.metadata.dpi is None) == (before.metadata.dpi is None)
        if before.metadata.dpi is not None:
            assert after.metadata.dpi == pytest.approx(before.metadata.dpi, rel=1e-3)
        assert (after.metadata.exif is None) == (before.metadata.exif is None)
    phone = read_image(tmp_path / "out" / "phone.jpg")
    assert (phone.width, phone.height) == (96, 128)  # stored 64 x 48, held upright
    kept = kept_exif(phone)
    assert (kept[0x0110], kept[0x0112], kept.get_ifd(0x8825)) == ("Phone 1", 1, {1: "N"})
    assert kept.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"


@pytest.mark.slow
def test_bad_files_are_reported_and_the_run_goes_on(run_cli, album, model, tmp_path):
    add_broken(album)
    summary = tmp_path / "summary.json"
    done = run_cli("upscale", "-i", album, "-o", tmp_path / "out", "-n", model, "--json", summary)
    assert done.returncode == 1
    assert "11 done, 4 failed" in done.stdout
    assert "Traceback" not in done.stderr
    for name, word in (("truncated.png", "damaged"), ("text.png", "no image"), ("empty.jpg", "empty")):
        assert any(name in line and word in line for line in done.stderr.splitlines()), name
    assert any("animated.gif" in line and "2 frames" in line for line in done.stderr.splitlines())
    found = json.loads(summary.read_text(encoding="utf-8"))
    assert (found["done"], found["skipped"], found["failed"]) == (11, 0, 4)
    assert (found["model"], found["scale"]) == ("net_g_latest.pth", 2)
    assert {Path(file["input"]).name for file in found["files"] if file["status"] == "failed"} == set(BROKEN)
    deep = next(file for file in found["files"] if file["input"].endswith("deep.png"))
    assert (deep["width"], deep["height"], deep["error"]) == (128, 96, None)
    assert sum(path.is_file() for path in (tmp_path / "out").rglob("*")) == 11  # and no temporary files

    again = run_cli("upscale", "-i", album, "-o", tmp_path / "out", "-n", model, "--skip-existing", "--quiet")
    assert again.returncode == 1 and again.stdout == ""
    assert again.stderr.count("failed:") == 4 and "image/s" not in again.stderr


@pytest.mark.slow
def test_two_ranks_share_a_folder(album, model, tmp_path, run_cli):
    for index in range(8):
        shutil.copy(album / "phone.jpg", album / f"copy{index}.jpg")
    add_broken(album)
    single = run_cli("upscale", "-i", album, "-o", tmp_path / "single", "-n", model, "--device", "cpu")
    assert "19 done, 4 failed" in single.stdout
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", _free_port()]
    command += ["-m", "sr_kd", "upscale", "-i", album, "-o", tmp_path / "shared", "-n", model, "--device", "cpu"]
    command += ["--json", tmp_path / "shared.json"]
    done = subprocess.run(
        [str(part) for part in command],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.count("19 done, 4 failed") == 1, done.stdout + done.stderr
    for name in BROKEN:
        assert done.stderr.count(f"{name}: failed") == 1  # each file was tried once
    files = json.loads((tmp_path / "shared.json").read_text(encoding="utf-8"))["files"]
    assert [file["input"] for file in files] == sorted(file["input"] for file in files) and len(files) == 23
    results = sorted(path for path in (tmp_path / "single").rglob("*") if path.is_file())
    assert len(results) == 19
    for path in results:
        assert path.read_bytes() == (tmp_path / "shared" / path.relative_to(tmp_path / "single")).read_bytes()


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_a_list_on_standard_input(album, model, tmp_path):
    listed = f"{album / 'deep.png'}\n{album / 'gone.png'}\n\n{album / 'sub'}\n"
    command = [sys.executable, "-m", "sr_kd", "upscale", "-i", "-", "-o", tmp_path / "out", "-n", model]
    done = subprocess.run(
        list(map(str, command)),
        input=listed,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 1 and "4 done, 1 failed" in done.stdout
    assert "gone.png: failed: cannot read" in done.stderr


def test_names_that_are_no_utf8_are_read_as_they_are(monkeypatch):
    names = [b"\xff\xfe.png", "a\u2028b.png".encode(), b"c.png"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n".join(names) + b"\r\n"), encoding="utf-8"))
    assert [os.fsencode(name) for name in upscale._listed()] == names


def test_a_image_whose_name_is_no_utf8(model, tmp_path):
    folder, odd = tmp_path / "in", os.fsdecode(b"\xff\xe9.png")
    for name in (odd, "写真.png"):
        write_image(folder / name, Image(PHOTOGRAPH))
    (folder / "broken.png").write_bytes(b"")
    command = [sys.executable, "-m", "sr_kd", "upscale", "-i", folder, "-o", tmp_path / "out", "-n", model, "--json"]
    for target, encoding in (
        (tmp_path / "x.json", "utf-8"),
        ("-", "latin-1"),
        ("-", "utf-8:surrogateescape"),
    ):
        done = subprocess.run(
            [*map(os.fsencode, command), os.fsencode(target)],
            capture_output=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONIOENCODING": encoding},
            check=False,
        )
        assert done.returncode == 1, done.stderr
        assert b"broken.png: failed" in done.stderr and b"Traceback" not in done.stderr
        raw = done.stdout if target == "-" else target.read_bytes()
        files = json.loads(raw.decode("utf-8"))["files"]
        found = {os.fsencode(Path(file["input"]).name) for file in files}
        assert found == {os.fsencode(odd), "写真.png".encode(), b"broken.png"}
        assert ("写真".encode() in raw) == (encoding != "latin-1")
    assert (tmp_path / "out" / odd).exists()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("folder", "--json folder is a folder; name a file"),
        ("a.png/x.json", "a.png is a file, where a folder is needed"),
    ],
)
def test_a_summary_that_could_not_be_written_is_refused_before_any_work(here, tmp_path, target, words):
    (tmp_path / "folder").mkdir()
    write_image(tmp_path / "a.png", Image(PHOTOGRAPH))
    code, out, err = here("upscale", "-i", "a.png", "-o", "out", "-n", "bicubic", "--json", target)
    assert (code, out) == (2, "") and words in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_links_that_lead_nowhere_are_reported(here, tmp_path):
    write_image(tmp_path / "in" / "a.png", Image(PHOTOGRAPH))
    (tmp_path / "in" / "gone.png").symlink_to("nothing.png")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    code, out, err = here("upscale", "-i", "in", "-o", "out", "-n", "bicubic")
    assert code == 1 and out.startswith("1 done, 1 failed in ")
    assert "in/gone.png: failed: cannot read in/gone.png: No such file" in err and "pipe" not in err


def png_header(width: int, height: int) -> bytes:
    """The start of a 1-bit PNG: enough to know its size, and that it is damaged."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + b"\0\0\0\x09IDAT"
    )


def test_images_of_hundreds_of_megapixels(here, tmp_path, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", PIL.Image.MAX_IMAGE_PIXELS)  # the command sets it
    (tmp_path / "bomb.png").write_bytes(png_header(25_001, 20_000))
    (tmp_path / "cut.png").write_bytes(png_header(25_000, 20_000))
    code, _, err = here("upscale", "-i", "bomb.png", "cut.png", "-o", "out", "-n", "bicubic", "--quiet")
    assert code == 1
    bomb, cut = sorted(err.splitlines())
    assert "cannot read bomb.png: it has more than 500 megapixels, the limit" in bomb
    assert "cannot read cut.png: damaged" in cut


@pytest.mark.slow
def test_a_phone_photograph_of_two_hundred_megapixels(here, tmp_path, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", PIL.Image.MAX_IMAGE_PIXELS)
    PIL.Image.new("L", (16_320, 12_240), 99).save(tmp_path / "phone.jpg")
    code, _, err = here("upscale", "-i", "phone.jpg", "-o", "out.png", "-n", "bicubic", "--width", 100, "--quiet")
    assert (code, err) == (0, "")
    assert (read_image(tmp_path / "out.png").pixels == 99).all()


def test_no_library_speaks_into_the_progress_bar(run_cli, tmp_path):
    """Files that libtiff, libpng, tifffile and Pillow would warn of."""
    (tmp_path / "in").mkdir()
    deep = PIL.Image.fromarray(PHOTOGRAPH[..., 0].astype(np.uint16) * 256)
    deep.save(tmp_path / "in" / "a.tiff", tiffinfo={65000: "mine", 33432: "\0"})
    PIL.Image.fromarray(PHOTOGRAPH).save(tmp_path / "in" / "b.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    write_image(tmp_path / "in" / "c.png", Image(PHOTOGRAPH))
    data = (tmp_path / "in" / "c.png").read_bytes()
    (tmp_path / "in" / "c.png").write_bytes(data[:33] + struct.pack(">I4sI", 0, b"gAMA", 0) + data[33:])
    done = run_cli("upscale", "-i", tmp_path / "in", "-o", tmp_path / "out", "-n", "bicubic", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("factor", ["inf", "nan", "-1", "0", "two"])
def test_what_is_no_factor(here, capsys, factor):
    with pytest.raises(SystemExit, match="2"):
        here("upscale", "-i", "a.png", "-o", "out", f"--scale={factor}", "--width", "100")
    assert f"'{factor}' is not valid: give a finite positive number" in capsys.readouterr().err


def test_a_path_the_system_refuses(here, tmp_path):
    write_image(tmp_path / "a.png", Image(PHOTOGRAPH))
    code, _, err = here("upscale", "-i", "a.png", "-o", "b" * 300, "-n", "bicubic")
    assert code == 1
    assert err == f"sr-kd upscale: error: {'b' * 300}: File name too long\n"


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (["-s", "2"], (128, 96)),
        (["-s", "1.5"], (96, 72)),
        (["--width", "100"], (100, 75)),
        (["-n", "bicubic", "-s", "4", "--width", "250"], (250, 188)),
        (["--fit", "100x50"], (67, 50)),
        (["--width", "100", "--height", "60"], (100, 60)),
    ],
)
def test_sizes(here, model, tmp_path, options, size):
    write_image(tmp_path / "a.png", Image(PHOTOGRAPH))
    code, out, _ = here("upscale", "-i", "a.png", "-o", "b.webp", "-n", model, *options, "--json", "-")
    assert code == 0 and json.loads(out)["done"] == 1
    image = read_image(tmp_path / "b.webp")
    assert (image.width, image.height) == size


def test_options_of_files_and_computing(here, album, model, tmp_path):
    code, _, _ = here(
        *("upscale", "-i", album / "phone.jpg", album / "plain.bmp", "-o", tmp_path, "-n", model, "--suffix", "x2"),
        *("--ext", "jpg", "--quality", "40", "-t", "16", "--tta", "--precision", "bf16", "--device", "cpu"),
    )
    assert code == 0
    assert sorted(path.name for path in tmp_path.glob("*.jpg")) == ["phone_x2.jpg", "plain_x2.jpg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-n", "bicubik"], ["'bicubik'", "did you mean 'bicubic'"]),
        (["-n", "bicubic", "-t", "-5"], ["-5"]),
        (["-n", "bicubic", "--device", "cuda:99"], ["cuda:99", "not available"]),
        (["-n", "bicubic", "--width", "5", "--fit", "5x5"], ["exclude one another"]),
        (["-n", "bicubic", "--ext", "png", "-o", "album"], ["overwrite"]),
        (["-n", "MODEL", "-s", "8"], ["x8 is out of its reach", "larger scale"]),
        (["-n", "album/a.png"], ["a.png"]),
    ],
)
def test_wrong_usage_is_refused_before_any_work(here, model, tmp_path, options, words):
    write_image(tmp_path / "album" / "a.png", Image(PHOTOGRAPH))
    options = [model if option == "MODEL" else option for option in options]
    code, _, error = here("upscale", "-i", "album", "-o", "out", *options)
    assert code == (1 if "album/a.png" in options else 2)
    assert len(error.splitlines()) == 1 and error.startswith("sr-kd upscale: error: ")
    for word in words:
        assert word in error
    assert not (tmp_path / "out").exists()


def test_it_imports_little(model, tmp_path):
    """Neither torchvision nor basicsr, nor what training and evaluation need."""
    write_image(tmp_path / "a.png", Image(PHOTOGRAPH))
    program = (
        "import sys; from sr_kd.cli.main import main\n"
        f"assert main(['upscale', '-i', {str(tmp_path / 'a.png')!r}, '-o', {str(tmp_path / 'b.png')!r}, "
        f"'-n', {str(model)!r}, '--quiet']) == 0\n"
        "heavy = {'torchvision', 'basicsr', 'skimage', 'scipy', 'lmdb', 'tensorboard', 'sr_kd.training', "
        "'sr_kd.evaluation'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == 0, done.stderr
