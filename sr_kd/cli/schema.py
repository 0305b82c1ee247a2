"""``sr-kd schema``: the JSON schema of option files, for editors."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to."""
    parser.add_argument("-o", "--output", metavar="FILE", help="write it to a file (default: standard output)")


def run(args: argparse.Namespace) -> int:
    """Print or write the schema."""
    import json

    from ..files import write_text
    from ..recipes.json_schema import option_file_schema
    from .console import check_text

    if args.output:
        check_text(args.output, "--output")
    text = json.dumps(option_file_schema(), indent=2) + "\n"
    if args.output:
        write_text(args.output, text)
        print(f"wrote {args.output}")
    else:
        print(text, end="")
    return 0
