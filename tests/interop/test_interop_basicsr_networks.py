"""BasicSR's architectures as teachers and students."""

from __future__ import annotations

import pytest
import torch
import yaml

from sr_kd.errors import SrKdError, UsageError
from sr_kd.networks.build import build_network
from sr_kd.networks.files import load_network, load_weights, save_network

EDSR = {"num_feat": 8, "num_block": 2}


pytestmark = pytest.mark.usefixtures("basicsr")


SMALL = {
    "EDSR": EDSR,
    "RCAN": {"num_feat": 8, "num_group": 1, "num_block": 1, "squeeze_factor": 4},
    "RRDBNet": {"num_feat": 8, "num_block": 1, "num_grow_ch": 4},
    "SRVGGNetCompact": {"num_feat": 8, "num_conv": 2},
    "SwinIR": {"embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 8, "upsampler": "pixelshuffledirect"},
}


@pytest.mark.parametrize("name", SMALL)
def test_the_same_network_under_another_name(basicsr, tmp_path, name):
    """Parameters, results and files of BasicSR's own; sizes that it refuses are padded."""
    torch.manual_seed(0)
    network = build_network(f"basicsr.{name}", scale=2, **SMALL[name]).eval()
    key = "scale" if name == "RRDBNet" else "upscale"
    channels = {"in_chans": 3} if name == "SwinIR" else {"num_in_ch": 3, "num_out_ch": 3}
    # SRVGGNetCompact is registered with a suffix, which BasicSR's builder tries by itself.
    theirs = basicsr.archs.build_network({"type": name, key: 2, **channels, **SMALL[name]}).eval()
    theirs.load_state_dict(network.state_dict(), strict=True)
    image = torch.rand(1, 3, 16, 24)
    odd = torch.rand(1, 3, 19, 25)
    with torch.no_grad():
        torch.testing.assert_close(network(image), theirs(image), rtol=0, atol=0)
        assert network(odd).shape == (1, 3, 38, 50)
        save_network(tmp_path / "ours.pth", network)
        torch.testing.assert_close(load_network(tmp_path / "ours.pth").network(odd), network(odd), rtol=0, atol=0)


def test_weights_of_basicsr_are_loaded_by_name(basicsr, tmp_path):
    theirs = basicsr.archs.build_network({"type": "EDSR", "num_in_ch": 3, "num_out_ch": 3, "upscale": 2, **EDSR})
    torch.save({"params": theirs.state_dict()}, tmp_path / "edsr.pth")
    network = build_network("basicsr.EDSR", scale=2, **EDSR)
    load_weights(network, tmp_path / "edsr.pth")
    assert torch.equal(network.state_dict()["body.1.conv2.weight"], theirs.body[1].conv2.weight)


def test_a_larger_scale_begins_with_the_weights_that_fit(basicsr, tmp_path):
    """As BasicSR's EDSR_Mx4 does from x2 weights, with ``strict_load_g: false``."""
    theirs = basicsr.archs.build_network({"type": "EDSR", "num_in_ch": 3, "num_out_ch": 3, "upscale": 2, **EDSR})
    torch.save({"params": theirs.state_dict()}, tmp_path / "x2.pth")
    network = build_network("basicsr.EDSR", scale=4, **EDSR)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(SrKdError, match=r"does not fit basicsr.EDSR: 2 missing: upsample.2.weight"):
        load_weights(network, tmp_path / "x2.pth")
    kept = load_weights(network, tmp_path / "x2.pth", strict=False).kept
    assert kept == ("upsample.2.weight", "upsample.2.bias")
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key] if key in kept else theirs.state_dict()[key])
    torch.save({"params": {"other": torch.ones(2)}}, tmp_path / "other.pth")
    with pytest.raises(SrKdError, match=r"does not fit basicsr.EDSR"):
        load_weights(network, tmp_path / "other.pth", strict=False)


