"""The comparison image: where it looks, and what it draws."""

from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
import pytest
import torch
from skimage import data

from sr_kd.cli.main import main
from sr_kd.data.sets import open_set
from sr_kd.errors import UsageError
from sr_kd.evaluation.montage import Panel, Row, arrange, compare_visually, find_crop, find_rows
from sr_kd.evaluation.sheet import paint, to_pdf
from sr_kd.images import Image, write_image
from sr_kd.imaging.upscaler import Upscaler
from sr_kd.networks.build import build_network


def test_the_crop_is_where_the_planes_differ_most() -> None:
    first = torch.zeros(1, 100, 140)
    second = first.clone()
    second[:, 60:76, 90:106] = 10
    second[:, :3] = 255
    crop, difference = find_crop([first, second], 16, border=3)
    assert crop == (60, 90, 16)
    assert difference == pytest.approx(25)


def test_a_crop_is_never_larger_than_the_image() -> None:
    assert find_crop([torch.zeros(1, 20, 30), torch.ones(1, 20, 30)], 56, border=2)[0][2] == 20


def test_crops_are_magnified_without_smoothing() -> None:
    hr = data.astronaut()[:64, :64]
    sr = np.full_like(hr, 7)
    sr[10:26, 20:36] = (200, 100, 50)
    sheet = paint(arrange([Row("astronaut", hr, (10, 20, 16), (Panel("model", sr, 30.0),), 1.0)], "title"))
    block = (sheet == (200, 100, 50)).all(axis=2)
    assert block.sum() == (4 * 16) ** 2


def test_a_montage_of_two_models(tmp_path: Path) -> None:
    write_image(tmp_path / "hr" / "astronaut.png", Image(data.astronaut()[:120, 100:260]))
    write_image(tmp_path / "hr" / "camera.png", Image(data.camera()[100:200, 200:300, None]))
    images = open_set([str(tmp_path / "hr")], scale=2)
    models = {
        "FSRCNN": Upscaler(build_network("FSRCNN", init="bicubic", scale=2)),
        "a network with a very long label": Upscaler(build_network("FSRCNN", init="bicubic", scale=2, color="rgb")),
    }
    height, width, channels = compare_visually(models, images, images=2).shape
    assert channels == 3
    assert width > 5 * 4 * 56
    assert height > 2 * 4 * 56


def row() -> Row:
    hr = data.astronaut()[:64, :96]
    sr = np.full_like(hr, 7)
    sr[10:26, 20:36] = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    return Row("a (1)", hr, (10, 20, 16), (Panel("o \\ é", sr, 30.0), Panel("theirs", hr, 29.0)), 1.0)


def test_a_pdf_holds_the_very_pixels_and_its_words_as_text() -> None:
    sheet = arrange([row()], "title")
    document = pdfium.PdfDocument(to_pdf(sheet))
    (page,) = list(document)
    assert page.get_size() == (sheet.width / 2, sheet.height / 2)
    text = page.get_textpage().get_text_range()
    for words in ("a (1)", "HR", "o \\ é", "30.00 dB (best)", "29.00 dB", "title"):
        assert words in text
    images = [item.get_bitmap(render=False).to_numpy() for item in page.get_objects([pdfium.raw.FPDF_PAGEOBJ_IMAGE])]
    ours = row().panels[0].pixels[10:26, 20:36]
    assert [image.shape for image in images] == [(64, 96, 3), (16, 16, 3), (16, 16, 3), (16, 16, 3)]
    assert np.array_equal(images[2][..., ::-1], ours) or np.array_equal(images[2], ours)


def test_pdf_and_png_show_the_same() -> None:
    sheet = arrange([row(), row()], "title")
    painted = paint(sheet).astype(float)
    rendered = pdfium.PdfDocument(to_pdf(sheet))[0].render(scale=2).to_pil().convert("RGB").resize(painted.shape[1::-1])
    assert np.abs(np.asarray(rendered) - painted).mean() < 12


def test_a_crop_given_by_hand_is_taken(folder_of_two) -> None:
    images = open_set([str(folder_of_two)], scale=2)
    (only,) = find_rows({"bicubic": Upscaler(None, scale=2)}, images, side=30, chosen=["camera"], crop=(40, 20))
    assert (only.name, only.crop) == ("camera", (20, 40, 30))
    with pytest.raises(UsageError, match=r"is not within camera \(100x100\): left is at most 70, top at most 70"):
        find_rows({"bicubic": Upscaler(None, scale=2)}, images, side=30, chosen=["camera"], crop=(80, 20))
    with pytest.raises(UsageError, match="astronaut"):
        find_rows({"bicubic": Upscaler(None, scale=2)}, images, chosen=["astronot"])


@pytest.fixture
def folder_of_two(tmp_path: Path) -> Path:
    write_image(tmp_path / "hr" / "astronaut.png", Image(data.astronaut()[:120, 100:260]))
    write_image(tmp_path / "hr" / "camera.png", Image(data.camera()[100:200, 200:300, None]))
    return tmp_path / "hr"


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_the_command_writes_both_kinds(run_cli, folder_of_two, tmp_path, suffix) -> None:
    out = tmp_path / f"montage.{suffix}"
    models = ("-n", "bicubic", "-n", "ours=fsrcnn_x2")
    done = run_cli(
        "montage", *models, "--hr", folder_of_two, "-s", 2, "-o", out, "--side", 40, "--quiet", "--device", "cpu"
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"wrote {out}\n")
    assert out.read_bytes().startswith(b"%PDF" if suffix == "pdf" else b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "x.jpg"], "must end in .png or .pdf"),
        (["-o", "x.png", "--crop", "4"], "as in 120,64"),
        (["-o", "x.png", "--side", "0"], "a whole number from 1 on"),
    ],
)
def test_bad_arguments_are_one_sentence(arguments, message, folder_of_two, capsys) -> None:
    try:
        code = main(["montage", "-n", "bicubic", "--hr", str(folder_of_two), "-s", "2", *arguments])
    except SystemExit as error:  # of argparse
        code = error.code
    assert code == 2
    assert message in capsys.readouterr().err
