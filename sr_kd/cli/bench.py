"""``sr-kd bench``: speed beside other programs and beside what the machine could do."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import UsageError
from .console import write_json
from .values import count, number, size

if TYPE_CHECKING:
    from ..bench.machine import Machine
    from ..bench.report import SpeedComparison
    from ..data.image_set import ImageSet
    from ..networks.base import SRNetwork

HELP = {
    "train": "a training step of PISR's teacher and student, beside plain PyTorch",
    "infer": "one image through a network, beside plain PyTorch, ONNX Runtime, OpenVINO and OpenCV",
    "folder": "a folder of images, from file to file, beside the computing alone",
    "evaluate": "PSNR, SSIM and MATLAB's resize, beside BasicSR's functions",
    "data": "training patches, beside BasicSR's dataset and PyTorch's loader",
    "streaming": "patches of a set larger than memory_budget, beside one that fits",
    "losses": "a training step of every arm of a recipe",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    works = parser.add_subparsers(dest="work", metavar="WORK", required=True)
    parsers = [works.add_parser(name, help=text, description=text) for name, text in HELP.items()]
    train, infer, folder, evaluate, data, streaming, losses = parsers
    for work in (train, data, streaming, losses):
        work.add_argument("--batch", type=count, default=16, metavar="N", help="patches per step (default: 16)")
        work.add_argument("--patch", type=count, default=96, metavar="PIXELS", help="of an LR patch (default: 96)")
    train.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "fp16"), help="of our steps")
    train.add_argument(
        "--compile",
        nargs="?",
        const=True,
        default=False,
        choices=("reduce-overhead", "max-autotune"),
        help="our steps through torch.compile, or one of its modes (both with CUDA graphs)",
    )
    for work in (infer, folder):
        work.add_argument("-n", "--model", metavar="MODEL", help="a shipped model, a file, or a type (FSRCNN)")
    infer.add_argument("--size", type=size, default=(960, 540), metavar="WxH", help="of LR (default: 960x540)")
    infer.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "fp16"), help="also measure ours in it")
    for work in (train, infer, folder, losses):
        work.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps")
    for work in (folder, evaluate, data, streaming):
        work.add_argument("--hr", nargs="+", default=["scikit-image:held_out"], metavar="DIR", help="folders of HR")
    for work in (data, streaming):
        work.add_argument("--workers", type=count, default=2, metavar="N", help="processes that read (default: 2)")
    streaming.add_argument("--gigabytes", type=number, default=20.0, metavar="GB", help="of the set (default: 20)")
    streaming.add_argument("--budget", type=number, default=2.0, metavar="GIB", help="memory_budget (default: 2)")
    streaming.add_argument("--seconds", type=number, default=90.0, metavar="S", help="how long (default: 90)")
    losses.add_argument("-opt", "--opt", required=True, metavar="FILE", help="training option file (YAML)")
    losses.add_argument("--force_yml", nargs="+", default=[], metavar="a:b=value", help="override options")
    for work in (train, infer, folder, evaluate, data, streaming):
        work.add_argument("-s", "--scale", type=count, default=2, metavar="S", help="upscaling (default: 2)")
    for work in (train, infer, folder, evaluate, data, losses):
        work.add_argument("--repetitions", type=count, default=9, metavar="N", help="per candidate (default: 9)")
    for work in parsers:
        work.add_argument("--json", metavar="FILE", help="write the figures as JSON; '-': to standard output, no table")
        work.add_argument("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> int:
    """Measure and print tables."""
    from ..bench.machine import measure_machine
    from ..bench.report import document, markdown
    from ..device import pick_device

    device = pick_device(getattr(args, "device", "cpu"))
    machine = measure_machine(device)
    comparisons = MEASURES[args.work](args, machine)
    command = shlex.join(["sr-kd", *sys.argv[1:]])
    if args.json:
        write_json(args.json, document(comparisons, machine, command))
    if args.json != "-":
        print(markdown(comparisons, machine, command), end="")
    return 0


def _train(args: argparse.Namespace, machine: Machine) -> Sequence[SpeedComparison]:
    from ..bench.train import TrainingBench
    from ..device import pick_device

    bench = TrainingBench(
        args.scale, args.batch, args.patch, pick_device(args.device), args.precision, compiled=args.compile
    )
    return bench.compare(machine, args.repetitions, args.quiet)


def _infer(args: argparse.Namespace, machine: Machine) -> Sequence[SpeedComparison]:
    from ..bench.infer import InferenceBench
    from ..device import pick_device

    width, height = args.size
    network = _network(args.model or "FSRCNN", args.scale)
    name = f"{args.model or 'FSRCNN'} x{network.scale}"
    bench = InferenceBench(network, name, height, width, pick_device(args.device), args.precision)
    return [bench.compare(machine, args.repetitions, args.quiet)]


def _folder(args: argparse.Namespace, machine: Machine) -> Sequence[SpeedComparison]:
    from ..bench.folder import FolderBench
    from ..device import pick_device
    from ..imaging.upscaler import Upscaler

    upscaler = Upscaler(_network(args.model or "FSRCNN", args.scale), device=pick_device(args.device))
    return [FolderBench(_images(args), upscaler).compare(machine, args.repetitions, args.quiet)]


def _network(model: str, scale: int) -> SRNetwork:
    """A trained one, or a type with its first weights: they take equally long."""
    from ..imaging.load import find_network
    from ..networks.base import SRNetwork
    from ..networks.build import NETWORKS, build_network

    if model in NETWORKS.names():
        network = build_network(model, scale=scale)
        if not isinstance(network, SRNetwork):
            raise UsageError(f"{model} upscales nothing by itself: name FSRCNN, VDSR, IDN or CARN")
        return network
    name, found = find_network(model, scale)
    if found is None:
        raise UsageError(f"'{name}' is an interpolation without a network")
    return found.for_scale(scale)


def _evaluate(args: argparse.Namespace, machine: Machine) -> Sequence[SpeedComparison]:
    from ..bench.evaluate import EvaluationBench

    return EvaluationBench(_images(args), args.scale).compare(machine, args.repetitions, args.quiet)


def _data(args: argparse.Namespace, machine: Machine) -> Sequence[SpeedComparison]:
    from ..bench.data import DataBench

    bench = DataBench(_images(args), args.patch * args.scale, args.batch, args.workers)
    return [bench.compare(machine, args.repetitions, args.quiet)]


def _streaming(args: argparse.Namespace, machine: Machine) -> Sequence[SpeedComparison]:
    from ..bench.streaming import StreamingBench

    bench = StreamingBench(
        _images(args),
        args.patch * args.scale,
        args.batch,
        args.workers,
        gigabytes=args.gigabytes,
        budget=args.budget,
        seconds=args.seconds,
    )
    return [bench.compare()]


def _losses(args: argparse.Namespace, machine: Machine) -> Sequence[SpeedComparison]:
    from ..bench.losses import LossesBench
    from ..device import pick_device
    from ..recipes.check import check_training_file
    from ..tasks.super_resolution.options import SuperResolutionRecipe

    recipe = check_training_file(args.opt, args.force_yml, data=False).recipe
    if not isinstance(recipe, SuperResolutionRecipe):
        raise UsageError(f"{args.opt} is for {recipe.task}; losses are timed on super-resolution")
    bench = LossesBench(recipe, args.batch, args.patch, pick_device(args.device))
    return [bench.compare(args.repetitions, args.quiet)]


MEASURES = {
    "train": _train,
    "infer": _infer,
    "folder": _folder,
    "evaluate": _evaluate,
    "data": _data,
    "streaming": _streaming,
    "losses": _losses,
}


def _images(args: argparse.Namespace) -> ImageSet:
    from ..data.sets import open_set

    return open_set(args.hr, scale=args.scale)
