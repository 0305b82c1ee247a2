"""``sr-kd models``: what ships with the package."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The form of the list."""
    parser.add_argument("--json", action="store_true", help="the manifest as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print one line per shipped model."""
    import json

    from ..zoo.manifest import shipped_models

    models = shipped_models()
    if arguments.json:
        print(
            json.dumps(
                {name: {"scale": m.scale, "sha256": m.sha256, **m.details} for name, m in models.items()}, indent=2
            )
        )
        return 0
    print(f"{'name':14} {'scale':5} {'parameters':>10} {'file':>9}  PSNR / SSIM on Y, protocol rgb8")
    for name, model in models.items():
        scores = ", ".join(f"{s['name']} {s['psnr']:.2f}/{s['ssim']:.4f}" for s in model.details.get("scores", []))
        size = f"{model.file.stat().st_size / 1000:.0f} kB"
        mark = " (default)" if model.default else ""
        print(f"{name:14} x{model.scale:<4} {model.details.get('parameters', 0):>10,} {size:>9}  {scores}{mark}")
    print("Use one by name: sr-kd upscale -i PICTURE -o OUT -n NAME. What they were trained on: sr-kd models --json")
    return 0
