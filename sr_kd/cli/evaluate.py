"""``sr-kd evaluate``: scores of models, or of finished images."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SrKdError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from ..data.image_set import ImageSet
    from ..evaluation.scores import SetScore
    from ..evaluation.suite import KeepImage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    what = parser.add_argument_group("what is measured")
    what.add_argument(
        "-n",
        "--model",
        action="append",
        default=[],
        metavar="MODEL",
        help="a network's file, a shipped model or 'bicubic', also NAME=MODEL; repeat it to compare models",
    )
    what.add_argument("--sr", metavar="DIR", help="finished images instead of a model, paired with HR by name")
    what.add_argument(
        "--hr",
        nargs="+",
        required=True,
        metavar="DIR",
        help="folders of HR images, one set each; also *.lmdb and scikit-image:held_out",
    )
    what.add_argument("--lr", nargs="+", metavar="DIR", help="their LR images (default: made from HR as MATLAB does)")
    what.add_argument("-s", "--scale", type=int, required=True, metavar="S", help="upscaling: 2, 3, 4...")
    what.add_argument("--protocol", default="rgb8", metavar="NAME", help="rgb8 (default), yfloat, basicsr or rgb")
    what.add_argument(
        "--metrics",
        nargs="+",
        default=["psnr", "ssim"],
        metavar="NAME",
        help="psnr and ssim (default), ms_ssim, vif, niqe, lpips, dists, or a plug-in's",
    )
    parser.add_argument("--json", metavar="FILE", help="write all scores as JSON; '-': to standard output, no table")
    parser.add_argument("--csv", metavar="FILE", help="write every image's scores as a table")
    parser.add_argument("--markdown", metavar="FILE", help="write the printed tables as Markdown")
    parser.add_argument("--latex", metavar="FILE", help="write the scores as a table for LaTeX (booktabs)")
    parser.add_argument("--save", metavar="DIR", help="write the upscaled images: DIR/MODEL/SET/IMAGE.png")
    parser.add_argument("--montage", metavar="FILE", help="draw where the models differ most in the first set")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "fp16"), help="(default: fp32)")
    parser.add_argument(
        "--runtime",
        default="torch",
        choices=("torch", "onnxruntime", "openvino"),
        help="what runs the network; the last two on CPUs (default: torch)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> int:
    """Measure and print a table."""
    from ..evaluation.latex import latex_table
    from ..evaluation.metrics import find_metrics
    from ..evaluation.tables import csv_text, json_document, result_tables
    from ..files import check_folder, check_target, write_text
    from ..images import output_format
    from .console import check_json, check_no_input, check_text, log_to_console, write_json

    if bool(args.model) == bool(args.sr):
        both = "not both" if args.sr else "one of them"
        raise UsageError(f"name models with -n, or a folder of finished images with --sr: {both}")
    if args.scale < 2:
        raise UsageError(f"--scale is {args.scale}; it must be at least 2")
    find_metrics(args.metrics)
    check_json(args.json)
    if args.montage:
        output_format(Path(args.montage).suffix)
    for option in ("markdown", "latex", "csv", "montage"):
        if target := getattr(args, option):
            (check_target if option == "montage" else check_text)(target, f"--{option}")
    for option in ("markdown", "latex", "csv", "montage", "json"):
        if target := getattr(args, option):
            check_no_input(target, f"--{option}", [*args.hr, *(args.lr or []), *([args.sr] if args.sr else [])])
    if args.save:
        check_folder(Path(args.save), "--save")
    with log_to_console(args.quiet):
        results = _score_images(args) if args.sr else _score_models(args)
    command = shlex.join(["sr-kd", *sys.argv[1:]])
    text = result_tables(results, command)
    for target, content in (
        (args.markdown, text),
        (args.latex, latex_table(results, command)),
        (args.csv, csv_text(results)),
    ):
        if target:
            write_text(target, content)
    if args.json:
        write_json(args.json, json_document(results))
    if args.json != "-":
        print(text, end="")
    return 0


def _score_models(args: argparse.Namespace) -> dict[str, list[SetScore]]:
    from ..evaluation.api import open_sets
    from ..evaluation.labels import label_models
    from ..evaluation.montage import compare_visually
    from ..evaluation.suite import TestSet, load_models, measure
    from ..images import Image, write_image

    options = {"device": args.device, "precision": args.precision, "runtime": args.runtime}
    models = load_models(label_models(args.model), args.scale, **options)
    sets = [TestSet(images, args.protocol) for images in open_sets(args.hr, args.lr, args.scale)]
    saved: list[Path] = []
    keep = _saver(Path(args.save), saved) if args.save else None
    results = measure(models, sets, metrics=args.metrics, quiet=args.quiet, keep=keep)
    if removed := [path for path in saved if not path.exists()]:
        raise SrKdError(f"{len(removed)} results were removed meanwhile, such as {removed[0]}: run the command again")
    if args.montage:
        write_image(args.montage, Image(compare_visually(models, sets[0].images, quiet=args.quiet)))
    return results


def _saver(folder: Path, saved: list[Path]) -> KeepImage:
    from ..images import Image, write_image

    def save(label: str, images: ImageSet, name: str, pixels: np.ndarray) -> None:
        places = [text.replace("/", "_").lstrip(".") or "_" for text in (label, images.name)]
        path = folder.joinpath(*places, f"{name}.png")
        write_image(path, Image(pixels))
        saved.append(path)

    return save


def _score_images(args: argparse.Namespace) -> dict[str, list[SetScore]]:
    from ..data.sets import set_name
    from ..evaluation.api import open_sets
    from ..evaluation.compare import find_images, pair_by_name, score_images

    for option in ("lr", "montage", "save"):
        if getattr(args, option):
            raise UsageError(f"--{option} is for models (-n), not for finished images (--sr)")
    if len(args.hr) > 1:
        raise UsageError(
            f"--sr is one folder of images, but --hr names {len(args.hr)} sets; name the one it belongs to"
        )
    (images,) = open_sets(args.hr, None, args.scale)
    files = find_images(args.sr)
    chosen = pair_by_name(images.names, files)
    unused = len(files) - len(chosen)
    if unused:
        print(f"{unused} of {len(files)} images in {args.sr} belong to no HR image", file=sys.stderr)
    score = score_images(chosen, images, protocol=args.protocol, metrics=args.metrics, quiet=args.quiet)
    return {set_name(args.sr): [score]}
