"""Whether what docs/reliability.md promises holds: every section counts cases and what became of them.

    python scripts/reliability SECTION --cases N --seed S --state FILE

A section that was stopped goes on where it was, if its seed is the same; ``summary`` prints what the file holds.
Exit code 1: a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import faults
import load
from fuzz import fuzz
from tally import Tally

Section = Callable[[int, Tally], None]
FUZZED = ("images", "metadata", "options", "overrides", "weights", "lmdbs", "states")


def sections() -> dict[str, Section]:
    """Every section by name."""
    acting = (faults.crash_points, faults.kills, faults.signals, faults.disk_full, faults.damage, faults.low_memory)
    found: dict[str, Section] = {section.__name__: section for section in (*acting, faults.ranks)}
    found |= {f"load_{section.__name__}": section for section in (load.folder, load.steps, load.processes)}
    return found | {f"fuzz_{name}": partial(fuzz, name) for name in FUZZED}


def main() -> int:
    """Do the cases of one section."""
    known = sections()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("section", choices=[*known, "summary"])
    parser.add_argument("--cases", type=int, default=100, help="until there are so many in all (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, default=Path("reliability.json"), help="(default: reliability.json)")
    args = parser.parse_args()
    if args.section == "summary":
        found = json.loads(args.state.read_text())
        for name, count in found.items():
            print(Tally(args.state, name, count["seed"]).summary())
        print(f"{sum(count['cases'] for count in found.values()):,} cases in all")
        return 0
    tally = Tally(args.state, args.section, args.seed)
    known[args.section](args.cases, tally)
    print(tally.summary())
    return int(tally.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
