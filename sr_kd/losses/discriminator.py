"""The network that tells real images from upscaled ones, patch by patch."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ..errors import UsageError

SMALLEST = 8


class PatchDiscriminator(nn.Module):
    """(N, 1 or 3, H, W) in [0, 1] -> logits (N, 1, H / 8, W / 8), each of a patch of 54 pixels.

    The patch discriminator of Isola et al. (pix2pix, CVPR 2017), spectrally normalized (Miyato et al., ICLR 2018) in
    the place of its batch norm, so that images do not depend on each other. Gray is shown as RGB.

    Args:
        width: channels of the first layer, doubled by each of the next two.

    Sources: <https://arxiv.org/abs/1611.07004>, <https://arxiv.org/abs/1802.05957>
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(width, 2 * width, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(2 * width, 4 * width, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(4 * width, 4 * width, 3, padding=1)),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 1, 3, padding=1),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Raises UsageError for an image smaller than 8 pixels."""
        if min(image.shape[2:]) < SMALLEST:
            size = f"{image.shape[3]}x{image.shape[2]}"
            raise UsageError(
                f"the discriminator needs patches of at least {SMALLEST} pixels; they are {size}: raise gt_size"
            )
        logits: Tensor = self.layers(2 * image.expand(-1, 3, -1, -1) - 1)
        return logits
