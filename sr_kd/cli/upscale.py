"""``sr-kd upscale``: upscale files and folders."""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import SrKdError, UsageError, printable
from .console import check_json, print_failure, write_json
from .values import number, size

if TYPE_CHECKING:
    from ..imaging.folder import Outcome
    from ..imaging.upscaler import Upscaler

LARGEST_IMAGE = 500_000_000  # pixels; a file that says more is taken for a decompression bomb
EXTENSIONS = ("auto", "png", "jpg", "webp", "tiff", "bmp", "avif")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "-i",
        "--input",
        nargs="+",
        required=True,
        metavar="PATH",
        help="files, folders (with everything below them), glob patterns; '-' reads a list from standard input",
    )
    parser.add_argument("-o", "--output", required=True, metavar="PATH", help="a folder, or a file for one image")
    parser.add_argument(
        "-n", "--model", metavar="MODEL", help="a shipped model, 'bicubic', or a network's file (default: by scale)"
    )
    sizes = parser.add_argument_group("size of the results")
    sizes.add_argument("-s", "--scale", type=number, metavar="FACTOR", help="any factor up to the model's (default: 2)")
    sizes.add_argument("--width", type=int, metavar="PIXELS", help="this width; the height follows unless given")
    sizes.add_argument("--height", type=int, metavar="PIXELS", help="this height; the width follows unless given")
    sizes.add_argument(
        "--fit", type=size, metavar="WxH", help="as large as fits into this box; -s then chooses the model"
    )
    files = parser.add_argument_group("files")
    files.add_argument("--suffix", default="", metavar="TEXT", help="name results photo_TEXT.png (default: photo.png)")
    files.add_argument("--ext", default="auto", choices=EXTENSIONS, help="format of the results (default: the input's)")
    files.add_argument(
        "--quality",
        type=_quality,
        metavar="1-100",
        help="of JPEG, WebP and AVIF (default: 95, lossless, 90)",
    )
    files.add_argument("--skip-existing", action="store_true", help="leave images alone whose result is there")
    work = parser.add_argument_group("computing")
    work.add_argument("-t", "--tile", type=int, metavar="PIXELS", help="side of a tile; 0: none (default: automatic)")
    work.add_argument("--tta", action="store_true", help="mean over 8 flips and rotations: better, 8 times slower")
    work.add_argument(
        "--precision",
        default="fp32",
        choices=("auto", "fp32", "fp16", "bf16", "fp64"),
        help="auto: half precision where it is faster and, measured on photographs, cannot be seen (default: fp32)",
    )
    work.add_argument(
        "--runtime",
        default="torch",
        choices=("torch", "onnxruntime", "openvino"),
        help="what runs the network; the last two on CPUs (default: torch)",
    )
    work.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--json", metavar="FILE", help="write a summary as JSON; '-': to standard output")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary; errors only")


def run(args: argparse.Namespace) -> int:
    """Upscale everything; 1 if an image failed."""
    try:
        return _run(args)
    except SrKdError as error:
        raise type(error)(printable(str(error))) from None  # names of files may hold anything


