"""A plug-in for spandrel: programs built on it detect and run the files of our networks."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from ..errors import SrKdError
from ..imaging.graph import LumaInRGB
from ..networks.base import SRNetwork
from ..networks.build import build_network
from ..networks.recognize import recognize
from ..networks.state_files import SCALES_KEY

ARCHITECTURES = ("FSRCNN", "VDSR", "IDN", "CARN")


def install(registry: Any = None) -> None:
    """Add our networks to a registry of spandrel's; a second call changes nothing.

    After it ``spandrel.ModelLoader().load_from_file(path)`` reads their ``.safetensors`` files. A
    network of luma (Y) takes and gives RGB there: its color handling is inside the call.

    Args:
        registry: a ``spandrel.ArchRegistry``; default: the main one, which every loader uses.

    Raises:
        SrKdError: spandrel cannot be imported.
    """
    try:
        spandrel = import_module("spandrel")
    except Exception as error:  # it imports torchvision, which fails in many ways
        raise SrKdError(
            f"spandrel cannot be imported ({type(error).__name__}: {error}); run: pip install 'sr_kd[spandrel]', "
            "with a torchvision that belongs to the installed torch"
        ) from error
    supports = [spandrel.ArchSupport.from_architecture(_architecture(spandrel, name)) for name in ARCHITECTURES]
    (spandrel.MAIN_REGISTRY if registry is None else registry).add(*supports, ignore_duplicates=True)


def _architecture(spandrel: Any, name: str) -> Any:
    class Architecture(spandrel.Architecture):
        def __init__(self) -> None:
            super().__init__(id=f"sr_kd {name}", name=name, detect=partial(_is_of, name))

        def load(self, state_dict: dict[str, Any]) -> Any:
            network, scale = _open(state_dict)
            luma = network.color == "y"
            return spandrel.ImageModelDescriptor(
                network,
                network.state_dict(),
                architecture=self,
                purpose="SR",
                tags=_tags(network),
                supports_half=True,
                supports_bfloat16=True,
                scale=scale,
                input_channels=3,
                output_channels=3,
                call_fn=partial(_call, scale) if luma else None,
            )

    return Architecture()


def _is_of(name: str, state: dict[str, Any]) -> bool:
    found = recognize(_weights(state))
    return found is not None and found.type_name == name


def _weights(state: dict[str, Any]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if isinstance(value, Tensor) and key != SCALES_KEY}


def _open(state: dict[str, Any]) -> tuple[SRNetwork, int]:
    """The network at its scale, weights loaded. Raises SrKdError if the scale is open."""
    found = recognize(_weights(state))
    if found is None:
        raise SrKdError("weights of no network known here")
    known = found.arguments.get("scales") or [found.arguments.get("scale")]
    scales = state[SCALES_KEY].tolist() if SCALES_KEY in state else known
    if len(scales) != 1 or scales[0] is None:
        serves = f"serves x{', x'.join(map(str, scales))}" if scales[0] else "does not tell its scale"
        raise SrKdError(
            f"this {found.type_name} file {serves}: write one for a single scale with "
            "'sr-kd export -n FILE -s SCALE -o FILE.safetensors'"
        )
    options = {"scale": scales[0]} if "scales" not in found.arguments else {}
    network = build_network(found.type_name, **{**found.arguments, **options})
    network.load_state_dict(found.tensors)
    return network.for_scale(scales[0]), scales[0]  # type: ignore[return-value]


def _call(scale: int, network: nn.Module, rgb: Tensor) -> Tensor:
    return LumaInRGB(network, scale)(rgb)


def _tags(network: SRNetwork) -> list[str]:
    """What distinguishes it from others of its architecture: "56d", "12s", "mobile"."""
    numbers = [f"{value}{key}" for key, value in network.arguments.items() if type(value) is int and key != "scale"]
    kinds = {"mobile": ("variant", "mobile"), "residual": ("skip", "bicubic")}
    named = [tag for tag, (key, value) in kinds.items() if network.arguments.get(key) == value]
    return [network.color, *named, *numbers]
