"""How large a student is: by name, by a file, or by what it may cost."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ..config.document import read_document
from ..device import wait_for
from ..errors import UsageError, nearest
from ..imaging.upscaler import Upscaler
from ..networks.base import SRNetwork
from ..networks.build import build_network
from ..networks.complexity import count_multiply_adds, count_parameters
from ..networks.files import load_network
from ..zoo.manifest import shipped_models

logger = logging.getLogger("sr_kd")
SHOWN = (640, 480)  # width and height of the result that is timed
COUNTED = (1280, 720)  # and of the one whose multiply-adds are counted
SIZES: dict[str, dict[str, Any]] = {
    "small": {"type": "FSRCNN", "skip": "bicubic"},
    "large": {"type": "FSRCNN", "d": 56, "s": 32, "m": 6, "skip": "bicubic"},
    "CARN-M": {"type": "CARN", "variant": "mobile", "skip": "bicubic"},
}
SHIPPED = {"small": "fsrcnn_x{scale}", "large": "fsrcnn_x{scale}_large"}  # a better start than bicubic
WIDTHS = (  # d, s, m of the FSRCNNs from which one of a given cost is taken, the largest first
    *((96, 64, 8), (80, 48, 8), (64, 48, 6), (64, 40, 6), (56, 32, 6), (56, 32, 5), (48, 32, 4), (56, 24, 5)),
    *((48, 24, 4), (56, 16, 5), (48, 16, 4), (56, 12, 4), (48, 12, 4), (40, 12, 3), (32, 8, 3), (24, 8, 2), (16, 8, 1)),
)


def student_options(size: str, scale: int, device: str = "auto") -> dict[str, Any]:
    """The entry of the recipe's networks for a size.

    Args:
        size: a name; a YAML file of such an entry; or what the student may cost at most: ``50k`` parameters, ``8G``
            multiply-adds for a result of 1280x720 pixels, or ``12ms`` for one of 640x480 on `device`, measured.

    A named one begins as the model of that size and scale that is shipped, where there is one.

    Raises:
        UsageError: none of these, a file that describes no network, or a cost below that of the smallest student.
    """
    shipped = shipped_models().get(SHIPPED.get(size, "").format(scale=scale))
    if shipped is not None:
        network = load_network(shipped.verified_file()).network
        arguments: dict[str, Any] = network.arguments  # type: ignore[assignment]
        shape = {key: arguments[key] for key in ("d", "s", "m", "skip")}
        return {"type": shipped.details["network"], **shape, "path": shipped.name}
    if size in SIZES:
        return {**SIZES[size], "init": "bicubic"} if SIZES[size]["type"] == "FSRCNN" else dict(SIZES[size])
    cost = re.fullmatch(r"(\d+(?:\.\d+)?) ?(k|m|g|ms)?", size, re.IGNORECASE)
    if cost:
        return _largest(float(cost[1]), (cost[2] or "").lower(), scale, device)
    if not Path(size).is_file():
        known = f"{', '.join(SIZES)}, a YAML file of a network, or a cost such as 50k, 8G or 12ms"
        raise UsageError(f"unknown size '{size}'{nearest(size, SIZES)}; known: {known}")
    options = dict(read_document(size).data)
    if "type" not in options:
        raise UsageError(f"{size} describes no network: it has no 'type', as in {{type: FSRCNN, d: 32, skip: bicubic}}")
    return options


def build_student(options: dict[str, Any], scale: int) -> SRNetwork:
    """Untrained, to know how large it is. Raises UsageError for options that the network does not take."""
    options = {key: value for key, value in options.items() if key not in ("init", "path")}
    network = build_network(options.pop("type"), **{"scale": scale, **options})
    if not isinstance(network, SRNetwork):
        raise UsageError(
            f"a {type(network).__name__} upscales no images: the student must be a super-resolution network"
        )
    return network


def seconds_for(upscaler: Upscaler) -> float:
    """For a result of 640x480 pixels: the fastest of at most four images; slow ones are timed once."""
    width, height = (side // upscaler.scale for side in SHOWN)
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    times: list[float] = []
    while len(times) < 4 and sum(times) < 2:
        began = perf_counter()
        upscaler.upscale(image)
        wait_for(upscaler.device)
        times.append(perf_counter() - began)
    return min(times)


def _largest(most: float, unit: str, scale: int, device: str) -> dict[str, Any]:
    """The largest FSRCNN that costs no more."""

    def multiply_adds(network: SRNetwork) -> float:
        width, height = (side // scale for side in COUNTED)
        return count_multiply_adds(network, (1, network.channels, height, width)) / 1e9

    def milliseconds(network: SRNetwork) -> float:
        return 1000 * seconds_for(Upscaler(network.deploy(), device=device))

    thousands = {"": 1e-3, "k": 1.0, "m": 1e3}
    measure: Callable[[SRNetwork], float]
    if unit in thousands:
        most, unit = most * thousands[unit], "thousand parameters"
        measure = lambda network: count_parameters(network) / 1e3  # noqa: E731
    elif unit == "g":
        measure, unit = multiply_adds, f"G multiply-adds at {COUNTED[0]}x{COUNTED[1]}"
    else:
        measure, unit = milliseconds, f"ms for {SHOWN[0]}x{SHOWN[1]} pixels here"
    least = 0.0
    for d, s, m in WIDTHS:
        options = {"type": "FSRCNN", "d": d, "s": s, "m": m, "skip": "bicubic", "init": "bicubic"}
        least = measure(build_student(options, scale))
        if least <= most:
            logger.info("a student of %.3g %s", least, unit)
            return options
    raise UsageError(f"--size: the smallest student has {least:.3g} {unit}, and at most {most:.3g} were asked for")
