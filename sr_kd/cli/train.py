"""``sr-kd train``: run a training recipe."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """BasicSR's flags, and the device."""
    parser.add_argument("-opt", "--opt", required=True, metavar="FILE", help="option file (YAML)")
    parser.add_argument(
        "--launcher",
        choices=("none", "pytorch"),
        default="none",
        help="ignored (BasicSR compatibility): torchrun is recognized by itself",
    )
    parser.add_argument(
        "--auto_resume", action="store_true", help="continue a run of the same name instead of archiving it"
    )
    parser.add_argument(
        "--continue_with",
        action="store_true",
        help="as --auto_resume, but with the optimizer, schedule, losses and lengths that the option file names now; "
        "the change is recorded beside the results",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[],
        metavar="SEED",
        help="run these of the recipe's seeds alone, others may run beside them; continues as with --auto_resume",
    )
    parser.add_argument(
        "--jobs",
        type=_jobs,
        default=1,
        metavar="N",
        help="run phases and seeds that do not need each other in N processes, which share the cores; "
        "'auto': one per core, or per GPU",
    )
    parser.add_argument("--force_yml", nargs="+", default=[], metavar="a:b=value", help="override options")
    parser.add_argument("--debug", action="store_true", help="8 iterations per phase, logged and validated all along")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:<number> or mps")
    parser.add_argument("--quiet", action="store_true", help="no progress bars, warnings only")


def _jobs(text: str) -> int | None:
    if text != "auto" and not (text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"is a number of processes from 1 on, or auto, not {text!r}")
    return None if text == "auto" else int(text)


def run(arguments: argparse.Namespace) -> int:
    """Check, train, write the comparison of the arms, and say what was made."""
    from ..distributed import joined
    from ..errors import printable_lines
    from ..recipes.api import train_checked
    from ..recipes.check import check_training_file
    from ..recipes.jobs import RecipeSource
    from ..recipes.report import describe_arms
    from ..recipes.run_options import RunOptions
    from ..recipes.workspace import Workspace
    from ..report.run import Run
    from ..report.write import page_path, refresh_page, write_page
    from .console import command_line, log_to_console

    checked = check_training_file(arguments.opt, arguments.force_yml, debug=arguments.debug)
    command = command_line("train", arguments.opt, arguments.force_yml) + (" --debug" if arguments.debug else "")
    with joined(arguments.device) as world, log_to_console(quiet=arguments.quiet or not world.leads):
        run = Run(checked.recipe, Workspace(checked.recipe), command)
        options = RunOptions(
            arguments.seeds,
            resume=arguments.auto_resume,
            continue_with=arguments.continue_with,
            quiet=arguments.quiet,
            watch=lambda: refresh_page(run),
        )
        source = RecipeSource(arguments.opt, command, arguments.force_yml, arguments.debug, arguments.plugin)
        made = train_checked(checked, world, options, source, arguments.jobs)
        files = list(made.files)
        if files:
            files.append(write_page([run], page_path(run), world.device, quiet=arguments.quiet))
    if world.leads and made.unfinished_seeds:
        seeds = ", ".join(map(str, made.unfinished_seeds))
        print(f"seeds {seeds} are not finished: the last of them writes the tables")
    elif world.leads:
        print(printable_lines("\n".join([*describe_arms(made.arms), *(f"wrote {path}" for path in files)])))
    return 0
