"""``sr-kd label``: a teacher's answers to a folder of images, stored for training."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from ..errors import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("-n", "--model", required=True, metavar="TEACHER", help="a network's file, or a shipped model")
    parser.add_argument("-i", "--input", required=True, metavar="DIR", help="a folder of LR images")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="the folder of the labels")
    parser.add_argument("-s", "--scale", type=int, help="for teachers that serve several, or whose file does not tell")
    parser.add_argument("-t", "--tile", type=int, metavar="PIXELS", help="side of a tile; 0: none (default: automatic)")
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "bf16"),
        help="(default: fp16 on CUDA where it changes nothing that can be seen, else fp32)",
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary; errors only")


def run(args: argparse.Namespace) -> int:
    """Label what has no label yet; 1 if an image failed."""
    from ..imaging.label import make_labels, measure_cost, plan_labels
    from .console import log_to_console, print_failure

    folder = Path(args.output)
    with log_to_console(args.quiet):
        labeling = plan_labels(
            args.model,
            args.input,
            folder,
            scale=args.scale,
            device=args.device,
            tile=args.tile,
            precision=args.precision,
        )
        cost = measure_cost(labeling)
        count, there = len(labeling.missing), len(labeling.jobs) - len(labeling.missing)
        if not args.quiet:
            already = f" ({there} more are labeled)" if there and count else ""
            print(
                f"{count} images to label{already}: about {cost.seconds:,.0f} s and {cost.size / 1e6:,.0f} MB"
                if count
                else f"nothing to do: all {there} images are labeled",
                flush=True,
            )
        outcomes = make_labels(labeling, quiet=args.quiet, report=partial(print_failure, "label"))
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    if not args.quiet and count:
        print(printable(f"{len(outcomes) - failed} labeled, {failed} failed -> {folder}"))
    return int(failed > 0)
