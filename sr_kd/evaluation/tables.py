"""Results as Markdown and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .protocols import PROTOCOLS
from .scores import SetScore
from .statistics import Spread, paired_difference, spread


def comparison_table(
    results: Mapping[str, Sequence[Sequence[SetScore]]],
    command: str | None = None,
    more: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """One row per model, one column per set, ``PSNR / SSIM`` in the cells; protocol and scale below.

    Args:
        results: label -> the scores of the same sets, once per run. Several runs (seeds) are shown as
            ``mean ± sample standard deviation``.
        command: the command line that made the results, printed below.
        more: further columns, header -> label -> cell; "-" for a label that is not there.
    """
    more = more or {}
    first = next(iter(results.values()))[0]
    rows = []
    for label, runs in results.items():
        cells = [_cell(column) for column in zip(*runs, strict=True)]
        cells += [column.get(label, "-") for column in more.values()]
        rows.append([label if len(runs) == 1 else f"{label} ({len(runs)} seeds)", *cells])
    mixed = len({score.protocol for score in first}) > 1
    names = [f"{score.name} ({score.protocol})" if mixed else score.name for score in first]
    return "\n".join([*_table(["model", *names, *more], rows), "", *_notes(results, command), ""])


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


def json_document(results: Mapping[str, Sequence[SetScore]]) -> dict[str, Any] | list[dict[str, Any]]:
    """One :func:`json_result` per model and protocol: the object itself if there is one, else a list."""
    objects = []
    for label, scores in results.items():
        for protocol in dict.fromkeys(score.protocol for score in scores):
            objects.append(json_result(label, [score for score in scores if score.protocol == protocol]))
    return objects[0] if len(objects) == 1 else objects


def json_result(model: str, scores: Sequence[SetScore]) -> dict[str, Any]:
    """The scores of one model under one protocol for a JSON file; an infinite PSNR (identical images) becomes null."""
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


def _cell(scores: Sequence[SetScore]) -> str:
    """``33.673 / 0.9303``, or ``33.673 ± 0.012 / 0.9303 ± 0.0002`` of several runs."""
    psnr, ssim = (getattr(scores[0], metric) is not None for metric in ("psnr", "ssim"))
    parts = [_number(spread(scores, "psnr"), 3)] if psnr else []
    parts += [_number(spread(scores, "ssim"), 4)] if ssim else []
    return " / ".join(parts) or "-"


def _notes(results: Mapping[str, Sequence[Sequence[SetScore]]], command: str | None) -> list[str]:
    """What a reader must know about the numbers."""
    scored = [(label, score) for label, runs in results.items() for scores in runs for score in scores]
    kinds = dict.fromkeys((score.scale, score.protocol) for _, score in scored)
    lines = [f"x{scale}, protocol {protocol}: {PROTOCOLS[protocol].rule}." for scale, protocol in kinds]
    for label, score in scored:
        if score.identical:
            lines.append(
                f"{label}, {score.name}: {score.identical} of {len(score.images)} images are identical to HR "
                "(PSNR inf) and left out of the mean PSNR."
            )
    if command:
        lines.append(f"Command: `{command}`")
    return [line for text in lines for line in (text, "")][:-1]


def _number(value: Spread, digits: int) -> str:
    """``inf`` where all images are identical to HR."""
    if value.runs == 1 or not math.isfinite(value.mean):
        return f"{value.mean:.{digits}f}"
    return f"{value.mean:.{digits}f} ± {value.deviation:.{digits}f}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
