"""8-bit patches become a network's batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sr_kd.data.batch import network_batch, orient
from sr_kd.data.sampler import PatchSampler


@pytest.mark.parametrize("channels", [1, 3])
def test_patch_by_patch_equals_the_whole_batch_at_once(channels):
    """The loop for the CPU and the calls for other devices make the same bits; all eight orientations occur."""
    draw = PatchSampler(np.full((3, 2), 40), 7, 64, hflip=True, rotate=True, seed=1, stream="test").draw(5)
    assert len(set(zip(draw.hflip, draw.vflip, draw.transpose, strict=True))) == 8
    patches = torch.randint(0, 256, (64, 7, 7, channels), dtype=torch.uint8, generator=torch.manual_seed(0))
    expected = orient(patches.permute(0, 3, 1, 2).contiguous().float() / 255, draw)
    assert torch.equal(network_batch(patches, draw, "rgb", patches.device), expected.expand(-1, 3, -1, -1))
