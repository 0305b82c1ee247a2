"""Tasks, each in a folder of its own: options, check, data, networks, losses, report.

The package of a task declares, as import paths, the task itself (`TASKS`) and the networks and losses that only it has
(`NETWORKS`, `LOSSES`); nothing is imported before it is used. A plug-in registers its task with ``TASKS.register``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..registry import Registry

if TYPE_CHECKING:
    from .base import TaskDefinition

DEFAULT = "super_resolution"  # of option files and networks that name none
TASKS: Registry[TaskDefinition] = Registry("task", {}, declared="TASKS")