def test_taps_are_submodules(basicsr):
    network = build_network("basicsr.EDSR", scale=2, taps=["body.0", "conv_after_body", "upsample"], **EDSR).eval()
    found = {name: (tap.channels, tap.stride, tap.cut) for name, tap in network.taps.items()}
    assert found == {
        "body.0": (8, 1.0, False),
        "conv_after_body": (8, 1.0, False),
        "upsample": (8, 0.5, False),
    }
    image = torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        sr, features = network.features(image, ["body.0"])
        expected = network.module.body[0](network.module.conv_first((image - network.module.mean) * 255.0))
        torch.testing.assert_close(features["body.0"], expected)
        torch.testing.assert_close(sr, network(image))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": "basicsr.RRDBNt"}, r"unknown architecture of BasicSR 'RRDBNt' \(did you mean 'RRDBNet'\?\)"),
        ({"type": "basicsr.EDSR", "num_fet": 8}, r"has no option 'num_fet' \(did you mean 'num_feat'\?\)"),
        ({"type": "basicsr.EDSR", "num_feat": "wide"}, "BasicSR's EDSR refuses its options: TypeError"),
        ({"type": "basicsr.EDSR", "upscale": 4}, "upscale is 4, but scale and color ask for 2"),
        ({"type": "basicsr.EDSR", "num_in_ch": 1}, "num_in_ch is 1, but scale and color ask for 3"),
        ({"type": "basicsr.EDSR", "color": "y"}, "EDSR does not accept a y image"),
        ({"type": "basicsr.EDSR", "taps": ["bodi.0"]}, r"EDSR has no module 'bodi.0' \(did you mean 'body.0'\?\)"),
        ({"type": "basicsr.UNetDiscriminatorSN"}, r"makes \(1, 1, 48, 48\) of .* not \(1, 3, 96, 96\) \(x2\)"),
        ({"type": "basicsr.VGGStyleDiscriminator", "num_feat": 4}, "does not accept a rgb image"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        build_network(scale=2, **options)


@pytest.mark.slow
def test_a_basicsr_option_file_trains_edsr_and_edsr_teaches_fsrcnn(basicsr, shared_images, tmp_path, run_cli):
    """BasicSR's dialect and names in, a file that BasicSR reads out; then that file as a teacher."""
    images = {"name": "Set5", "type": "PairedImageDataset", "dataroot_gt": str(shared_images / "benchmark/Set5")}
    train = {**images, "gt_size": 48, "use_hflip": True, "use_rot": True, "batch_size_per_gpu": 2}
    edsr = {
        "name": "edsr",
        "model_type": "SRModel",
        "scale": 2,
        "num_gpu": 0,
        "manual_seed": 0,
        "datasets": {"train": train},
        "network_g": {"type": "EDSR", "num_in_ch": 3, "num_out_ch": 3, "upscale": 2, "img_range": 255.0, **EDSR},
        "train": {
            "optim_g": {"type": "Adam", "lr": 1e-4},
            "scheduler": {"type": "MultiStepLR", "milestones": [3], "gamma": 0.5},
            "total_iter": 4,
            "pixel_opt": {"type": "L1Loss", "loss_weight": 1.0, "reduction": "mean"},
        },
        "logger": {"print_freq": 2, "save_checkpoint_freq": 4, "use_tb_logger": False},
    }
    (tmp_path / "edsr.yml").write_text(yaml.safe_dump(edsr))
    finished = run_cli("train", "-opt", tmp_path / "edsr.yml", "--device", "cpu", "--quiet", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    (trained,) = (tmp_path / "experiments").rglob("net_g_latest.pth")
    theirs = basicsr.archs.build_network({"type": "EDSR", "num_in_ch": 3, "num_out_ch": 3, "upscale": 2, **EDSR})
    theirs.load_state_dict(torch.load(trained, weights_only=True)["params"], strict=True)

    distillation = {
        "name": "fsrcnn_from_edsr",
        "scale": 2,
        "datasets": {"train": {"dataroot_gt": images["dataroot_gt"], "gt_size": 48, "batch_size_per_gpu": 2}},
        "networks": {
            "teacher": {"type": "basicsr.EDSR", "taps": ["conv_after_body"], "path": str(trained), **EDSR},
            "student": {"type": "FSRCNN"},
        },
        "phases": {
            "student": {
                "trains": "student",
                "teacher": "teacher",
                "total_iter": 4,
                "losses": [
                    {"type": "L1"},
                    {"type": "VID", "weight": 1e-4, "taps": [{"student": "expanding", "teacher": "conv_after_body"}]},
                ],
            }
        },
        "logger": {"print_freq": 2, "save_checkpoint_freq": 4, "use_tb_logger": False},
    }
    (tmp_path / "student.yml").write_text(yaml.safe_dump(distillation))
    finished = run_cli("train", "-opt", tmp_path / "student.yml", "--device", "cpu", "--quiet", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    (student,) = (tmp_path / "experiments/fsrcnn_from_edsr").rglob("net_g_latest.pth")
    network = load_network(student).network
    assert (network.type_name, network.color) == ("FSRCNN", "y")
    assert bool(network(torch.rand(1, 1, 8, 8)).isfinite().all())
