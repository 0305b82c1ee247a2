"""``sr-kd distil``: a large network and images in, a small network out."""

from __future__ import annotations

import argparse
import re


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("-n", "--teacher", required=True, metavar="MODEL", help="a network's file, or a shipped model")
    parser.add_argument(
        "-i", "--input", nargs="+", required=True, metavar="PATH", help="images as the student will meet them; no HR"
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="the folder for everything")
    parser.add_argument(
        "--size",
        default="small",
        metavar="SIZE",
        help="small, large, CARN-M, a YAML file of a network, or what it may cost at most: 50k (parameters), 8G "
        "(multiply-adds at 1280x720), 12ms (for 640x480, here); several with commas between",
    )
    parser.add_argument("--time", type=_seconds, metavar="2h", help="for everything, as 90s, 30m, 2h (default: 20m)")
    parser.add_argument("--iterations", type=int, metavar="N", help="of the training, instead of a time")
    parser.add_argument(
        "--export",
        default="onnx",
        metavar="LIST",
        help="onnx, pt2, tflite, mlpackage, param (ncnn), with commas between (default: onnx)",
    )
    parser.add_argument(
        "--degrade", action="store_true", help="learn from a copy of each image with blur, noise and JPEG, too"
    )
    parser.add_argument(
        "--hr",
        action="store_true",
        help="the images are HR: the teacher answers them scaled down, and HR is learned beside its answers",
    )
    parser.add_argument("--int8", action="store_true", help="an ONNX file in int8, too")
    parser.add_argument("-s", "--scale", type=int, metavar="N", help="for teachers that serve several scales")
    parser.add_argument("--name", help="of the student's files (default: from teacher and size)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and how long it takes")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--quiet", action="store_true", help="no progress; errors and the answer only")


def run(args: argparse.Namespace) -> int:
    """Distil, or go on, and end with the answer."""
    from ..distillation.run import distil
    from ..errors import printable_lines
    from .console import log_to_console

    with log_to_console(args.quiet):
        made = distil(
            args.teacher,
            args.input,
            args.output,
            size=[each.strip() for each in args.size.split(",")],
            seconds=args.time,
            iterations=args.iterations,
            export=[each.strip() for each in args.export.split(",")],
            int8=args.int8,
            scale=args.scale,
            name=args.name,
            degrade=args.degrade,
            hr=args.hr,
            plugins=args.plugin,
            device=args.device,
            dry_run=args.dry_run,
            quiet=args.quiet,
        )
    if made.answers:
        print(printable_lines(made.text()))
    return 0


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip().lower())
    if not found or float(found[1]) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a valid time: write 90s, 30m or 2h")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]
