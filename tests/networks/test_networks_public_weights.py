"""Files of other projects: recognized, loaded, kept. (Their scores: tests/evaluation/test_evaluation_benchmark.py.)"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sr_kd.networks.base import SRNetwork
from sr_kd.networks.files import load_network, load_weights, save_network

VDSR = "weights/VDSR-twtygqyy/model_epoch_50.npz"
CARN_M = "weights/CARN-M/carn_m.npz"


def network_of(path: Path, scale: int) -> SRNetwork:
    network = load_network(path, scale=scale).network
    assert isinstance(network, SRNetwork)
    return network


def test_the_shapes_of_public_weights_tell_the_network(shared: Path) -> None:
    vdsr, carn = load_network(shared / VDSR), load_network(shared / CARN_M)
    assert vdsr.metadata == {"format": "pytorch-vdsr"}
    assert carn.metadata == {"format": "CARN-pytorch"}
    assert (vdsr.network.type_name, vdsr.network.scales, len(vdsr.network.layers)) == ("VDSR", (2, 3, 4), 20)
    assert {"variant": "mobile", "groups": 4, "scales": [2, 3, 4]}.items() <= carn.network.arguments.items()


def test_public_weights_survive_our_own_file(shared: Path, tmp_path: Path) -> None:
    view = network_of(shared / CARN_M, 3)
    save_network(tmp_path / "carn_x3.safetensors", view)
    again = load_network(tmp_path / "carn_x3.safetensors").network
    x = torch.rand(1, 3, 8, 8)
    assert torch.equal(again(x), view(x))
    assert (tmp_path / "carn_x3.safetensors").stat().st_size < 0.8 * (shared / CARN_M).stat().st_size


def test_heads_of_other_scales_are_passed_over(shared: Path) -> None:
    view = network_of(shared / CARN_M, 2)
    single = type(view)(scale=2, variant="mobile")
    load_weights(single, shared / CARN_M)
    x = torch.rand(1, 3, 8, 8)
    assert torch.equal(single.eval()(x), view(x))


def test_a_single_scale_carn_in_its_authors_keys_loads(shared: Path, tmp_path: Path) -> None:
    with np.load(shared / CARN_M) as arrays:
        for scale in (2, 3, 4):
            head = f"upsample.up{scale}."
            kept = {
                key.replace(head, "upsample.up."): arrays[key]
                for key in arrays.files
                if key.startswith(head) or not key.startswith("upsample.")
            }
            np.savez(tmp_path / "single.npz", **kept)
            single = load_network(tmp_path / "single.npz").network
            assert single.scale == scale
            x = torch.rand(1, 3, 6, 6)
            assert torch.equal(single(x), network_of(shared / CARN_M, scale)(x))
