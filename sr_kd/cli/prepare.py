"""``sr-kd prepare``: LR images, sub-images and LMDBs of a set."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("dataroot", nargs="+", help="folders of HR images; several make one set")
    parser.add_argument("-o", "--output", required=True, help="the folder to fill")
    parser.add_argument(
        "-s",
        "--scale",
        type=int,
        nargs="+",
        default=[2],
        help="scales of the LR images (default: 2); HR is cropped to fit",
    )
    parser.add_argument("--lr", nargs="+", metavar="DIR", help="folders of LR images to use instead of making them")
    parser.add_argument("--filename-tmpl", default="{}", help="LR names made of HR names, such as '{}x2'")
    parser.add_argument("--crop", type=int, metavar="PIXELS", help="cut sub-images of this side, such as 480")
    parser.add_argument("--step", type=int, default=240, metavar="PIXELS", help="distance of sub-images (default: 240)")
    parser.add_argument("--lmdb", action="store_true", help="write LMDBs instead of folders")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Prepare the set, or go on where an interrupted run stopped."""
    from ..data.prepare import Preparation, prepare
    from ..data.sets import open_set
    from ..errors import UsageError
    from ..files import real_path
    from .console import log_to_console

    scales = tuple(sorted(set(args.scale)))
    if scales[0] < 2:
        raise UsageError(f"--scale {scales[0]}: scales are 2 or more")
    for name in args.dataroot:
        if real_path(name) == real_path(args.output):
            raise UsageError(f"-o {args.output} is the folder of the images themselves; name another one")
    with log_to_console(args.quiet):
        images = open_set(args.dataroot, scale=math.lcm(*scales), dataroot_lq=args.lr, filename_tmpl=args.filename_tmpl)
        preparation = Preparation(images, scales, Path(args.output), args.crop, args.step, args.lmdb)
        worked = prepare(preparation, workers=args.workers, quiet=args.quiet)
    if not args.quiet:
        print(f"{args.output}: {worked} of {len(images)} images prepared" if worked else "nothing to do: all is there")
        for folder in preparation.folders().values():
            print(f"  {folder}")
    return 0
