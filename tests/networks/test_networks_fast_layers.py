"""The fast layers are PyTorch's own, value and gradient."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sr_kd.networks.activation import BLOCK, PReLU
from sr_kd.networks.build import build_network
from sr_kd.networks.subpixel import SubPixelConvolution, TransposedConvolution

# (output channels, kernel, scale, padding): FSRCNN x2, x3, x4 and RGB; IDN x2, x3, x4
SHAPES = [(1, 9, 2, 4), (1, 9, 3, 4), (1, 9, 4, 4), (3, 9, 2, 4), (1, 17, 2, 7), (1, 17, 3, 6), (3, 17, 4, 5)]


def plain(layer: TransposedConvolution) -> nn.ConvTranspose2d:
    twin = nn.ConvTranspose2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size[0],
        stride=layer.stride[0],
        padding=layer.padding[0],
        output_padding=layer.output_padding,
    ).to(layer.weight.dtype)
    twin.load_state_dict(layer.state_dict())
    return twin


def gradients(function, x: Tensor, parameters: list[Tensor], arriving: Tensor) -> tuple[Tensor, ...]:
    y = function(x)
    return (y.detach(), *torch.autograd.grad(y, [x, *parameters], arriving))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(6, 8), (5, 7)])
@pytest.mark.parametrize(("channels", "kernel", "scale", "padding"), SHAPES)
def test_transposed_convolution(channels, kernel, scale, padding, size, layout):
    layer = TransposedConvolution(5, channels, kernel, scale, padding).double().to(memory_format=layout)
    x = torch.randn(2, 5, *size, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    height, width = size[0] * scale, size[1] * scale
    arriving = torch.randn(2, channels, height, width, dtype=torch.float64)
    twin = plain(layer)
    found = gradients(layer, x, list(layer.parameters()), arriving)
    expected = gradients(lambda x: twin(x)[..., :height, :width], x, list(twin.parameters()), arriving)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)
    torch.testing.assert_close(SubPixelConvolution(layer)(x), expected[0], rtol=0, atol=1e-12)


def test_the_blocked_form_is_used_where_it_fits():
    luma, color = (SubPixelConvolution(TransposedConvolution(5, channels, 9, 2, 4)) for channels in (1, 3))
    assert luma.blocked is not None
    assert luma.blocked_weight.shape == (16, 5, 6, 6)
    assert color.blocked is None
    assert set(luma.state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (7,), (1, 4, 150, 301)])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "permuted"])
def test_prelu(shape, layout):
    x = torch.randn(shape, dtype=torch.float64)
    if len(shape) == 4 and layout == "channels_last":
        x = x.contiguous(memory_format=torch.channels_last)
    elif len(shape) == 4 and layout == "permuted":
        x = x.transpose(0, 3)
    x.requires_grad_()
    layer = PReLU().double()
    arriving = torch.randn_like(x, memory_format=torch.contiguous_format)
    found = gradients(layer, x, [layer.weight], arriving)
    expected = gradients(lambda x: functional.prelu(x, layer.weight), x, [layer.weight], arriving)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_prelu_works_in_blocks():
    assert 2 * BLOCK < 4 * 150 * 301  # the last shape above, with one thread


def test_prelu_with_a_slope_per_channel_and_under_autocast():
    x = torch.randn(2, 4, 3, 3)
    layer = PReLU(4)
    assert torch.equal(layer(x), functional.prelu(x, layer.weight))
    shared = PReLU()
    with torch.autocast("cpu", torch.bfloat16):
        assert shared(x.bfloat16()).dtype in (torch.bfloat16, torch.float32)


@pytest.mark.parametrize("layer", [PReLU(), TransposedConvolution(3, 1, 9, 2, 4)])
def test_layers_copy_and_share_pytorchs_weights(layer):
    twin = nn.PReLU() if isinstance(layer, PReLU) else plain(layer)
    twin.load_state_dict(copy.deepcopy(layer).state_dict())
    x = torch.randn(1, 3, 4, 4)
    torch.testing.assert_close(twin(x), layer(x), rtol=0, atol=1e-6)


def test_deployed_slopes_are_fixed_and_leave_taps_and_inputs_alone():
    network = build_network("FSRCNN", scale=2)
    deployed = network.deploy()
    assert not any(isinstance(module, nn.PReLU) for module in deployed.modules())
    x = torch.rand(1, 1, 8, 6) - 0.5
    before = x.clone()
    with torch.no_grad():
        _, expected = network.features(x, network.taps)
        _, found = deployed.features(x, network.taps)
    assert torch.equal(x, before)
    for tap, feature in expected.items():
        torch.testing.assert_close(found[tap], feature, rtol=0, atol=1e-6)
    per_channel = build_network("FSRCNN", scale=2, slope_per_channel=True).deploy()
    assert any(isinstance(module, nn.PReLU) for module in per_channel.modules())


@pytest.mark.parametrize("slope", [-0.3, 0.0, 0.3])
def test_gradients_pass_through_a_deployed_tail(slope):
    """What SRRL does with its teacher; slopes may have been learned to be negative."""
    network = build_network("FSRCNN", scale=2).double()
    for module in network.modules():
        if isinstance(module, PReLU):
            nn.init.constant_(module.weight, slope)
    x, feature = torch.rand(1, 1, 8, 8).double(), torch.randn(1, 12, 8, 8).double()
    arriving = torch.randn(1, 1, 16, 16).double()
    expected, found = (
        gradients(lambda feature, tail=each.tail: tail("shrinking", feature, x), feature.requires_grad_(), [], arriving)
        for each in (network, network.deploy().requires_grad_(False))
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
