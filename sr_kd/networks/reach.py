"""What a network declares, probed: how far it sees, found by changing LR pixels, and its taps' channels."""

from __future__ import annotations

import torch

from ..errors import UsageError
from .base import SRNetwork
from .foreign import ForeignNetwork

NEGLIGIBLE = 1e-6  # of the largest change: a 4000th of a gray level
VISIBLE = 1e-4
SHORT_SIDE = 8  # of the probed strips, in LR pixels
BEYOND = 4  # LR pixels in which an own network would show that it sees farther than it declares


def trusted_radius(network: SRNetwork) -> int:
    """A receptive radius that tiles can rely on, in LR pixels.

    What a network of this package's kind declares is probed. That of another project's network is measured, and what
    it declares is the most that is taken: attention and global pooling see everything, then tiles are approximate.

    Raises:
        UsageError: a network that sees farther than its `receptive_radius` says, or whose taps are not as declared.
    """
    declared = network.receptive_radius
    if isinstance(network, ForeignNetwork):
        # Windows and unshuffled blocks see differently from place to place, and their positions move with a tile's.
        return declared if network.multiple > 1 else min(declared, measure_radius(network, declared))
    check_taps(network)
    if measure_radius(network, declared + BEYOND, VISIBLE) > declared:
        seen = measure_radius(network, 2 * declared + 32, VISIBLE)
        raise UsageError(
            f"{network.type_name} declares receptive_radius = {declared}, but its output pixels depend on pixels "
            f"{seen} away: set it to {seen} or more, or tiles would show seams (tile 0 goes without tiles)"
        )
    return declared


def check_taps(network: SRNetwork) -> None:
    """Compare the declared taps (the sizes of tiles and of losses' adapters) with what a small image gives.

    Raises:
        UsageError: a tap of another number of channels or another stride.
    """
    if not network.taps:
        return
    x = torch.zeros(1, network.channels, SHORT_SIDE, SHORT_SIDE).to(next(network.parameters(), torch.zeros(())))
    with torch.no_grad():
        _, features = network.features(x, network.taps, output=False)
    for name, tap in network.taps.items():
        channels, stride = features[name].shape[1], SHORT_SIDE / features[name].shape[2]
        if (channels, stride) != (tap.channels, tap.stride):
            raise UsageError(
                f"{network.type_name} declares Tap({tap.channels}, stride={tap.stride:g}) as '{name}', but gives "
                f"{channels} channels at stride {stride:g} there: correct its taps"
            )


def measure_radius(network: SRNetwork, most: int, tolerance: float = NEGLIGIBLE) -> int:
    """How far the influence of an LR pixel reaches, in LR pixels; `most` + 1 where it reaches farther than `most`.

    The middle column of a strip of noise is inverted, and the farthest output that changes is taken; the same for
    rows. So the cost is that of a small image.

    Args:
        network: single-scale, in eval mode.
        most: the strip ends beyond it.
        tolerance: changes below this part of the largest one do not count.
    """
    middle = most + 1
    noise = torch.rand(network.channels, SHORT_SIDE, 2 * middle + 1, generator=torch.Generator().manual_seed(0))
    inverted = noise.clone()
    inverted[..., middle] = 1 - noise[..., middle]
    strips = torch.stack([noise, inverted]).to(next(network.parameters(), noise))
    radius = 0
    with torch.no_grad():
        for upright in (False, True):
            sr = network(strips.transpose(2, 3).contiguous() if upright else strips).float()
            change = (sr[1] - sr[0]).abs().amax((0, 2 if upright else 1)).reshape(-1, network.scale).amax(1)
            changed = (change > tolerance * change.max()).nonzero().flatten().tolist()
            radius = max([radius, *(abs(place - middle) for place in changed)])
    return radius
