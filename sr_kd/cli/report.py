"""``sr-kd report``: the comparison of a finished recipe's arms."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The recipe whose run is reported."""
    parser.add_argument("-opt", "--opt", required=True, metavar="FILE", help="option file of a finished run (YAML)")
    parser.add_argument("--force_yml", nargs="+", default=[], metavar="a:b=value", help="the overrides it was run with")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:<number> or mps")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(arguments: argparse.Namespace) -> int:
    """Measure every arm again and write tables and montage."""
    from ..device import pick_device
    from ..errors import UsageError
    from ..recipes.load import load_recipe
    from ..recipes.outcome import describe_arms
    from ..recipes.report import write_report
    from ..recipes.workspace import Workspace, finished_arms
    from ..tasks import TASKS
    from .console import command_line

    recipe = load_recipe(arguments.opt, arguments.force_yml)
    workspace = Workspace(recipe)
    if not workspace.root.is_dir():
        raise UsageError(f"there is no run of this recipe: no folder {workspace.root}; run sr-kd train first")
    device = pick_device(arguments.device)
    command = command_line("train", arguments.opt, arguments.force_yml)
    data = TASKS.get(recipe.task).open_data(recipe, True)
    if data.problems:
        raise UsageError(recipe.origin.report(data.problems))
    written = write_report(workspace, data, device, command, quiet=arguments.quiet)
    print("\n".join([*describe_arms(finished_arms(workspace)), *(f"wrote {path}" for path in written)]))
    return 0
