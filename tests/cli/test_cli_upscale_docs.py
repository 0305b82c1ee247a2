"""Every command and every Python example of docs/upscaling.md is run."""

import io
import re
import shlex

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import skimage.data

from sr_kd.cli.main import main
from sr_kd.images.color import srgb_profile
from sr_kd.networks import build_network
from sr_kd.networks.files import save_network


@pytest.fixture(scope="module")
def page(repository) -> str:
    return (repository / "docs" / "upscaling.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What the page's examples assume, as the working directory."""
    monkeypatch.chdir(tmp_path)
    save_network("net.pth", build_network("FSRCNN", scale=2, init="bicubic"))
    image = PIL.Image.fromarray(skimage.data.astronaut()[:50, 100:164])
    said = PIL.Image.Exif()
    said[0x0110], said[0x0112] = "Phone 1", 3  # upside down
    image.save("photo.jpg", exif=said, icc_profile=srgb_profile())
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    image.save("photos/a.png")
    image.save("photos/sub/b.png")
    return tmp_path


def test_every_command(page, folder, monkeypatch, capsys):
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    cells = [cell.replace(r"\|", "|") for row in rows for cell in re.findall(r"`([^`]*sr-kd upscale [^`]*)`", row)]
    assert len(cells) >= 15
    for cell in cells:
        if cell.startswith("torchrun"):  # two processes: tested with the command line
            continue
        command = cell.split(" | ")[-1]
        if command != cell:
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"photos/a.png\nphotos/sub/b.png\n")))
        code = main([*shlex.split(command)[1:], "--device", "cpu"])
        assert code == 0, f"{cell}: {capsys.readouterr().err}"
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"big.png", "out2/sub/b.png", "photos/sub/b_x2.png", "out4/photo.webp", "summary.json"} <= made
    assert PIL.Image.open("out6/photo.jpg").size == (96, 75)
    assert PIL.Image.open("out8/photo.jpg").size == (100, 78)


def test_every_python_example(page, folder):
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, "docs/upscaling.md", "exec"), {})
    big, kept = PIL.Image.open("big.jpg"), PIL.Image.open("big.tiff")
    assert big.size == kept.size == (128, 100)
    for opened, orientation in ((big, 3), (kept, 1)):
        assert opened.info["icc_profile"] == srgb_profile()
        assert (opened.getexif()[0x0110], opened.getexif().get(0x0112, 1)) == ("Phone 1", orientation)
    turned = np.asarray(PIL.ImageOps.exif_transpose(big), int)
    assert np.abs(turned - np.asarray(kept)).mean() < 10 < np.abs(np.asarray(big, int) - np.asarray(kept)).mean()
