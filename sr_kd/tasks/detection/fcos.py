"""A small one-stage detector: torchvision's FCOS (Tian et al., ICCV 2019) on a residual backbone of our own.

torchvision is imported when a detector is built, never before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from ...config.section import Count
from ...errors import UsageError
from ...networks.base import Network, Tap
from ...networks.foreign import recorded
from ..classification.resnet import residual_stage

Target = Mapping[str, Tensor]  # "boxes" (K, 4) in pixels and "labels" (K,); of a detection also "scores" (K,)

STRIDES = (4, 8)  # of the two pyramid levels
MEAN, DEVIATION = 0.5, 0.25  # images are shown to the backbone as (x - 0.5) / 0.25
LEAST_SCORE = 0.05


class Pyramid(nn.Module):
    """Three residual stages, and a feature pyramid over the last two (Lin et al., CVPR 2017).

    Args:
        blocks: residual blocks per stage. width: channels of the first stage, doubled in each of the next.
        channels: of both pyramid levels.
    """

    def __init__(self, blocks: int, width: int, channels: int) -> None:
        super().__init__()
        self.out_channels = channels  # torchvision reads it
        self.entry = _layer(3, width, 3, 2)
        self.stage1 = residual_stage(width, width, 1, blocks)
        self.stage2 = residual_stage(width, 2 * width, 2, blocks)
        self.stage3 = residual_stage(2 * width, 4 * width, 2, blocks)
        self.lateral1 = nn.Conv2d(2 * width, channels, 1)
        self.lateral2 = nn.Conv2d(4 * width, channels, 1)
        self.level1 = _layer(channels, channels, 3, 1)
        self.level2 = _layer(channels, channels, 3, 1)

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        """(N, 3, H, W) -> two maps (N, channels, H / stride, W / stride)."""
        fine = self.stage2(self.stage1(self.entry(x)))
        coarse = self.stage3(fine)
        below = self.lateral2(coarse)
        above = functional.interpolate(below, size=fine.shape[-2:], mode="nearest")
        return OrderedDict(level1=self.level1(self.lateral1(fine) + above), level2=self.level2(below))


class FCOS(Network):
    """The detector: pyramid, and one convolution per prediction on each level.

    Taps are the backbone's "stage1" to "stage3" and the pyramid's "level1" and "level2", all behind a ReLU.

    Args:
        classes: number of classes, without a background.
        blocks, width: of the backbone, see `Pyramid`.
        pyramid: channels of the pyramid.

    Raises:
        UsageError: torchvision is missing or does not fit this torch.
    """

    type_name = "FCOS"
    task = "detection"

    def __init__(self, classes: Count, blocks: Count = 1, width: Count = 16, pyramid: Count = 32) -> None:
        super().__init__()
        self.arguments = {"classes": classes, "blocks": blocks, "width": width, "pyramid": pyramid}
        self.classes = classes
        self.taps = {
            "stage1": Tap(width, 2, cut=False),
            "stage2": Tap(2 * width, 4, cut=False),
            "stage3": Tap(4 * width, 8, cut=False),
            "level1": Tap(pyramid, STRIDES[0], cut=False),
            "level2": Tap(pyramid, STRIDES[1], cut=False),
        }
        self.detector: Any = _fcos(Pyramid(blocks, width, pyramid), classes)  # torchvision may not be there to say

    def forward(self, x: Tensor) -> list[dict[str, Tensor]]:  # type: ignore[override]
        """Images (N, 3, H, W) in [0, 1] -> per image the objects found: boxes, labels, scores (in eval mode)."""
        return self.detector(list(x))

    def features(self, x: Tensor, taps: Iterable[str], output: bool = False) -> tuple[None, dict[str, Tensor]]:
        """Images (N, 3, H, W) in [0, 1] -> the tapped feature maps; nothing is detected."""
        with recorded(self.detector.backbone, self.check_taps(taps)) as found:
            self.detector.backbone(self.detector.transform(list(x))[0].tensors)
        return None, {name: seen.tensor for name, seen in found.items()}

    def losses(
        self, x: Tensor, targets: Sequence[Target], taps: Iterable[str]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One pass in training mode: FCOS's losses against the targets, and the tapped feature maps.

        Returns:
            "classification" (focal loss), "box" (generalized IoU) and "center" (centerness), each a sum over
            the places that belong to an object, divided by their number; and name -> (N, C_tap, h, w).
        """
        with recorded(self.detector.backbone, self.check_taps(taps)) as found:
            losses = self.detector(list(x), targets)
        names = {"classification": "classification", "bbox_regression": "box", "bbox_ctrness": "center"}
        return {ours: losses[name] for name, ours in names.items()}, {tap: found[tap].tensor for tap in found}


def _fcos(backbone: Pyramid, classes: int) -> nn.Module:
    """torchvision's detector around the backbone; it takes images as they are, of any size."""
    try:
        from torchvision.models import detection
        from torchvision.models.detection import anchor_utils, fcos, transform
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        problem = str(error).splitlines()[0]
        raise UsageError(f"network FCOS needs torchvision ({problem}): pip install 'sr_kd[detection]'") from None

    class Unresized(transform.GeneralizedRCNNTransform):
        """Normalizes and stacks the images, and leaves their size alone."""

        def resize(self, image: Tensor, target: Target | None = None) -> tuple[Tensor, Target | None]:
            return image, target

    # A level is responsible for objects that reach 4 to 8 anchor sizes from a place in their middle: with half
    # the stride, up to 16 pixels for the first level. Their middle is then 3 anchor sizes to each side.
    sizes = tuple((stride // 2,) for stride in STRIDES)
    network = detection.FCOS(
        backbone,
        classes,
        anchor_generator=anchor_utils.AnchorGenerator(sizes, ((1.0,),) * len(sizes)),
        head=fcos.FCOSHead(backbone.out_channels, 1, classes, num_convs=0),
        center_sampling_radius=3.0,
        score_thresh=LEAST_SCORE,
    )
    network.transform = Unresized(0, 0, [MEAN] * 3, [DEVIATION] * 3)
    # Distances to a box's sides are behind a ReLU, which must not begin closed.
    nn.init.constant_(network.head.regression_head.bbox_reg.bias, 1.0)
    return network


def _layer(cin: int, cout: int, kernel: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(cin, cout, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(cout), nn.ReLU())
