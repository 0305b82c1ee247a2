"""``sr-kd models``: what ships with the package."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial

REPETITIONS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The form of the list."""
    parser.add_argument("--json", action="store_true", help="the manifest as JSON")
    parser.add_argument(
        "--speed", action="store_true", help="measure each on this machine: megapixels of results a second"
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="of --speed: auto, cpu, cuda, cuda:1 or mps")


def run(arguments: argparse.Namespace) -> int:
    """Print one line per shipped model."""
    import json

    from ..zoo.manifest import shipped_models

    models = shipped_models()
    speeds = _megapixels_per_second(models, arguments.device) if arguments.speed else {}
    if arguments.json:
        entries = {name: {"scale": m.scale, "sha256": m.sha256, **m.details} for name, m in models.items()}
        for name, speed in speeds.items():
            entries[name]["megapixels_per_second"] = round(speed, 3)
        print(json.dumps(entries, indent=2))
        return 0
    fast = f" {'MP / s':>7}" if speeds else ""
    width = max(map(len, models), default=4)
    print(f"{'name':{width}} {'scale':5} {'parameters':>10} {'file':>9}{fast}  PSNR / SSIM on Y, protocol rgb8")
    for name, model in models.items():
        scores = ", ".join(f"{s['name']} {s['psnr']:.2f}/{s['ssim']:.4f}" for s in model.details.get("scores", []))
        size = f"{model.file.stat().st_size / 1000:.0f} kB"
        fast = f" {speeds[name]:7.2f}" if speeds else ""
        mark = " (default)" if model.default else ""
        parameters = f"{model.details.get('parameters', 0):,}"
        print(f"{name:{width}} x{model.scale:<4} {parameters:>10} {size:>9}{fast}  {scores}{mark}")
    for name, model in models.items():
        if use := model.details.get("intended_use"):
            print(f"{name}: {use} License: {model.details.get('license', 'that of the package')}.")
    print("Use one by name: sr-kd upscale -i IMAGE -o OUT -n NAME. What they were trained on: sr-kd models --json;")
    print("how fast they are here: sr-kd models --speed")
    return 0


def _megapixels_per_second(names: Iterable[str], device: str) -> dict[str, float]:
    """Medians, of one 960x540 RGB image that is in memory; the models in turn."""
    import numpy as np

    from ..bench.timing import time_in_turn
    from ..imaging.load import load_model

    image = np.random.default_rng(0).integers(0, 256, (540, 960, 3), np.uint8)
    upscalers = {name: load_model(name, device=device) for name in names}
    runs = {name: partial(upscaler.upscale, image) for name, upscaler in upscalers.items()}
    seconds = time_in_turn(runs, REPETITIONS)
    return {name: 540 * 960 * upscalers[name].scale ** 2 / 1e6 / seconds[name] for name in runs}
