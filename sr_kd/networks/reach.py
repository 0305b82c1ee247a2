"""How far a network sees: which LR pixels an output pixel depends on, found by changing some."""

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

    What a network of this package's kind declares is probed. That of another project's network is measured, and its
    declared radius is the most that is taken: attention and global pooling see everything, then tiles are approximate.

    Raises:
        UsageError: a network that sees farther than its `receptive_radius` says.
    """
    declared = network.receptive_radius
    if isinstance(network, ForeignNetwork):
        return min(declared, measure_radius(network, declared, network.multiple))
    if measure_radius(network, declared + BEYOND, tolerance=VISIBLE) > declared:
        seen = measure_radius(network, 2 * declared + 32, tolerance=VISIBLE)
        raise UsageError(
            f"{network.type_name} declares receptive_radius = {declared}, but its output pixels depend on pixels "
            f"{seen} away: set it to {seen} or more, or tiles would show seams (tile 0 goes without tiles)"
        )
    return declared


def measure_radius(network: SRNetwork, most: int, multiple: int = 1, tolerance: float = NEGLIGIBLE) -> int:
    """How far the influence of an LR pixel reaches, in LR pixels; `most` + 1 where it reaches farther than `most`.

    Columns in the middle of a strip of noise are inverted, and the farthest output that changes is taken; the same
    for rows. So the cost is that of a small image.

    Args:
        network: single-scale, in eval mode.
        most: where the strip ends.
        multiple: sides that the network takes are multiples of this; the position inside one counts.
        tolerance: changes below this part of the largest one do not count.
    """
    parameter = next(network.parameters(), torch.zeros(()))
    middle = -(-(most + 1) // multiple) * multiple
    short = -(-SHORT_SIDE // multiple) * multiple
    noise = torch.rand(network.channels, short, 2 * middle + multiple, generator=torch.Generator().manual_seed(0))
    inverted = noise.clone()
    inverted[..., middle : middle + multiple] = 1 - noise[..., middle : middle + multiple]
    strips = torch.stack([noise, inverted]).to(parameter)
    radius = 0
    with torch.no_grad():
        for upright in (False, True):
            sr = network(strips.transpose(2, 3).contiguous() if upright else strips).float()
            change = (sr[1] - sr[0]).abs().amax((0, 2 if upright else 1)).reshape(-1, network.scale).amax(1)
            changed = (change > tolerance * change.max()).nonzero().flatten().tolist()
            if changed:
                radius = max(radius, middle + multiple - 1 - changed[0], changed[-1] - middle)
    return min(radius, most + 1)
