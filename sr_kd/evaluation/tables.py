"""Results as Markdown and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .protocols import PROTOCOLS
from .scores import SetScore
from .statistics import paired_difference, spread


def markdown_table(results: Mapping[str, Sequence[SetScore]], command: str | None = None) -> str:
    """One row per model, one column per set, ``PSNR / SSIM`` in the cells; protocol and scale below.

    Args:
        results: label -> scores of the same sets, scale and protocol in the same order.
        command: the command line that made the results, printed below.
    """
    first = next(iter(results.values()))
    rows = [[label, *(cell(score.psnr, score.ssim) for score in scores)] for label, scores in results.items()]
    return "\n".join([*_table(["model", *(score.name for score in first)], rows), "", *_notes(results, command), ""])


def spread_table(runs: Mapping[str, Sequence[Sequence[SetScore]]], command: str | None = None) -> str:
    """As :func:`markdown_table` over several seeds: ``mean ± standard deviation`` of PSNR, then of SSIM.

    Args:
        runs: label -> one list of set scores per seed.
        command: the command line that made the results, printed below.
    """
    rows = []
    for label, seeds in runs.items():
        columns = list(zip(*seeds, strict=True))
        rows.append([label, str(len(seeds)), *(_spread_cell(column) for column in columns)])
    first = {label: seeds[0] for label, seeds in runs.items()}
    names = [score.name for score in next(iter(first.values()))]
    return "\n".join([*_table(["model", "seeds", *names], rows), "", *_notes(first, command), ""])


def difference_table(results: Mapping[str, Sequence[SetScore]], baseline: str) -> str:
    """PSNR of every other model minus the baseline's, with the 95 % bootstrap interval over images."""
    base = results[baseline]
    rows = []
    for label, scores in results.items():
        if label != baseline:
            differences = [paired_difference(score, other) for score, other in zip(scores, base, strict=True)]
            cells = [f"{each.mean:+.3f} ({each.low:+.3f} to {each.high:+.3f})" for each in differences]
            rows.append([f"{label} - {baseline}", *cells])
    lines = _table(["PSNR difference in dB (95 % interval)", *(score.name for score in base)], rows)
    return "\n".join([*lines, "", "Intervals: bootstrap over the images of a set, paired, 10,000 draws, seed 0.", ""])


def cell(psnr: float | None, ssim: float | None) -> str:
    """``33.673 / 0.9303``; ``inf`` for identical images, ``-`` for what was not measured."""
    return f"{_number(psnr, 3)} / {_number(ssim, 4)}" if ssim is not None else _number(psnr, 3)


def json_result(model: str, scores: Sequence[SetScore]) -> dict[str, Any]:
    """The scores of one model for a JSON file; an infinite PSNR (identical images) becomes null."""
    return {
        "model": model,
        "scale": scores[0].scale,
        "protocol": scores[0].protocol,
        "sets": [
            {
                "name": score.name,
                "psnr": _finite(score.psnr),
                "ssim": score.ssim,
                "images": [
                    {"name": image.name, "psnr": _finite(image.psnr), "ssim": image.ssim} for image in score.images
                ],
            }
            for score in scores
        ],
    }


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table: first column left, the others right."""
    marks = ["---", *("---:" for _ in header[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (header, marks, *rows)]


def _spread_cell(scores: Sequence[SetScore]) -> str:
    """``36.750 ± 0.012 / 0.9550 ± 0.0002``."""
    psnr = spread(scores)
    text = f"{psnr.mean:.3f} ± {psnr.deviation:.3f}"
    if scores[0].ssim is None:
        return text
    ssim = spread(scores, "ssim")
    return f"{text} / {ssim.mean:.4f} ± {ssim.deviation:.4f}"


def _notes(results: Mapping[str, Sequence[SetScore]], command: str | None) -> list[str]:
    """What a reader must know about the numbers."""
    kinds = {(score.scale, score.protocol): None for scores in results.values() for score in scores}
    lines = [f"x{scale}, protocol {protocol}: {PROTOCOLS[protocol].rule}." for scale, protocol in kinds]
    for label, scores in results.items():
        for score in scores:
            if score.identical:
                lines.append(
                    f"{label}, {score.name}: {score.identical} of {len(score.images)} images are identical to HR "
                    "(PSNR inf) and left out of the mean PSNR."
                )
    if command:
        lines.append(f"Command: `{command}`")
    return [line for text in lines for line in (text, "")][:-1]


def _number(value: float | None, digits: int) -> str:
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if math.isfinite(value) else "inf"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
