"""How a recipe is run: what of it, from where on, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .invocation import Invocation


@dataclass(frozen=True)
class RunOptions:
    """How a recipe is run.

    Attributes:
        seeds: only these of the recipe's, beside other processes that run the others; always resumes.
        phases: only these; what they need is finished.
        resume: continue an existing run of the same recipe; otherwise it is archived under a new name.
        continue_with: the same, of a recipe whose phases have other options than before; they hold from the last
            states on.
        quiet: no progress bars.
        invocation: how the run was started, for its record.
        watch: called on rank 0 after every validation and every phase, where results are written; where several
            processes share the jobs, after a phase alone.
    """

    seeds: Sequence[int] = ()
    phases: Sequence[str] = ()
    resume: bool = False
    continue_with: bool = False
    quiet: bool = True
    invocation: Invocation = field(default_factory=Invocation)
    watch: Callable[[], None] | None = None
