import sys

import numpy as np
import pytest
import torch

from sr_kd.errors import SrKdError, UsageError
from sr_kd.imaging.load import load_model
from sr_kd.networks.files import load_network


def test_without_spandrel_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    torch.save({"params": {"conv_first.weight": torch.zeros(4, 3, 3, 3)}}, tmp_path / "x.pth")
    with pytest.raises(
        SrKdError, match=r"no network known here; its first keys: conv_first.*pip install 'sr_kd\[spand"
    ):
        load_network(tmp_path / "x.pth")


@pytest.fixture
def compact(tmp_path):
    """A small network of Real-ESRGAN as BasicSR saves it, with random weights, and its file."""
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    torch.manual_seed(0)
    network = SRVGGNetCompact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=2, upscale=2).eval()
    torch.save({"params": network.state_dict()}, tmp_path / "compact.pth")
    return network, tmp_path / "compact.pth"


def test_a_foreign_network_by_its_file_alone(compact):
    network, path = compact
    loaded = load_network(path)
    assert (loaded.network.scales, loaded.network.color) == ((2,), "rgb")
    image = np.random.default_rng(0).random((30, 40, 3), np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(image).permute(2, 0, 1)[None])[0].clamp(0, 1).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(load_model(path, device="cpu").upscale(image), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(load_model(path, device="cpu", tile=16).upscale(image), expected, rtol=0, atol=1e-5)
    with pytest.raises(UsageError, match="serves x2, not x4"):
        load_model(path, scale=4)


def test_weights_that_spandrel_does_not_know(tmp_path):
    torch.save({"params": {"mystery": torch.zeros(3)}}, tmp_path / "x.pth")
    with pytest.raises(SrKdError, match="spandrel does not know them either"):
        load_network(tmp_path / "x.pth")
