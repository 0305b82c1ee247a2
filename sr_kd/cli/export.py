"""``sr-kd export``: a network as a file for other programs."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..networks.base import SRNetwork


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("-n", "--model", required=True, metavar="MODEL", help="a shipped model's name, or a file")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="its suffix says the format")
    parser.add_argument("-s", "--scale", type=int, help="for models that serve several, or whose file does not tell")
    parser.add_argument("--rgb", action="store_true", help="a luma (Y) network takes and gives RGB")
    parser.add_argument(
        "--precision", choices=("fp32", "fp16", "int8"), default="fp32", help="of the arithmetic inside (default: fp32)"
    )
    parser.add_argument("--opset", type=int, default=18, help="version of ONNX's operators (default: 18)")
    parser.add_argument(
        "--input-size",
        type=_size,
        metavar="WxH",
        help=".tflite: width and height of the images that the file takes (default: 480x270)",
    )
    parser.add_argument("--calibrate", nargs="+", metavar="DIR", help="int8: photographs that set the ranges")
    parser.add_argument(
        "--max-loss", type=float, metavar="DB", help="int8: refused if PSNR falls by more (default: 0.3)"
    )
    parser.add_argument(
        "--sensitivity", action="store_true", help="int8: first print what every layer loses when it alone is int8"
    )
    parser.add_argument(
        "--float-layers", nargs="+", default=[], metavar="LAYER", help="int8: layers that stay in float"
    )
    parser.add_argument("--card", metavar="FILE", help="also write a model card (Markdown) of the network")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(arguments: argparse.Namespace) -> int:
    """Export, compare with the network, and say what was written."""
    from ..errors import UsageError
    from ..export.export import export_network
    from ..files import sweep_folder, write_text
    from ..imaging.load import find_network
    from ..report.card import model_card
    from ..report.facts import file_facts
    from .console import check_text

    if arguments.card:
        check_text(arguments.card, "--card")
    if (arguments.precision == "int8") != bool(arguments.calibrate):
        raise UsageError("int8 needs photographs, and only int8 does: --precision int8 --calibrate DIR")
    only_int8 = {
        "--max-loss": arguments.max_loss is not None,
        "--sensitivity": arguments.sensitivity,
        "--float-layers": bool(arguments.float_layers),
    }
    for option, given in only_int8.items():
        if given and arguments.precision != "int8":
            raise UsageError(f"{option} is for --precision int8: only that is measured before it is written")
    name, network = find_network(arguments.model, arguments.scale)
    output = Path(arguments.output)
    if output.exists() and Path(arguments.model).exists() and output.samefile(arguments.model):
        raise UsageError(f"--output {output} is the network itself: name another file")
    if network is None:
        raise UsageError(f"'{name}' is an interpolation without a network: there is nothing to export")
    if arguments.scale is not None:
        network = network.for_scale(arguments.scale)
    sweep_folder(output.parent)
    if arguments.card:
        write_text(arguments.card, model_card(file_facts(arguments.model, arguments.scale)))
    if arguments.precision == "int8":
        return _export_int8(network, arguments)
    exported = export_network(
        network,
        arguments.output,
        rgb=arguments.rgb,
        precision=arguments.precision,
        opset=arguments.opset,
        input_size=arguments.input_size,
    )
    compared = "converted, not run: Core ML runs on macOS"
    if exported.difference is not None:
        compared = f"largest difference from the network {exported.difference:.2g} of 255 gray levels"
    print(
        f"wrote {exported.path}: {exported.description['type']} x{exported.description['scale']}, "
        f"{exported.description['color'].upper()} in [0, 1], {exported.description['precision']}; {compared}"
    )
    return 0


def _size(text: str) -> tuple[int, int]:
    """Height and width of what is written as WIDTHxHEIGHT."""
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower())
    if not found:
        raise argparse.ArgumentTypeError(f"'{text}' is no size: write width and height as 480x270")
    return int(found[2]), int(found[1])


def _export_int8(network: SRNetwork, arguments: argparse.Namespace) -> int:
    from ..data.sets import open_set
    from ..export.int8 import PROTOCOL, export_int8, layer_losses

    images = open_set(arguments.calibrate, scale=network.scale)
    if arguments.sensitivity:
        losses = layer_losses(network, images, rgb=arguments.rgb, quiet=arguments.quiet)
        print("PSNR that each layer loses when it alone is int8, in dB:")
        for layer, loss in sorted(losses.items(), key=lambda item: -item[1]):
            print(f"  {loss:7.3f}  {layer}")
    written = export_int8(
        network,
        arguments.output,
        images,
        rgb=arguments.rgb,
        opset=arguments.opset,
        limit=0.3 if arguments.max_loss is None else arguments.max_loss,
        float_layers=arguments.float_layers,
        quiet=arguments.quiet,
    )
    print(
        f"wrote {written.path}: {network.type_name} x{network.scale}, int8; loses {written.loss:.2f} dB "
        f"on {images.name} ({written.psnr:.2f} to {written.quantized_psnr:.2f} dB, {PROTOCOL})"
    )
    return 0
