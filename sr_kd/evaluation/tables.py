"""Results as Markdown, JSON and CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import printable
from .metrics import METRICS
from .protocols import PROTOCOLS
from .scores import SetScore
from .statistics import interval_note, mean_and_spread, paired_difference

Runs = Mapping[str, Sequence[Sequence[SetScore]]]  # label -> per run (seed) -> per set


def comparison_table(
    results: Runs, command: str | None = None, more: Mapping[str, Mapping[str, str]] | None = None
) -> str:
    """One row per model, one column per set, ``PSNR / SSIM`` (or what was measured) in the cells; notes below.

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
    return "\n".join([*markdown_table(["model", *_set_names(first), *more], rows), "", *_notes(results, command), ""])


def result_tables(results: Mapping[str, Sequence[SetScore]], command: str, baseline: str | None = None) -> str:
    """The comparison of one run of each model, and the differences of several from `baseline` (default: the first)."""
    runs = {label: [scores] for label, scores in results.items()}
    table = comparison_table(runs, command)
    return table if len(runs) == 1 else f"{table}\n{difference_table(runs, baseline or next(iter(runs)))}"


def difference_table(results: Runs, baseline: str) -> str:
    """Every other model minus the baseline, with 95 % intervals: a row for each model and metric.

    Args:
        results: as in `comparison_table`.
        baseline: a label.
    """
    base = results[baseline]
    rows = []
    for label, runs in results.items():
        for metric in runs[0][0].metrics if label != baseline else ():
            sets = zip(zip(*runs, strict=True), zip(*base, strict=True), strict=True)
            cells = [_difference(own, theirs, metric) for own, theirs in sets]
            rows.append([f"{label} - {baseline}", METRICS.get(metric).title, *cells])
    lines = markdown_table(["difference", "metric", *_set_names(base[0])], rows)
    return "\n".join([*lines, "", interval_note(max(map(len, results.values()))), ""])


def json_document(results: Mapping[str, Sequence[SetScore]]) -> dict[str, Any] | list[dict[str, Any]]:
    """One :func:`json_result` per model and protocol: the object itself if there is one, else a list."""
    objects = []
    for label, scores in results.items():
        for protocol in dict.fromkeys(score.protocol for score in scores):
            objects.append(json_result(label, [score for score in scores if score.protocol == protocol]))
    return objects[0] if len(objects) == 1 else objects


def json_result(model: str, scores: Sequence[SetScore]) -> dict[str, Any]:
    """The scores of one model under one protocol for a JSON file; what is not finite becomes null."""
    return {
        "model": model,
        "scale": scores[0].scale,
        "protocol": scores[0].protocol,
        "sets": [
            {
                "name": score.name,
                **{metric: _finite(score.mean(metric)) for metric in score.metrics},
                "images": [
                    {"name": image.name, **{metric: _finite(value) for metric, value in image.values.items()}}
                    for image in score.images
                ],
            }
            for score in scores
        ],
    }


def csv_text(results: Mapping[str, Sequence[SetScore]]) -> str:
    """A line per model and image, a column per metric; ``inf`` and ``nan`` as they are.

    A name that a spreadsheet would take for a formula begins with an apostrophe.
    """
    first = next(iter(results.values()))[0]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "scale", "protocol", "set", "image", *first.metrics])
    for label, scores in results.items():
        for score in scores:
            place = [_csv_name(label), score.scale, score.protocol, _csv_name(score.name)]
            writer.writerows([*place, _csv_name(image.name), *image.values.values()] for image in score.images)
    return text.getvalue()


def _csv_name(name: str) -> str:
    return f"'{printable(name)}" if name.lstrip()[:1] in ("=", "+", "-", "@") else printable(name)


def _set_names(scores: Sequence[SetScore]) -> list[str]:
    """Headers of the sets' columns, with the protocol where there are several."""
    mixed = len({score.protocol for score in scores}) > 1
    return [f"{score.name} ({score.protocol})" if mixed else score.name for score in scores]


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table: first column left, the others right. Names in it stay text."""
    marks = ["---", *("---:" for _ in header[1:])]
    return [f"| {' | '.join(map(markdown_text, cells))} |" for cells in (header, marks, *rows)]


def markdown_text(value: Any) -> str:
    """What a file says or is called, as text in Markdown: no tags, links, images or cells of a stranger's."""
    return re.sub(r"([\[\]`|])", r"\\\1", printable(str(value)).replace("<", "&lt;"))


def _cell(scores: Sequence[SetScore]) -> str:
    """``33.673 / 0.9303``, or ``33.673 ± 0.012 / 0.9303 ± 0.0002`` of several runs."""
    parts = []
    for metric in scores[0].metrics:
        means = [mean for score in scores if (mean := score.mean(metric)) is not None]
        parts.append(" ".join(filter(None, mean_and_spread(means, METRICS.get(metric).decimals))))
    return " / ".join(parts) or "-"


def _difference(model: Sequence[SetScore], baseline: Sequence[SetScore], metric: str) -> str:
    """``+0.500 (+0.300 to +0.700)``; "-" where no image has a finite value in all runs."""
    if all(value is None or not math.isfinite(value) for value in (model[0].mean(metric), baseline[0].mean(metric))):
        return "-"
    digits = METRICS.get(metric).decimals
    found = paired_difference(model, baseline, metric)
    between = "" if math.isnan(found.low) else f" ({found.low:+.{digits}f} to {found.high:+.{digits}f})"
    return f"{found.mean:+.{digits}f}{between}"


def _notes(results: Runs, command: str | None) -> list[str]:
    """What a reader must know about the numbers."""
    scored = [(label, score) for label, runs in results.items() for scores in runs for score in scores]
    lines = [f"Scores: {' / '.join(METRICS.get(metric).description for metric in scored[0][1].metrics)}."]
    kinds: dict[tuple[int, str, bool], list[str]] = {}
    for _, score in scored:
        kinds.setdefault((score.scale, score.protocol, score.lr_from_files), []).append(markdown_text(score.name))
    for (scale, protocol, files), names in kinds.items():
        of = f" of {', '.join(dict.fromkeys(names))}" if (scale, protocol, not files) in kinds else ""
        lines.append(f"x{scale}, protocol {protocol}{of}: {PROTOCOLS[protocol].described(files)}.")
    for label, score in scored:
        for metric in score.metrics:
            count, title = score.left_out(metric), METRICS.get(metric).title
            if count:
                why = "are identical to HR (PSNR inf)" if metric == "psnr" else f"have no finite {title}"
                images = f"{count} of {len(score.images)} images"
                place = markdown_text(f"{label}, {score.name}")
                lines.append(f"{place}: {images} {why} and are left out of the mean {title}.")
    if command:
        lines.append(f"Command: `{printable(command)}`")
    return [line for text in lines for line in (text, "")][:-1]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
