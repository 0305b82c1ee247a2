"""``sr-kd montage``: magnified crops of several models side by side, for a paper."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from .values import count, place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Models, images, and what to cut out of them."""
    parser.add_argument(
        "-n", "--model", action="append", required=True, metavar="MODEL", help="as in evaluate; repeat it"
    )
    parser.add_argument(
        "--hr", required=True, metavar="DIR", help="folder of HR images, *.lmdb or scikit-image:held_out"
    )
    parser.add_argument("--lr", metavar="DIR", help="their LR images (default: made from HR as MATLAB does)")
    parser.add_argument("-s", "--scale", type=int, required=True, metavar="S", help="upscaling: 2, 3, 4...")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="ends in .png or .pdf")
    parser.add_argument(
        "--image", nargs="+", default=[], metavar="NAME", help="these images (default: largest difference)"
    )
    parser.add_argument(
        "--images", type=count, default=3, metavar="N", help="how many, where --image names none (default: 3)"
    )
    parser.add_argument(
        "--crop", type=place, metavar="X,Y", help="left and top of the crop in HR pixels (default: largest difference)"
    )
    parser.add_argument(
        "--side", type=count, default=56, metavar="N", help="of the square crops, in HR pixels (default: 56)"
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> int:
    """Upscale, cut, and write the montage."""
    from ..evaluation.api import open_sets
    from ..evaluation.labels import label_models
    from ..evaluation.montage import arrange, find_rows, title_of
    from ..evaluation.sheet import paint, to_pdf
    from ..evaluation.suite import load_models
    from ..files import atomic_path, check_target
    from ..images import Image, write_image
    from .console import check_no_input

    target = Path(args.output)
    if target.suffix.lower() not in (".png", ".pdf"):
        raise UsageError(f"--output {target} must end in .png or .pdf")
    if args.scale < 2:
        raise UsageError(f"--scale is {args.scale}; it must be at least 2")
    check_target(target, "--output")
    check_no_input(target, "--output", [args.hr, *([args.lr] if args.lr else [])])
    models = load_models(label_models(args.model), args.scale, device=args.device)
    (images,) = open_sets([args.hr], [args.lr] if args.lr else None, args.scale)
    places = {"side": args.side, "chosen": args.image, "crop": args.crop}
    rows = find_rows(models, images, images=args.images, **places, quiet=args.quiet)
    sheet = arrange(rows, title_of(images))
    if target.suffix.lower() == ".pdf":
        with atomic_path(target) as temporary:
            temporary.write_bytes(to_pdf(sheet))
    else:
        write_image(target, Image(paint(sheet)))
    print(f"wrote {target}")
    return 0
