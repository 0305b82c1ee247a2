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
    from ..recipes.lock import is_running
    from ..recipes.time_left import seconds_left
    from ..report.run import find_run
    from ..report.status import run_status, status_lines

    found = find_run(args.run_name, args.force_yml)
    statuses, running = run_status(found), is_running(found.workspace.root)
    if args.json:
        print(
            json.dumps(
                {
                    "phases": [asdict(each) for each in statuses],
                    "seconds_left": seconds_left(statuses),
                    "running": running,
                },
                indent=2,
            )
        )
    else:
        for line in status_lines(statuses, running):
            print(printable(line))
    return 0
