"""``sr-kd export``: a network as a file for other programs."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("-n", "--model", required=True, metavar="MODEL", help="a shipped model's name, or a file")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="ends in .onnx, .pt2 or .safetensors")
    parser.add_argument("-s", "--scale", type=int, help="for models that serve several, or whose file does not tell")
    parser.add_argument("--rgb", action="store_true", help="a luma (Y) network takes and gives RGB")
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp32", help="of the arithmetic inside")
    parser.add_argument("--opset", type=int, default=18, help="version of ONNX's operators (default: 18)")


def run(arguments: argparse.Namespace) -> int:
    """Export, compare with the network, and say what was written."""
    from ..errors import UsageError
    from ..inference.export import export_network
    from ..inference.load import find_network

    name, network = find_network(arguments.model, arguments.scale)
    if network is None:
        raise UsageError(f"'{name}' is an interpolation without a network: there is nothing to export")
    if arguments.scale is not None:
        network = network.for_scale(arguments.scale)
    exported = export_network(
        network, arguments.output, rgb=arguments.rgb, precision=arguments.precision, opset=arguments.opset
    )
    print(
        f"wrote {exported.path}: {exported.description['type']} x{exported.description['scale']}, "
        f"{exported.description['colour'].upper()} in [0, 1], {exported.description['precision']}; "
        f"largest difference from the network {exported.difference:.2g} of 255 grey levels"
    )
    return 0
