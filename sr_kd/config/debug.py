"""BasicSR's ``--debug``: the whole recipe in a minute, to see that it runs."""

from __future__ import annotations

from ..losses.build import LOSSES
from ..signature import accepted
from .schema import LossOptions, Phase, Recipe

ITERATIONS = 8


def for_debugging(recipe: Recipe) -> Recipe:
    """Eight iterations a phase and a pre-training, logged at each, validated and saved at the end.

    The name gains ``debug_``.
    """
    return recipe.model_copy(
        update={
            "name": f"debug_{recipe.name}",
            "phases": {name: _shortened(phase) for name, phase in recipe.phases.items()},
            "val": recipe.val.model_copy(update={"val_freq": ITERATIONS}),
            "logger": recipe.logger.model_copy(
                update={"print_freq": 1, "save_checkpoint_freq": ITERATIONS, "use_tb_logger": False}
            ),
        }
    )


def _shortened(phase: Phase) -> Phase:
    losses = [_briefly_pretrained(options) for options in phase.losses]
    return phase.model_copy(update={"total_iter": ITERATIONS, "warmup_iter": 0, "losses": losses})


def _briefly_pretrained(options: LossOptions) -> LossOptions:
    if "pretrain_iter" not in accepted(LOSSES.get(options.type)):
        return options
    return options.model_copy(update={"pretrain_iter": ITERATIONS})
