"""``sr-kd check``: validate an option file and say what it would run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import UsageError, printable_lines

if TYPE_CHECKING:
    from ..recipes.check import CheckedRecipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("-opt", "--opt", metavar="FILE", required=True, help="a training or test option file")
    parser.add_argument(
        "--force_yml", nargs="+", default=[], metavar="A:B=VALUE", help="options to replace, as for sr-kd train"
    )
    parser.add_argument("--no-data", action="store_true", help="do not look for the images")
    parser.add_argument(
        "--diagnose",
        action="store_true",
        help="take one batch of every phase: each loss's value, its gradient relative to the task loss's, "
        "and the weight that would make it a tenth",
    )
    parser.add_argument("--preview", metavar="FILE", help="write patches of the first batch as an image: HR above LR")


def run(arguments: argparse.Namespace) -> int:
    """Validate; refusals are errors with exit code 2, images that cannot be read with 1."""
    import torch

    from ..distributed import World
    from ..recipes.check import CheckedTest, check_file
    from ..recipes.summary import describe_recipe, describe_test

    checked = check_file(
        arguments.opt, arguments.force_yml, data=not arguments.no_data or arguments.diagnose or bool(arguments.preview)
    )
    alone = World(0, 1, torch.device("cpu"))
    if isinstance(checked, CheckedTest):
        checked.sets.decode(alone)
        print(printable_lines("\n".join(describe_test(checked))))
        if arguments.diagnose or arguments.preview:
            raise UsageError(
                f"{arguments.opt} is a test file, which has no losses to diagnose and no batches to preview"
            )
        return 0
    checked.data.decode_validation(alone)
    print(printable_lines("\n".join(describe_recipe(checked))))
    if arguments.diagnose:
        _print_diagnoses(checked)
    if arguments.preview:
        from ..recipes.preview import write_preview

        print(f"\nwrote {write_preview(checked, arguments.preview)}")
    return 0


def _print_diagnoses(checked: CheckedRecipe) -> None:
    from ..device import pick_device
    from ..distributed import World
    from ..losses.diagnosis import diagnosis_table
    from ..recipes.diagnose import diagnose_recipe

    for phase in diagnose_recipe(checked, World(0, 1, pick_device("auto"))):
        state = f" ({phase.state})" if phase.state else ""
        print(f"\nphase {phase.phase}, unweighted, task loss {phase.task}{state}\n{diagnosis_table(phase.rows)}")
