"""The perceptual loss: features of the teacher, or of a network in a file."""

from __future__ import annotations

import pytest
import torch
from loss_inputs import network_inputs, networks
from numpy_reference import apply

from sr_kd.errors import UsageError
from sr_kd.losses import LossInputs, NetworkOutput, build_loss
from sr_kd.networks.build import build_network
from sr_kd.networks.files import save_network


def test_it_is_the_distance_of_the_network_s_own_maps(tmp_path):
    student, teacher = (network.double() for network in networks())
    hr = torch.rand(2, 1, 8, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inputs = network_inputs(student, teacher, hr[..., ::2, ::2], hr)
    found = build_loss("Perceptual", layers=["feature_extraction"])(inputs)["perceptual"]
    layer = teacher.feature_extraction
    maps = [apply(layer, image.detach().numpy()) for image in (inputs.trained_output, hr)]
    assert found.item() == pytest.approx(abs(maps[0] - maps[1]).mean(), rel=1e-9)
    save_network(tmp_path / "net.pth", teacher.float())
    loss = build_loss("Perceptual", layers=["feature_extraction"], network=str(tmp_path / "net.pth"))
    assert not loss.state_dict() and not list(loss.parameters())
    alone = LossInputs(inputs.lr, hr.float(), NetworkOutput(inputs.trained_output.float()))
    assert loss(alone)["perceptual"].item() == pytest.approx(found.item(), rel=1e-5)
    loss(alone)["perceptual"].backward()
    assert student.feature_extraction[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("color", "channels"), [("rgb", 1), ("y", 3)])
def test_a_network_of_another_color_sees_its_own(tmp_path, color, channels):
    save_network(tmp_path / "net.pth", build_network("FSRCNN", scale=2, color=color, d=8, s=4, m=1))
    loss = build_loss("Perceptual", layers=["expanding"], network=str(tmp_path / "net.pth"))
    hr = torch.rand(1, channels, 8, 8)
    assert loss(LossInputs(hr, hr, NetworkOutput(hr)))["perceptual"].item() == 0
    assert loss(LossInputs(hr, hr, NetworkOutput(1 - hr)))["perceptual"].item() > 0


def test_what_it_cannot_use_is_said(tmp_path):
    with pytest.raises(UsageError, match=r"cannot be loaded: .*missing\.pth"):
        build_loss("Perceptual", layers=["expanding"], network=str(tmp_path / "missing.pth"))
    save_network(tmp_path / "net.pth", networks()[0])
    with pytest.raises(UsageError, match=r"expandin.*did you mean 'expanding'"):
        build_loss("Perceptual", layers=["expandin"], network=str(tmp_path / "net.pth"))
    with pytest.raises(UsageError, match="names no teacher"):
        image = torch.rand(1, 1, 4, 4)
        build_loss("Perceptual", layers=["expanding"])(LossInputs(image, image, NetworkOutput(image)))
