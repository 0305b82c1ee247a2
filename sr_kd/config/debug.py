"""BasicSR's ``--debug``: the whole recipe in a minute, to see that it runs."""

from __future__ import annotations

from .schema import TrainingRecipe


def for_debugging(recipe: TrainingRecipe) -> TrainingRecipe:
    """Eight iterations a phase, logged at each, validated and saved at the end; the name gains ``debug_``."""
    phases = {
        name: phase.model_copy(update={"total_iter": 8, "warmup_iter": 0}) for name, phase in recipe.phases.items()
    }
    return recipe.model_copy(
        update={
            "name": f"debug_{recipe.name}",
            "phases": phases,
            "val": recipe.val.model_copy(update={"val_freq": 8}),
            "logger": recipe.logger.model_copy(
                update={"print_freq": 1, "save_checkpoint_freq": 8, "use_tb_logger": False}
            ),
        }
    )
