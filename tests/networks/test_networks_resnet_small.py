"""The classifier: shapes, parameter counts of the published sizes, the tail law, its files."""

from __future__ import annotations

import pytest
import torch

from sr_kd.errors import UsageError
from sr_kd.imaging.load import load_model
from sr_kd.networks.build import build_network
from sr_kd.networks.files import load_network, save_network
from sr_kd.tasks.classification.resnet import ResNet


@pytest.mark.parametrize(("blocks", "millions"), [(3, 0.27), (5, 0.46), (9, 0.85)])
def test_the_published_sizes(blocks, millions):
    """ResNet-20, 32 and 56: the table of He et al., section 4.2, has 0.27, 0.46 and 0.85 million parameters."""
    count = sum(parameter.numel() for parameter in ResNet(10, blocks=blocks).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.01)


def test_every_tap_has_its_shape_and_its_tail_gives_the_output():
    torch.manual_seed(0)
    network = ResNet(classes=7, channels=1, blocks=2, width=6).eval()
    x = torch.rand(3, 1, 12, 8)
    output, found = network.features(x, network.taps)
    assert torch.equal(output, network(x))
    assert output.shape == (3, 7)
    shapes = {"stage1": (3, 6, 12, 8), "stage2": (3, 12, 6, 4), "stage3": (3, 24, 3, 2), "pooled": (3, 24, 1, 1)}
    assert {name: tuple(feature.shape) for name, feature in found.items()} == shapes
    assert {name: tap.channels for name, tap in network.taps.items()} == {n: s[1] for n, s in shapes.items()}
    for name, feature in found.items():
        assert torch.equal(network.tail(name, feature, x), output)


def test_without_the_output_the_pass_ends_at_the_deepest_tap():
    network = ResNet(classes=3, width=4)
    network.stage3 = torch.nn.Identity()
    network.classifier = None  # would fail if it were called
    output, found = network.features(torch.rand(2, 3, 8, 8), ["stage2"], output=False)
    assert output is None
    assert list(found) == ["stage2"]


def test_an_unknown_tap_or_initialization_is_refused():
    network = ResNet(classes=3)
    with pytest.raises(UsageError, match="did you mean 'stage3'"):
        network.features(torch.rand(1, 3, 8, 8), ["stage33"])
    with pytest.raises(UsageError, match="kaiming"):
        network.initialize("kaimin")
    with pytest.raises(UsageError, match="classes"):
        build_network("ResNet", classes=1)


def test_kaiming_has_the_variance_of_its_fan_out():
    network = build_network("ResNet", init="kaiming", classes=3, width=32)
    weight = network.stage3[0].second[0].weight
    assert weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)


def test_a_file_describes_itself(tmp_path):
    torch.manual_seed(1)
    network = ResNet(classes=5, channels=1, blocks=1, width=3)
    network(torch.rand(4, 1, 8, 8))  # moves the running statistics, which belong to the file
    save_network(tmp_path / "net.pth", network, metadata={"seed": 3})
    loaded = load_network(tmp_path / "net.pth")
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(loaded.network(x), network.eval()(x))
    assert loaded.metadata == {"seed": 3}


def test_a_classifier_does_not_upscale(tmp_path):
    save_network(tmp_path / "net.pth", ResNet(classes=5))
    for scale in (None, 2):
        with pytest.raises(UsageError, match="no super-resolution network"):
            load_model(tmp_path / "net.pth", scale=scale)
