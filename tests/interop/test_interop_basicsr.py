"""BasicSR beside us: its import and failures, its registries, its own training loop."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from sr_kd.data.resize import make_lr
from sr_kd.errors import SrKdError
from sr_kd.images import Image, read_image, write_image
from sr_kd.interop.basicsr import register
from sr_kd.networks.build import build_network
from sr_kd.networks.files import load_network, save_network

TORCHVISION = {
    "torchvision/__init__.py": "",
    "torchvision/transforms/__init__.py": "",
    "torchvision/transforms/functional.py": "rgb_to_grayscale = 'the function that moved'",
}
IMPORT_TWICE = """
from sr_kd.errors import SrKdError
from sr_kd.interop.basicsr import import_basicsr
for _ in range(2):  # a failed import leaves half of a package behind: the second try must say the same
    try:
        print(import_basicsr().grayscale)
    except SrKdError as error:
        print(error)
"""


def even(pixels):
    return pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2]


@pytest.fixture(scope="module")
def basicsr(basicsr):
    """BasicSR with our parts registered."""
    register()
    return basicsr


def python(code: str, *arguments: object, packages: Path | None = None, cwd: Path | None = None):
    """Run code in a fresh process, which finds `packages` before the installed ones."""
    repository = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{packages or repository}{os.pathsep}{repository}", "OMP_NUM_THREADS": "1"},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def write_packages(folder: Path, files: dict[str, str]) -> Path:
    for name, code in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code)
    return folder


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"basicsr/__init__.py": "from .version import number"}, "a source folder that was never installed"),
        ({"basicsr/__init__.py": "import addict_x"}, "needs the module addict_x; run: pip install addict_x"),
        ({"basicsr/__init__.py": "raise OSError('no libGL')"}, r"cannot be imported \(OSError: no libGL\)"),
        (
            {
                "basicsr/__init__.py": "",
                "torchvision/__init__.py": "raise RuntimeError('operator torchvision::nms does not exist')",
            },
            r"torchvision .* does not fit torch \d.*install the two together",
        ),
    ],
)
def test_a_failing_import_is_one_sentence(tmp_path, files, sentence):
    finished = python(IMPORT_TWICE, packages=write_packages(tmp_path, {**TORCHVISION, **files}))
    assert finished.returncode == 0, finished.stderr
    first, second = finished.stdout.splitlines()
    assert first == second
    assert re.search(sentence, first), first


@pytest.mark.parametrize("kept", [False, True])
def test_the_module_that_torchvision_removed_is_supplied(tmp_path, kept):
    own = {"torchvision/transforms/functional_tensor.py": "rgb_to_grayscale = 'the old one'"} if kept else {}
    user = "from torchvision.transforms.functional_tensor import rgb_to_grayscale as grayscale"
    folder = write_packages(tmp_path, {**TORCHVISION, **own, "basicsr/__init__.py": user})
    finished = python(IMPORT_TWICE, packages=folder)
    expected = "the old one" if kept else "the function that moved"
    assert finished.stdout.splitlines() == [expected, expected], finished.stderr


def test_registering_again_changes_nothing_and_a_taken_name_is_refused(basicsr, monkeypatch):
    arch_registry = basicsr.utils.registry.ARCH_REGISTRY
    before = list(arch_registry)
    register()
    assert list(arch_registry) == before
    monkeypatch.setitem(arch_registry._obj_map, "CARN", object)
    with pytest.raises(SrKdError, match="BasicSR has a 'CARN' already, registered by builtins"):
        register()


@pytest.mark.parametrize("name", ["FSRCNN", "VDSR", "IDN", "CARN"])
def test_basicsr_builds_our_networks(basicsr, name):
    network = basicsr.archs.build_network({"type": name, "scale": 2, "color": "rgb"})
    assert network(torch.rand(1, 3, 12, 14)).shape == (1, 3, 24, 28)


@pytest.mark.parametrize(("ours", "theirs"), [("L1", "L1Loss"), ("L2", "MSELoss"), ("Charbonnier", "CharbonnierLoss")])
def test_our_losses_are_theirs(basicsr, ours, theirs):
    """BasicSR's eps of Charbonnier stands under the root as it is, ours squared."""
    options = ({"eps": 1e-3}, {"eps": 1e-6}) if ours == "Charbonnier" else ({}, {})
    mine, reference = (
        basicsr.losses.build_loss({"type": name, "loss_weight": 0.5, **option})
        for name, option in zip((ours, theirs), options, strict=True)
    )
    image, target = torch.rand(2, 3, 8, 8, requires_grad=True), torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(mine(image, target), reference(image, target))


