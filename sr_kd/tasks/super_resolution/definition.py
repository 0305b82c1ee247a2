"""The task's record."""

from ..base import TaskDefinition
from .check import super_resolution_problems
from .data import SuperResolutionData
from .options import SuperResolutionRecipe
from .report import BICUBIC, write_comparison

SUPER_RESOLUTION = TaskDefinition(
    "super_resolution",
    SuperResolutionRecipe,
    SuperResolutionData,
    problems=super_resolution_problems,
    report=write_comparison,
    baselines=(BICUBIC,),
    upscales=True,
)
