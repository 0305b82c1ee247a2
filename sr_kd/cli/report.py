"""``sr-kd report``: what a run did, as one page, tables and images."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The runs, and where the page goes."""
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="option file, or folder (experiments/NAME); several: one page"
    )
    parser.add_argument("-opt", "--opt", metavar="FILE", help="the same as RUN, of an option file")
    parser.add_argument(
        "--html", metavar="FILE", help="the page (default: results/NAME/report.html; several: report.html)"
    )
    parser.add_argument("--force_yml", nargs="+", default=[], metavar="a:b=value", help="the overrides it was run with")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:<number> or mps")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(arguments: argparse.Namespace) -> int:
    """Measure every arm of the finished runs again, write tables and montage, and the page."""
    from ..device import pick_device
    from ..errors import UsageError, printable_lines
    from ..recipes.report import describe_arms, write_report
    from ..recipes.workspace import finished_arms
    from ..report.run import find_run
    from ..report.write import FILE, page_path, write_page
    from ..tasks import TASKS
    from .console import check_text, command_line

    names = [*arguments.runs, *([arguments.opt] if arguments.opt else [])]
    if not names:
        raise UsageError("name a run: its option file, or its folder (experiments/NAME)")
    runs = [find_run(name, arguments.force_yml) for name in names]
    if arguments.html:
        check_text(arguments.html, "--html")
    device = pick_device(arguments.device)
    for one, name in zip(runs, names, strict=True):
        if not one.finished:
            print(f"{one.recipe.name} is not finished: the page shows what there is; its tables come at its end")
            continue
        command = one.command or command_line("train", name, arguments.force_yml)
        data = TASKS.get(one.recipe.task).open_data(one.recipe, True)
        if data.problems:
            raise UsageError(one.recipe.origin.report(data.problems))
        written = write_report(one.workspace, data, device, command, quiet=arguments.quiet)
        print(
            printable_lines(
                "\n".join([*describe_arms(finished_arms(one.workspace)), *(f"wrote {path}" for path in written)])
            )
        )
    path = Path(arguments.html) if arguments.html else page_path(runs[0]) if len(runs) == 1 else Path(FILE)
    print(f"wrote {write_page(runs, path, device, quiet=arguments.quiet)}")
    return 0