@pytest.mark.parametrize("metric", ["psnr", "ssim"])
@pytest.mark.parametrize(("protocol", "luma"), [("rgb8", True), ("rgb", False)])
def test_our_metrics_are_theirs_on_real_images(basicsr, shared_images, metric, protocol, luma):
    hr = even(read_image(shared_images / "benchmark/Set5/butterfly.png").pixels)
    noise = np.random.default_rng(0).integers(-9, 10, hr.shape)
    sr = np.clip(hr.astype(int) + noise, 0, 255).astype(np.uint8)
    data = {"img": sr[..., ::-1], "img2": hr[..., ::-1]}
    mine = basicsr.metrics.calculate_metric(data, {"type": f"sr_kd_{metric}", "crop_border": 2, "protocol": protocol})
    reference = basicsr.metrics.calculate_metric(
        data, {"type": f"calculate_{metric}", "crop_border": 2, "test_y_channel": luma}
    )
    assert mine == pytest.approx(reference, abs=1e-4)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, shared_images) -> Path:
    """HR and LR x2 of two benchmark photographs."""
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("butterfly", "head"):
        hr = even(read_image(shared_images / f"benchmark/Set5/{name}.png").pixels)
        write_image(folder / "hr" / f"{name}.png", Image(hr))
        write_image(folder / "lr" / f"{name}.png", Image(make_lr(hr, 2)))
    return folder


TRAIN = """
import sys
from sr_kd.interop.basicsr import register
register()
from basicsr.train import train_pipeline
train_pipeline(sys.argv.pop(1))
"""


@pytest.mark.slow
def test_basicsrs_own_training_trains_our_network(basicsr, pairs, tmp_path):
    """From our checkpoint, with our loss and metric beside theirs, to a checkpoint that we load."""
    start = build_network("FSRCNN", scale=2, init="bicubic")
    save_network(tmp_path / "start.pth", start, ema=start.state_dict())
    data = {"type": "PairedImageDataset", "color": "y", "io_backend": {"type": "disk"}}
    data |= {"dataroot_gt": str(pairs / "hr"), "dataroot_lq": str(pairs / "lr")}
    metrics = {
        "theirs": {"type": "calculate_psnr", "crop_border": 2},
        "ours": {"type": "sr_kd_psnr", "crop_border": 2},
    }
    options = {
        "name": "fsrcnn",
        "model_type": "SRModel",
        "scale": 2,
        "num_gpu": 0,
        "manual_seed": 0,
        "datasets": {
            "train": {
                **data,
                "name": "train",
                "gt_size": 48,
                "use_hflip": True,
                "use_rot": True,
                "num_worker_per_gpu": 0,
                "batch_size_per_gpu": 4,
                "dataset_enlarge_ratio": 20,
            },
            "val": {**data, "name": "Set5"},
        },
        "network_g": {"type": "FSRCNN", "scale": 2, "d": 56, "s": 12, "m": 4},
        "path": {"pretrain_network_g": str(tmp_path / "start.pth"), "strict_load_g": True},
        "train": {
            "ema_decay": 0.9,
            "optim_g": {"type": "Adam", "lr": 1e-4},
            "scheduler": {"type": "MultiStepLR", "milestones": [1000]},
            "total_iter": 10,
            "pixel_opt": {"type": "Charbonnier", "loss_weight": 1.0, "eps": 1e-3},
        },
        "val": {"val_freq": 100, "save_img": False, "metrics": metrics},
        "logger": {"print_freq": 5, "save_checkpoint_freq": 100, "use_tb_logger": True},
    }
    (tmp_path / "train.yml").write_text(yaml.safe_dump(options))

    finished = python(TRAIN, tmp_path, "-opt", tmp_path / "train.yml")

    assert finished.returncode == 0, finished.stderr
    log = finished.stdout + finished.stderr
    scores = {name: float(value) for name, value in re.findall(r"# (theirs|ours): ([\d.]+)", log)}
    assert scores["theirs"] > 29, "bicubic reaches 27.4 and 35.0 dB on these: the first weights were not loaded"
    assert scores["ours"] == pytest.approx(scores["theirs"], abs=1e-3)
    trained = load_network(tmp_path / "experiments/fsrcnn/models/net_g_latest.pth", scale=2).network
    moved = (trained.last_layer.weight - start.last_layer.weight).detach().abs().max()
    assert 1e-6 < float(moved) < 1e-2
