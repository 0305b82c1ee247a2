"""What a benchmark found, as Markdown and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..evaluation.tables import markdown_table
from .machine import Machine


@dataclass(frozen=True)
class SpeedComparison:
    """One piece of work, done by several candidates.

    Attributes:
        title: the work.
        seconds: candidate -> median seconds of one run; the others are compared with the first.
        lower_bound: seconds that the machine needs at the least; None where arithmetic does not tell.
        absent: candidate -> why it took no part.
        notes: candidate -> what is worth knowing of it.
        unit: what one run does `count` of ("patch", "image"), for rates.
        count: see `unit`.
    """

    title: str
    seconds: Mapping[str, float]
    lower_bound: float | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    unit: str = "run"
    count: int = 1


def markdown(comparisons: Sequence[SpeedComparison], machine: Machine, command: str) -> str:
    """One table per comparison, then the machine and the command."""
    lines = []
    for comparison in comparisons:
        lines += [*_table(comparison), ""]
    packages = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    lines += [
        f"{machine.processor}; {machine.system}; {packages}.",
        f"Matrix product {machine.fp32 / 1e9:.0f} (fp32) and {machine.bf16 / 1e9:.0f} (bf16) "
        f"billion multiply-adds a second, copy {machine.copy / 1e9:.1f} GB/s.",
        f"`{command}`",
    ]
    return "\n".join(lines) + "\n"


def document(comparisons: Sequence[SpeedComparison], machine: Machine, command: str) -> dict[str, Any]:
    """The same as plain values for a JSON file."""
    return {
        "command": command,
        "machine": asdict(machine),
        "comparisons": [{**asdict(comparison), "ratios": _ratios(comparison)} for comparison in comparisons],
    }


def _ratios(comparison: SpeedComparison) -> dict[str, float]:
    """How many times longer each candidate takes than the first."""
    first = next(iter(comparison.seconds.values()))
    return {name: seconds / first for name, seconds in comparison.seconds.items()}


def _table(comparison: SpeedComparison) -> list[str]:
    lower_bound, ratios = comparison.lower_bound, _ratios(comparison)
    plural = "es" if comparison.unit.endswith("ch") else "s"
    per_second, first = f"{comparison.unit}{plural} / s", next(iter(ratios))
    lines = [f"### {comparison.title}", ""]
    if lower_bound is not None:
        lines += [f"Lower bound: {_milliseconds(lower_bound)} ms.", ""]
    header = ["candidate", "ms", per_second, f"time / {first}", "lower bound / time", "remarks"]
    rows = []
    for name, seconds in comparison.seconds.items():
        fraction = "" if lower_bound is None else f"{100 * lower_bound / seconds:.0f} %"
        rate = comparison.count / seconds
        remark = comparison.notes.get(name, "")
        rows.append([name, _milliseconds(seconds), f"{rate:.4g}", f"{ratios[name]:.2f}", fraction, remark])
    rows += [[name, "", "", "", "", reason] for name, reason in comparison.absent.items()]
    return [*lines, *markdown_table(header, rows)]


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"
