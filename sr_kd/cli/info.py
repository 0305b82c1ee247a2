"""``sr-kd info``: what a network's file or a training state is."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..report.facts import FileFacts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, and how much to find out."""
    parser.add_argument("file", metavar="FILE", help="a network's file, a .state file, or a shipped model's name")
    parser.add_argument("-s", "--scale", type=int, help="for files that do not tell theirs")
    parser.add_argument("--speed", action="store_true", help="also measure how fast it is here, at 1280x720")
    parser.add_argument("--device", default="auto", metavar="NAME", help="of --speed: auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--card", metavar="FILE", help="write a model card (Markdown) for a model hub")


def run(args: argparse.Namespace) -> int:
    """Look at the file and print what is known of it."""
    from ..errors import printable
    from ..files import write_text
    from ..report.card import model_card
    from ..report.facts import file_facts
    from .console import check_text

    if args.card:
        check_text(args.card, "--card")
    facts = file_facts(args.file, args.scale)
    if args.card:
        write_text(args.card, model_card(facts))
    speeds = _speeds(facts, args) if args.speed else {}
    if args.json:
        document = facts.document() | ({"megapixels_per_second": speeds} if speeds else {})
        print(json.dumps(document, indent=2, default=str))
        return 0
    for name, value in _lines(facts):
        print(printable(f"{name:<14}{value}"))
    for scale, effort in facts.efforts.items():
        speed = f", {speeds[scale]:.2f} megapixels a second here" if scale in speeds else ""
        print(
            f"{f'x{scale}, 1280x720':<14}{effort.multiply_adds / 1e9:.3g} G multiply-adds, "
            f"{effort.activations / 1e6:.3g} M activations, {effort.memory / 1e6:.0f} MB{speed}"
        )
    return 0


def _lines(facts: FileFacts) -> list[tuple[str, str]]:
    arguments = ", ".join(f"{name}={value}" for name, value in facts.arguments.items())
    scales = " ".join(f"x{scale}" for scale in facts.scales)
    found = [
        ("file", facts.file),
        ("kind", facts.kind),
        ("network", f"{facts.network}({arguments})" if facts.network else ""),
        ("scales", scales),
        ("color", {"y": "luma (Y)", "rgb": "RGB"}.get(facts.color, facts.color)),
        ("parameters", f"{facts.parameters:,}"),
        ("size", f"{facts.size:,} bytes"),
        ("sha256", facts.sha256),
        ("made by", facts.made_by),
        *((key.replace("_", " "), _text(value)) for key, value in facts.metadata.items()),
    ]
    return [(name, text) for name, text in found if text]


def _text(value: Any) -> str:
    """Scores in a line, whichever of the two forms they have; other values as JSON."""
    from ..report.card import score_rows

    if rows := score_rows(value):
        return "; ".join(f"{name} " + ", ".join(f"{k} {v}" for k, v in row.items()) for name, row in rows.items())
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _speeds(facts: FileFacts, args: argparse.Namespace) -> dict[int, float]:
    from ..device import pick_device
    from ..networks.base import SRNetwork
    from ..networks.files import load_network
    from ..report.measure import speed

    network = load_network(facts.file, scale=args.scale).network if facts.efforts else None
    if not isinstance(network, SRNetwork):
        return {}
    device = pick_device(args.device)
    return {scale: speed(network.for_scale(scale), scale, device) for scale in facts.efforts}
