"""The photographs inside the scikit-image package: real images without a download.

Only files that its wheels carry are used, never those it fetches over the network. Four color
photographs are held out for validation and are in no training set.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

from ..errors import SrKdError, unknown_name

PREFIX = "scikit-image:"

_SETS = {
    "train": (
        "brick.png",
        "camera.png",
        "coins.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "moon.png",
        "motorcycle_left.png",
        "motorcycle_right.png",
        "retina.jpg",
    ),
    "held_out": ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"),
}


def embedded_files(dataroot: str) -> list[Path]:
    """The image files of "scikit-image:train" or "scikit-image:held_out".

    A training photograph that this version of scikit-image lacks is left out with a note.

    Raises:
        UsageError: another name after the colon.
        SrKdError: scikit-image, or a held-out photograph, is missing.
    """
    name = dataroot.removeprefix(PREFIX)
    if name not in _SETS:
        raise unknown_name("embedded set", dataroot, [PREFIX + known for known in _SETS])
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise SrKdError(f"the set '{dataroot}' needs the package scikit-image: pip install scikit-image")
    folder = Path(package.origin).parent / "data"
    files = [folder / file for file in _SETS[name]]
    missing = [file.name for file in files if not file.is_file()]
    if missing and name == "held_out":
        raise SrKdError(f"scikit-image in {folder.parent} lacks the photograph(s) {', '.join(missing)}: reinstall it")
    if missing:
        logging.getLogger("sr_kd").warning("%s: this scikit-image lacks %s", dataroot, ", ".join(missing))
    return [file for file in files if file.is_file()]
