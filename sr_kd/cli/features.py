"""``sr-kd features``: what a student has learned of its teacher's feature maps."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from .values import place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, and what is looked at."""
    parser.add_argument("run_name", metavar="RUN", help="folder (experiments/NAME) or option file of a run")
    parser.add_argument("--phase", metavar="NAME", help="a distilled phase (default: the first)")
    parser.add_argument("--seed", type=int, metavar="N", help="(default: the recipe's first)")
    parser.add_argument("--image", metavar="NAME", help="a validation image (default: the first); its middle is shown")
    parser.add_argument("--pixel", type=place, metavar="X,Y", help="that others are compared with, in HR pixels")
    parser.add_argument(
        "--channels", type=int, nargs="+", default=[], metavar="N", help="of the teacher (default: 4 that vary most)"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="of index.html and the PNGs (default: results/NAME/features/PHASE)"
    )
    parser.add_argument("--force_yml", nargs="+", default=[], metavar="a:b=value", help="the overrides it was run with")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:<number> or mps")


def run(args: argparse.Namespace) -> int:
    """Show an image to teacher and student, and write the page."""
    from ..device import pick_device
    from ..files import check_folder
    from ..report.distilled import distilled_phases, open_distillation, open_image
    from ..report.feature_figures import draw_features
    from ..report.run import find_run
    from ..report.write import write_features

    found = find_run(args.run_name, args.force_yml)
    device = pick_device(args.device)
    image = open_image(found, args.image, device)
    phases = distilled_phases(found)
    if not phases:
        raise UsageError(f"no phase of {found.recipe.name} compares feature maps with a frozen teacher's")
    phase = args.phase or phases[0]
    height, width = image.pixels.shape[:2]
    x, y = args.pixel or (width // 2, height // 2)
    if x >= width or y >= height:
        raise UsageError(f"--pixel is {x},{y}; it must be within {width}x{height} pixels")
    at = ((y + 0.5) / height, (x + 0.5) / width)
    one = open_distillation(found, phase, image, device, args.seed)
    folder = Path(args.output) if args.output else found.workspace.results / "features" / phase
    check_folder(folder, "--output")
    print(f"wrote {write_features(draw_features(found.recipe.name, one, at, args.channels), folder)}")
    return 0
