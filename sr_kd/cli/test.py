"""``sr-kd test``: measure models on test sets, from an option file."""

from __future__ import annotations

import argparse
import json
import re


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """BasicSR's flags, and the device."""
    parser.add_argument("-opt", "--opt", required=True, metavar="FILE", help="test option file (YAML)")
    parser.add_argument("--force_yml", nargs="+", default=[], metavar="a:b=value", help="override options")
    for flag in ("--auto_resume", "--debug"):
        parser.add_argument(flag, action="store_true", help="ignored (BasicSR compatibility): a test is always whole")
    parser.add_argument(
        "--launcher",
        choices=("none", "pytorch"),
        default="none",
        help="ignored (BasicSR compatibility): one process works",
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, and write results/NAME/{table.md, results.json, scores.csv} and perhaps the images."""
    from pathlib import Path

    import numpy as np

    from ..data.image_set import ImageSet
    from ..evaluation.suite import TestSet, load_models, measure
    from ..evaluation.tables import csv_text, json_document, result_tables
    from ..files import write_text
    from ..images import Image, write_image
    from ..recipes.check import check_test_file
    from .console import command_line, log_to_console

    checked = check_test_file(args.opt, args.force_yml)
    recipe = checked.recipe
    folder = Path(recipe.path.results_root) / recipe.name

    def save(label: str, images: ImageSet, name: str, pixels: np.ndarray) -> None:
        suffix = re.sub(r"[^\w.-]+", "_", label)
        write_image(folder / "visualization" / images.name / f"{name}_{suffix}.png", Image(pixels))

    with log_to_console(args.quiet):
        models = load_models(recipe.models, recipe.scale, device=args.device, param_key=recipe.param_key)
        sets = [TestSet(images, protocol) for images, protocol in checked.sets.with_protocols()]
        results = measure(
            models, sets, metrics=recipe.metrics, quiet=args.quiet, keep=save if recipe.save_img else None
        )
    command = command_line("test", args.opt, args.force_yml)
    table = result_tables(results, command, recipe.baseline)
    write_text(folder / "table.md", table)
    write_text(folder / "results.json", json.dumps(json_document(results), indent=2, allow_nan=False) + "\n")
    write_text(folder / "scores.csv", csv_text(results))
    print(table, end="")
    print(f"\nwrote {folder / 'table.md'}, results.json and scores.csv")
    return 0
