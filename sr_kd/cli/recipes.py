"""``sr-kd recipes``: list and copy the option files that come with the package."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which recipes, and where to."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="names or patterns such as 'pisr/*' (default: all)")
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="copy them into this folder, to edit, with the schema for editors"
    )
    parser.add_argument("--overwrite", action="store_true", help="with -o: replace files that are there and differ")


def run(args: argparse.Namespace) -> int:
    """Print one line per recipe, or copy them and say where they are."""
    from ..config.recipe_files import copy_recipes, describe_recipe_file, select_recipes
    from ..errors import UsageError

    if args.overwrite and not args.output:
        raise UsageError("--overwrite is for copies: name a folder with -o")
    chosen = select_recipes(args.names)
    if args.output:
        for copy in copy_recipes(chosen.values(), Path(args.output), overwrite=args.overwrite):
            print(f"wrote {copy}")
        return 0
    width = max(map(len, chosen))
    for name, file in chosen.items():
        print(f"{name:{width}}  {describe_recipe_file(file)}")
    print(
        "Run one by name: sr-kd train -opt NAME, or sr-kd test -opt test/NAME. Edit a copy: sr-kd recipes NAME -o DIR"
    )
    return 0
