"""BasicSR: imported here and nowhere else, only when asked for, with its known failures explained."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..errors import SrKdError
from ..evaluation.benchmark import score_image
from ..evaluation.protocols import find_protocol, to_levels
from ..losses.base import LossInputs, NetworkOutput
from ..losses.build import build_loss
from ..networks.build import NETWORKS

ARCHITECTURES = ("FSRCNN", "VDSR", "IDN", "CARN")
PIXEL_LOSSES = ("L1", "L2", "Charbonnier")
METRICS = ("psnr", "ssim")

# torchvision 0.17 removed this module; BasicSR imports one function of it that lives on elsewhere.
_REMOVED = "torchvision.transforms.functional_tensor"
_DISTRIBUTIONS = {"cv2": "opencv-python", "yaml": "pyyaml", "skimage": "scikit-image", "PIL": "pillow"}
_REST = "everything else of sr_kd works without it"


def import_basicsr() -> ModuleType:
    """The package ``basicsr``; the first call takes some seconds.

    Raises:
        SrKdError: it cannot be imported; the message says why and what to do.
    """
    if "basicsr" in sys.modules:
        return sys.modules["basicsr"]
    if find_spec("basicsr") is None:
        raise SrKdError(_why_absent())
    try:
        try:
            import_module(_REMOVED)
        except ModuleNotFoundError as error:
            if error.name != _REMOVED:
                raise
            sys.modules[_REMOVED] = import_module("torchvision.transforms.functional")
        return import_module("basicsr")
    except Exception as error:  # a foreign package's import fails in many ways
        raise SrKdError(_explain(error)) from error


def register() -> None:
    """Put our networks, pixel losses and metrics into BasicSR's registries; a second call changes nothing.

    After it, option files of BasicSR may say ``network_g: {type: FSRCNN, scale: 2}`` (any argument of
    the network), ``pixel_opt: {type: Charbonnier, loss_weight: 1.0}`` and
    ``metrics: {psnr: {type: sr_kd_psnr, crop_border: 2, protocol: rgb8}}``, and BasicSR's own
    ``train_pipeline`` and ``test_pipeline`` use them.

    Raises:
        SrKdError: BasicSR cannot be imported, or one of the names is taken by somebody else's class.
    """
    registries = import_basicsr().utils.registry
    for name in ARCHITECTURES:
        _add(registries.ARCH_REGISTRY, NETWORKS.get(name))
    for name in PIXEL_LOSSES:
        _add(registries.LOSS_REGISTRY, _pixel_loss(name))
    for name in METRICS:
        _add(registries.METRIC_REGISTRY, _metric(name))


def _add(registry: Any, thing: Callable[..., Any]) -> None:
    name = thing.__name__
    if name not in registry:
        registry.register(thing)
    elif registry.get(name) is not thing:
        raise SrKdError(f"BasicSR has a '{name}' already, registered by {registry.get(name).__module__}")


@cache
def _pixel_loss(name: str) -> type[nn.Module]:
    """Our loss of that name as BasicSR calls one: ``(pred, target) -> weighted scalar``."""

    def __init__(self: Any, loss_weight: float = 1.0, reduction: str = "mean", **options: Any) -> None:  # noqa: N807
        if reduction != "mean":
            raise SrKdError(f"loss {name}: reduction must be 'mean', not '{reduction}'")
        nn.Module.__init__(self)
        self.loss_weight = loss_weight
        self.loss = build_loss(name, **options)

    def forward(self: Any, pred: Tensor, target: Tensor, **_: Any) -> Tensor:
        terms = self.loss(LossInputs(lr=target, hr=target, trained=NetworkOutput(pred)))
        return self.loss_weight * sum(terms.values())

    members = {"__init__": __init__, "forward": forward, "__doc__": inspect.getdoc(type(build_loss(name)))}
    return type(name, (nn.Module,), {**members, "__module__": __name__})


@cache
def _metric(name: str) -> Callable[..., float]:
    """Our metric of that name as BasicSR calls one, ``sr_kd_psnr`` or ``sr_kd_ssim``."""

    def measure(img: np.ndarray, img2: np.ndarray, crop_border: int, protocol: str = "rgb8", **_: Any) -> float:
        """Compare SR with HR, (H, W, 3) BGR or (H, W) uint8, by the rule that `protocol` names."""
        sr, hr = (to_levels(np.atleast_3d(image)[..., ::-1]) for image in (img, img2))
        return score_image("image", sr, hr, find_protocol(protocol), crop_border, (name,)).values[name]

    measure.__name__ = f"sr_kd_{name}"
    return measure


def _explain(error: Exception) -> str:
    """One sentence on why BasicSR cannot be imported, and the remedy."""
    missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    package = missing.split(".")[0]
    if missing == "basicsr.version":
        return "this BasicSR is a source folder that was never installed; run in that folder: pip install ."
    if package == "torchvision" or "torchvision" in str(error):
        return (
            f"BasicSR needs torchvision, and torchvision {_version('torchvision')} does not fit torch "
            f"{_version('torch')} (a CPU build beside a CUDA build, or another version): install the two together, "
            f"from the same index; {_REST}"
        )
    if missing:
        return f"BasicSR needs the module {missing}; run: pip install {_DISTRIBUTIONS.get(package, package)}"
    return f"BasicSR cannot be imported ({type(error).__name__}: {error}); {_REST}"


def _why_absent() -> str:
    """One sentence on how to get BasicSR on this Python."""
    if sys.version_info >= (3, 13):
        return (
            "BasicSR is not installed: its last release cannot be built on Python 3.13 and later, so use Python "
            f"3.11 or 3.12 for it; {_REST}"
        )
    return (
        "BasicSR is not installed; run: pip install torch torchvision numpy cython && "
        f"pip install --no-build-isolation basicsr; {_REST}"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
