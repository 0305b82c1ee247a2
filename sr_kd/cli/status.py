"""``sr-kd status``: how far a run is."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run."""
    parser.add_argument(
        "run_name", metavar="RUN", help="folder (experiments/NAME) or option file of a run, from any terminal"
    )
    parser.add_argument("--force_yml", nargs="+", default=[], metavar="a:b=value", help="the overrides it was run with")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """Read the run's files and print every phase."""
    import json
    from dataclasses import asdict

    from ..errors import printable
    from ..recipes.time_left import seconds_left
    from ..report.run import find_run
    from ..report.status import run_status, status_lines

    statuses = run_status(find_run(args.run_name, args.force_yml))
    if args.json:
        print(
            json.dumps(
                {"phases": [asdict(each) for each in statuses], "seconds_left": seconds_left(statuses)}, indent=2
            )
        )
    else:
        for line in status_lines(statuses):
            print(printable(line))
    return 0
