from __future__ import annotations

from typing import Any

import pytest
import torch

from sr_kd.errors import UsageError
from sr_kd.networks import build_network
from sr_kd.networks.bicubic import upscale
from sr_kd.networks.teacher import PrivilegedTeacher

DECODERS: dict[str, dict[str, Any]] = {
    "FSRCNN": {"type": "FSRCNN"},
    "larger FSRCNN": {"type": "FSRCNN", "d": 80, "s": 20, "m": 6},
    "residual FSRCNN": {"type": "FSRCNN", "skip": "bicubic"},
    "VDSR": {"type": "VDSR", "layers": 6, "width": 16},
    "IDN": {"type": "IDN"},
    "CARN-M": {"type": "CARN", "variant": "mobile"},
}


def build(decoder: dict[str, Any], scale: int = 2, **more: Any) -> PrivilegedTeacher:
    torch.manual_seed(0)
    encoder = {"type": "Hourglass", "d": 12, "s": 6}
    teacher = build_network("PrivilegedTeacher", scale=scale, encoder=encoder, decoder=decoder, **more)
    assert isinstance(teacher, PrivilegedTeacher)
    return teacher


@pytest.mark.parametrize(("scale", "color"), [(2, "y"), (3, "rgb")])
@pytest.mark.parametrize("name", DECODERS)
def test_every_network_can_be_the_decoder(name: str, scale: int, color: str) -> None:
    teacher = build(DECODERS[name], scale, color=color)
    hr = torch.rand(2, teacher.decoder.channels, 5 * scale, 6 * scale)
    sr, compact = teacher(hr)
    assert sr.shape == hr.shape
    assert compact.shape == (2, teacher.decoder.channels, 5, 6)
    assert torch.equal(sr, teacher.decoder(compact))
    output, features = teacher.features(hr, teacher.taps)
    assert output is not None
    assert torch.equal(output, sr)
    assert torch.equal(features.pop("compact"), compact)
    assert {tap: feature.shape[1] for tap, feature in features.items()} == {
        tap: value.channels for tap, value in teacher.taps.items()
    }
    (sr - hr).abs().mean().backward()
    assert all(parameter.grad is not None for parameter in teacher.encoder.parameters())


@pytest.mark.parametrize("size", [(2, 2), (4, 6), (10, 14)])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_compact_feature_has_lr_size_for_odd_and_even_sizes(size: tuple[int, int], scale: int) -> None:
    encoder = build_network("Hourglass", scale=scale, d=4, s=3)
    for height, width in (size, (size[0] + 1, size[1] + 1)):
        assert encoder(torch.rand(1, 1, height * scale, width * scale)).shape == (1, 1, height, width)


def test_features_without_output_keep_the_compact_feature() -> None:
    teacher = build(DECODERS["FSRCNN"])
    hr = torch.rand(1, 1, 12, 12)
    sr, features = teacher.features(hr, ["shrinking"], output=False)
    assert sr is None
    assert set(features) == {"shrinking", "compact"}
    assert teacher.features(hr, [], output=False)[1].keys() == {"compact"}


def test_a_student_fits_into_the_decoder_of_its_teacher() -> None:
    teacher, student = build(DECODERS["FSRCNN"]), build_network("FSRCNN", scale=2)
    student.load_state_dict(teacher.decoder.state_dict())
    x = torch.rand(1, 1, 6, 6)
    assert torch.equal(student(x), teacher.decoder(x))


@pytest.mark.parametrize("type_name", ["FSRCNN", "CARN"])
def test_a_wider_compact_feature_needs_a_decoder_made_for_it(type_name: str) -> None:
    encoder = {"type": "Hourglass", "d": 8, "s": 4, "k": 2}
    shared: dict[str, Any] = {"scale": 2, "color": "rgb", "encoder": encoder}
    teacher = build_network("PrivilegedTeacher", decoder={"type": type_name, "input_channels": 6}, **shared)
    sr, compact = teacher(torch.rand(1, 3, 12, 12))
    assert compact.shape[1] == 6
    assert sr.shape == (1, 3, 12, 12)
    with pytest.raises(UsageError, match=r"6 channels, the decoder's input 3: set the decoder's input_channels"):
        build_network("PrivilegedTeacher", decoder={"type": type_name}, **shared)


def test_encoder_and_decoder_must_agree() -> None:
    with pytest.raises(UsageError, match="the encoder is x2 y, the decoder x3 y; they must agree"):
        build({"type": "FSRCNN", "scale": 3})
    with pytest.raises(UsageError, match="the encoder is x2 y, the decoder x2 rgb"):
        build({"type": "FSRCNN", "color": "rgb"})
    with pytest.raises(UsageError, match=r"decoder x2, x3 y"):
        build({"type": "VDSR", "scales": [2, 3]})


@pytest.mark.parametrize("name", ["FSRCNN", "VDSR", "IDN", "CARN-M"])
def test_a_teacher_starts_as_bicubic_down_and_up(name: str) -> None:
    arguments = {"scale": 2, "color": "y", "init": "bicubic"}
    teacher = build_network("PrivilegedTeacher", encoder={"type": "Hourglass"}, decoder=DECODERS[name], **arguments)
    hr = torch.rand(1, 1, 40, 40)
    sr, compact = teacher(hr)
    torch.testing.assert_close(sr[..., 10:-10, 10:-10], upscale(compact, 2)[..., 10:-10, 10:-10], rtol=0, atol=0.1)


def test_arguments_rebuild_the_teacher() -> None:
    teacher = build(DECODERS["larger FSRCNN"], 3)
    again = build_network("PrivilegedTeacher", **teacher.arguments)
    assert again.arguments == teacher.arguments
    again.load_state_dict(teacher.state_dict())
    hr = torch.rand(1, 1, 9, 9)
    assert torch.equal(again(hr)[0], teacher(hr)[0])


@pytest.mark.parametrize("name", DECODERS)
def test_a_deployed_teacher_is_equal_up_to_rounding(name: str) -> None:
    teacher = build(DECODERS[name], color="y").double()
    deployed, hr = teacher.deploy(), torch.rand(2, 1, 10, 12, dtype=torch.float64)
    torch.testing.assert_close(deployed(hr)[0], teacher(hr)[0], rtol=0, atol=1e-12)
    taps = [tap for tap, value in teacher.taps.items() if value.cut]
    _, features = teacher.features(hr, taps)
    for tap in taps:
        made = deployed.decoder.tail(tap, features[tap], features["compact"])
        torch.testing.assert_close(made, teacher(hr)[0], rtol=0, atol=1e-12)
    assert not deployed.training