def _run(args: argparse.Namespace) -> int:
    import PIL.Image

    from ..distributed import joined
    from ..files import sweep_folder
    from ..imaging.folder import upscale_files
    from ..imaging.jobs import Naming, count_not_read, plan_jobs
    from ..imaging.load import load_for_factor
    from ..imaging.sizing import Sizing

    warnings.filterwarnings("ignore", module="PIL")  # hints for programmers; real damage raises
    PIL.Image.MAX_IMAGE_PIXELS = LARGEST_IMAGE // 2  # Pillow refuses twice that
    check_json(args.json)
    started = time.monotonic()
    measured = args.width or args.height or args.fit  # then -s only chooses the model
    sizing = Sizing(None if measured else args.scale, args.width, args.height, args.fit)
    naming = Naming(args.suffix, args.ext)
    inputs = [name for name in args.input if name != "-"]
    with joined(args.device, trains=False) as world:
        jobs = world.agree(
            lambda: plan_jobs(
                inputs,
                args.output,
                naming,
                listed=_listed() if "-" in args.input else (),
                skip_existing=args.skip_existing,
            )
        )
        upscaler = load_for_factor(
            args.model,
            args.scale,
            device=world.device,
            tile=args.tile,
            precision=args.precision,
            tta=args.tta,
            runtime=args.runtime,
        )
        if upscaler.choice is not None and world.leads and not args.quiet:
            print(f"sr-kd upscale: precision {upscaler.choice.precision}: {upscaler.choice.reason}", file=sys.stderr)
        if world.leads:
            for folder in {job.target.parent for job in jobs}:
                sweep_folder(folder)
        outcomes = world.gather_shares(
            upscale_files(
                upscaler,
                world.share(jobs),
                sizing=sizing,
                quality=args.quality,
                skip_existing=args.skip_existing,
                quiet=args.quiet or not world.leads,
                report=partial(print_failure, "upscale"),
            )
        )
    if world.leads:
        not_read = count_not_read(inputs, args.output)
        _summarize(args, upscaler, outcomes, not_read, time.monotonic() - started)
    return int(any(outcome.status == "failed" for outcome in outcomes))


def _summarize(
    args: argparse.Namespace,
    upscaler: Upscaler,
    outcomes: Sequence[Outcome],
    not_read: Mapping[str, int],
    seconds: float,
) -> None:
    counts = {status: sum(outcome.status == status for outcome in outcomes) for status in ("done", "skipped", "failed")}
    if not args.quiet:
        for line in _notes(outcomes):
            print(printable(f"sr-kd upscale: note: {line}"), file=sys.stderr)
    if not args.quiet and args.json != "-":
        words = ", ".join(f"{count} {status}" for status, count in counts.items() if count or status == "done")
        if not_read:
            words += f", not read: {', '.join(f'{count} {suffix}' for suffix, count in not_read.items())}"
        line = f"{words} in {seconds:.1f} s by {upscaler.name} (x{upscaler.scale}, {upscaler.device}) -> {args.output}"
        print(printable(line))
    if args.json:
        summary = {
            "model": upscaler.name,
            "scale": upscaler.scale,
            "device": str(upscaler.device),
            **counts,
            "not_read": dict(not_read),
            "seconds": round(seconds, 3),
            "files": [_as_json(outcome) for outcome in outcomes],
        }
        write_json(args.json, summary)


def _notes(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Each thing that could not be kept, once, with the first image and how many more there are."""
    counts = Counter(note for outcome in outcomes for note in outcome.notes)
    for note, count in counts.items():
        first = next(outcome.job.source for outcome in outcomes if note in outcome.notes)
        yield f"{first}{f' and {count - 1} more' if count > 1 else ''}: {note}"


def _as_json(outcome: Outcome) -> dict[str, Any]:
    width, height = outcome.size or (None, None)
    return {
        "input": str(outcome.job.source),
        "output": str(outcome.job.target),
        "status": outcome.status,
        "error": outcome.error,
        "notes": list(outcome.notes),
        "width": width,
        "height": height,
        "seconds": round(outcome.seconds, 3),
    }


def _listed() -> list[str]:
    """Paths on standard input, one a line (or separated by NUL, as ``find -print0`` writes them)."""
    if sys.stdin.isatty():
        raise UsageError("'-i -' reads a list of files from standard input: pipe one in")
    from ..images.formats import names_a_format

    content = sys.stdin.buffer.read()
    kind = names_a_format(content)
    if kind and (kind != "BMP" or b"\0" in content[6:10]):  # a name may begin with "BM"
        raise UsageError(f"'-i -' reads a list of files from standard input, and there is {kind}: save it to a file")
    text = os.fsdecode(content)  # names are bytes, whatever their encoding
    lines = text.split("\0") if "\0" in text else [line.removesuffix("\r") for line in text.split("\n")]
    return [line for line in lines if line.strip()]


def _quality(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"'{text}' is not a valid quality: give a number from 1 to 100")
    return int(text)
