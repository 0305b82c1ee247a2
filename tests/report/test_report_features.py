"""``sr-kd features``: the maps of a distilled phase are those of the losses, and the page shows them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from html_page import read_page
from PIL import Image
from tiny_run import IMAGE, write_options

from sr_kd.errors import UsageError
from sr_kd.losses.affinity import affinity, affinity_with
from sr_kd.losses.nst import selected_with
from sr_kd.report.distilled import distilled_phases, open_distillation, open_image
from sr_kd.report.feature_figures import make_figures, principal_components, rotated
from sr_kd.report.run import find_run

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(finished):
    return find_run(finished / "experiments" / "tiny")


@pytest.fixture(scope="module")
def distillation(run):
    return open_distillation(run, "student", open_image(run, None, CPU), CPU)


def test_the_student_is_the_one_of_the_state(run, distillation):
    assert distilled_phases(run) == ["student"]
    assert distillation.iteration == 8
    states = run.workspace.states("student", 0).load_latest()[1]["step"]
    loss = distillation.losses["VID"]
    for name, value in loss.state_dict().items():
        assert torch.equal(value, states[f"losses.VID.{name}"])
    after, before = (each.features["expanding"] for each in (distillation.inputs.trained, distillation.before))
    assert not torch.equal(after, before)


def test_error_and_scale_are_what_the_loss_logs(distillation):
    loss = distillation.losses["VID"]
    (maps,) = loss.maps(distillation.inputs)
    loss(distillation.inputs)
    logged = loss.diagnostics()
    assert maps.maps["error"].mean() == pytest.approx(float(logged["expanding/mean_error"]), rel=1e-5)
    assert maps.maps["predicted scale"].mean() == pytest.approx(float(logged["expanding/mean_scale"]), rel=1e-5)


def test_similarities_are_rows_of_what_the_losses_compare():
    feature = torch.randn(2, 5, 4, 6, generator=torch.Generator().manual_seed(0))
    row, column = 2, 5
    place = ((row + 0.5) / 4, (column + 0.5) / 6)
    assert torch.allclose(affinity_with(feature, place), affinity(feature)[:, row * 6 + column].view(2, 4, 6))
    flat = feature.flatten(2).double().numpy()
    maps = flat / np.sqrt((flat**2).sum(2, keepdims=True))
    gram = np.einsum("ncp,ncq->npq", maps, maps)[:, row * 6 + column].reshape(2, 4, 6)
    assert np.allclose(selected_with(feature, place).numpy(), gram, atol=1e-5)


def test_components_are_found_again_after_a_rotation():
    feature = torch.randn(6, 9, 7, generator=torch.Generator().manual_seed(1))
    turned = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(2))).Q
    mixed = torch.einsum("ij,jhw->ihw", turned, feature)
    one, other = principal_components(feature), principal_components(mixed)
    assert torch.allclose(rotated(other, one), one, atol=1e-3)


def test_command_writes_page_and_images(finished, tmp_path, run_cli):
    done = run_cli(
        "features", finished / "experiments" / "tiny", "--image", "coffee", "--pixel", "10,20", "-o", tmp_path,
        "--channels", "3", "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"wrote {tmp_path / 'index.html'}" in done.stdout
    elements = read_page(tmp_path / "index.html")
    titles = [one.text for one in elements if one.tag == "h3"]
    assert "expanding: channel 3 of the teacher" in titles
    assert {"VID: error and predicted scale", "expanding: attention", "t-SNE of the channels"} <= set(titles)
    images = [one for one in elements if one.tag == "img"]
    assert len(images) == len(list(tmp_path.glob("*.png")))
    assert all(one.attributes["src"].startswith("data:image/webp;base64,") and one.attributes["alt"] for one in images)
    circles = [one for one in elements if one.tag == "circle"]
    assert len(circles) == 2 * 56, "every channel of FSRCNN's last feature, before and after"
    assert Image.open(tmp_path / "VID_expanding_1_error.png").size == (48, 40)


def test_report_shows_every_distilled_phase(finished):
    elements = read_page(finished / "results" / "tiny" / "report.html")
    (summary,) = [one.text for one in elements if one.tag == "summary"]
    assert summary == f"student on {IMAGE}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--phase", "studnt"], "did you mean 'student'"),
        (["--image", "cofee"], "did you mean 'coffee'"),
        (["--seed", "5"], "has no seed 5"),
        (["--channels", "999"], "it has 0 to 55"),
        (["--channels", "-1"], "no channel -1: it has 0 to 55"),
        (["--pixel", "10;20"], "write left and top, as in 120,64"),
        (["--pixel", "1000,0"], "--pixel is 1000,0"),
    ],
)
def test_wrong_usage_is_explained(finished, tmp_path, run_cli, arguments, message):
    done = run_cli("features", finished / "experiments" / "tiny", "-o", tmp_path, "--device", "cpu", *arguments)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr


def test_a_run_without_compared_features_has_no_page(images, tmp_path, run):
    losses = [{"type": "L1"}, {"type": "Response"}]
    phases = {
        "teacher": {"trains": "teacher", "total_iter": 2},
        "student": {"needs": ["teacher"], "trains": "student", "total_iter": 2, "losses": losses},
    }
    path = write_options(tmp_path, images, name="outputs", phases=phases, arms={"a": "student"})
    (tmp_path / "experiments" / "outputs").mkdir(parents=True)
    found = find_run(path)
    assert distilled_phases(found) == []
    with pytest.raises(UsageError, match="phase that compares feature maps"):
        open_distillation(found, "student", open_image(run, None, CPU), CPU)


def test_channels_beside_those_that_resemble_them(distillation):
    (figure,) = [one for one in make_figures(distillation, channels=[7]) if one.name == "channel_expanding_7"]
    assert figure.panels[0].caption == "teacher, channel 7"
    assert "correlation" in figure.text
