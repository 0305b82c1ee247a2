"""Models by name or file, and the two calls most users need."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import torch

from ..errors import UsageError, nearest
from ..networks.base import SRNetwork
from ..networks.files import load_network
from ..zoo.manifest import shipped_models
from .runner import RunPrecision
from .runtimes import Runtime
from .upscaler import Upscaler

BICUBIC = "bicubic"


def load_model(
    name_or_path: str | Path,
    *,
    scale: int | None = None,
    device: str | torch.device = "auto",
    tile: int | None = None,
    precision: RunPrecision | Literal["auto"] = "fp32",
    tta: bool = False,
    runtime: Runtime = "torch",
    param_key: str | None = None,
) -> Upscaler:
    """A model ready to upscale.

    Args:
        name_or_path: a shipped model's name, "bicubic", or a file with a network's weights: this
            package's, BasicSR's of the same networks, or the PISR release's.
        scale: needed for files that serve several scales or do not tell theirs, and for "bicubic"
            (default 2); elsewhere a check.
        device, tile, precision, tta, runtime: as in `Upscaler`.
        param_key: "params" or "params_ema", of a file that has both; default: the latter.

    Raises:
        UsageError: an unknown name, a scale the model does not serve, or one that is needed.
        SrKdError: an unreadable file.
    """
    name, network = find_network(name_or_path, scale, param_key)
    return Upscaler(
        network, scale=scale, device=device, tile=tile, precision=precision, tta=tta, name=name, runtime=runtime
    )


def upscale(image: Any, model: str | Path | Upscaler, **options: Any) -> Any:
    """Upscale one image; see `Upscaler.upscale` for the kinds of images.

    Args:
        image: a NumPy array, a PIL image or a tensor.
        model: a name or file as in `load_model`, or an `Upscaler` (faster for several images).
        options: of `load_model`.
    """
    if isinstance(model, Upscaler):
        if options:
            raise UsageError(f"an Upscaler has its options already: {', '.join(options)}")
        return model.upscale(image)
    return load_model(model, **options).upscale(image)


def load_for_factor(name_or_path: str | None, factor: float | None, **options: Any) -> Upscaler:
    """The model for an upscaling that need not be an integer: its scale is the smallest that reaches it.

    Args:
        name_or_path: as in `load_model`; None: the shipped default.
        factor: the wish; None: whatever the model does, and x2 where it leaves a choice.
        options: of `Upscaler`.

    Raises:
        UsageError: no default model, or none that reaches the factor.
    """
    if name_or_path is None:
        name_or_path = default_model(factor or 2)
    wanted = max(2, math.ceil(factor or 2))
    if name_or_path == BICUBIC:
        return Upscaler(None, scale=wanted, **options)
    try:
        name, network = find_network(name_or_path, None)
    except UsageError:
        if factor is None:
            raise
        name, network = find_network(name_or_path, wanted)
    scales = network.scales if network is not None else (wanted,)
    scale = min((s for s in scales if s >= wanted), default=max(scales))
    if factor is not None and factor > scale:
        reaching = [model.name for model in shipped_models().values() if model.scale >= factor]
        larger = (
            f"take {' or '.join(reaching)}, or another model of a larger scale,"
            if reaching
            else "take a model of a larger scale"
        )
        raise UsageError(
            f"{name} upscales x{', x'.join(map(str, scales))}; x{factor:g} is out of its reach: "
            f"{larger} with --model, or run upscale again on the results"
        )
    return Upscaler(network, scale=scale, name=name, **options)


def default_model(factor: float) -> str:
    """The shipped model for an upscaling: the smallest default scale that reaches it."""
    models = shipped_models()
    if not models:
        raise UsageError(
            "no model is shipped with this version: name one with -n, a trained network's file "
            "(experiments/NAME/models/net_g_latest.pth) or 'bicubic'"
        )
    reaching = [model for model in models.values() if model.scale >= factor]
    if not reaching:
        largest = max(model.scale for model in models.values())
        raise UsageError(
            f"no shipped model upscales x{factor:g} (the largest: x{largest}); name one with -n, or run upscale "
            f"again on the results"
        )
    return min(reaching, key=lambda model: (model.scale, not model.default)).name


def find_network(
    name_or_path: str | Path, scale: int | None, param_key: str | None = None
) -> tuple[str, SRNetwork | None]:
    """(what to call it, its network; None for bicubic), multi-scale networks as they are."""
    text = str(name_or_path)
    if text == BICUBIC:
        return BICUBIC, None
    models = shipped_models()
    if text in models:
        if scale not in (None, models[text].scale):
            fitting = [model.name for model in models.values() if model.scale == scale]
            instead = f"; x{scale}: {', '.join(fitting)}" if fitting else ""
            raise UsageError(f"{text} upscales x{models[text].scale}, not x{scale}{instead}")
        return text, _super_resolution(models[text].verified_file(), scale)
    path = Path(name_or_path)
    if not path.exists():
        known = [*models, BICUBIC]
        raise UsageError(
            f"no model and no file is called '{text}'{nearest(text, known)}; models: {', '.join(known)}; "
            f"or name a file with a network's weights"
        )
    return path.name, _super_resolution(path, scale, param_key)


def _super_resolution(path: Path, scale: int | None, param_key: str | None = None) -> SRNetwork:
    network = load_network(path, scale=scale, key=param_key).network
    if isinstance(network, SRNetwork):
        return network
    what = "a teacher, which needs the high-resolution image" if network.sees_hr else "no super-resolution network"
    raise UsageError(f"{path} holds {what}; name the student's file")
