"""A model card: what a network is, what it was trained on, how good it is, and what it is not for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..evaluation.tables import markdown_text
from .facts import FileFacts

HEAD = """---
library_name: sr_kd
pipeline_tag: image-to-image
tags:
- super-resolution
- knowledge-distillation
---"""
UNKNOWN = "The file does not tell."
CLEAN = (
    "It expects sharp, clean images, as bicubic interpolation makes them small. Noise, blur and strong compression "
    "become larger, not better."
)
LIMITS = (
    "Text, halftones and screen content look different from photographs: look before you trust an upscaled letter or "
    "number.",
    "Details that an image does not have are guessed. Nobody must be identified by an upscaled face or license plate.",
)


def model_card(facts: FileFacts) -> str:
    """The card of a network's file as Markdown, with the fields that model hubs read at its head but the license, which
    is left for its author to fill in.

    Raises:
        UsageError: a file that is no super-resolution network.
    """
    if facts.kind != "network":
        raise UsageError(f"{facts.file} is a {facts.kind}; model cards are for super-resolution networks")
    scales = ", ".join(f"x{scale}" for scale in facts.scales)
    name, use = Path(facts.file).stem, facts.metadata.get("intended_use")
    blocks = [
        HEAD,
        f"# {name}",
        f"{facts.network} for super-resolution at {scales}, {facts.parameters:,} parameters, on "
        f"{'luma (Y); Cb and Cr are bicubic' if facts.color == 'y' else 'RGB'}.",
        "## Intended use",
        markdown_text(use)
        if use
        else f"Enlarging clean photographs by {scales}, and comparing small networks in research.",
        f"```bash\npip install sr_kd\nsr-kd upscale -i IMAGE -o OUT.png -n {Path(facts.file).name}\n```",
        "## Architecture",
        "\n".join(_architecture(facts)),
        "## Training",
        "\n".join(_training(facts.metadata)) or UNKNOWN,
        "## Scores",
        "\n".join(_scores(facts)) or UNKNOWN,
        "## Limits",
        "\n".join(f"- {limit}" for limit in (*(() if use else (CLEAN,)), *LIMITS)),
        "## File",
        f"`{Path(facts.file).name}`, {facts.size:,} bytes, SHA-256 `{facts.sha256}`, made by "
        f"{facts.made_by or 'an unknown program'}.",
    ]
    return "\n\n".join(blocks) + "\n"


def _architecture(facts: FileFacts) -> Iterator[str]:
    arguments = ", ".join(f"`{name}={value}`" for name, value in facts.arguments.items() if value is not None)
    yield f"{facts.network} with {arguments}. What a result of 1280x720 pixels takes:"
    yield ""
    yield "| scale | multiply-adds | activations | memory (float32) |"
    yield "| --- | ---: | ---: | ---: |"
    for scale, effort in facts.efforts.items():
        yield (
            f"| x{scale} | {effort.multiply_adds / 1e9:.3g} G | {effort.activations / 1e6:.3g} M "
            f"| {effort.memory / 1e6:.0f} MB |"
        )


def _training(metadata: Mapping[str, Any]) -> Iterator[str]:
    if note := metadata.get("note"):
        yield f"{markdown_text(note)}\n"
    for key, title in (
        ("trained_on", "Data and terms"),
        ("recipe", "Recipe"),
        ("phase", "Phase"),
        ("seed", "Seed"),
        ("iteration", "Iterations"),
        ("option_file", "Option file"),
        ("date", "Date"),
        ("license", "License"),
    ):
        if key in metadata:
            value = metadata[key]
            counts = isinstance(value, int) and key == "iteration"
            yield f"- {title}: {f'{value:,}' if counts else markdown_text(value)}"


def _scores(facts: FileFacts) -> Iterator[str]:
    rows = score_rows(facts.metadata.get("scores"))
    if not rows:
        return
    metrics = list(dict.fromkeys(metric for row in rows.values() for metric in row))
    yield f"| set | {' | '.join(markdown_text(metric.upper()) for metric in metrics)} |"
    yield f"| --- |{' ---: |' * len(metrics)}"
    for name, row in rows.items():
        numbers = {metric: value for metric, value in row.items() if isinstance(value, int | float)}
        cells = [f"{numbers[one]:.{2 if one == 'psnr' else 4}f}" if one in numbers else "-" for one in metrics]
        yield f"| {markdown_text(name)} | {' | '.join(cells)} |"
    yield ""
    protocol = facts.metadata.get("protocol")
    yield (
        f"Protocol `{markdown_text(protocol)}` of sr_kd (docs/evaluation.md). Measure again:"
        if protocol
        else "Of the last validation of its run; under one protocol beside other models:"
    )
    yield ""
    yield f"`sr-kd evaluate -n {Path(facts.file).name} --hr DIR --scale {facts.scales[0]}`"


def score_rows(scores: Any) -> dict[str, dict[str, float]]:
    """Set -> metric -> value, of either form in which files have them; empty for anything else."""
    if isinstance(scores, list) and all(isinstance(one, dict) and "name" in one for one in scores):
        return {str(one["name"]): {key: value for key, value in one.items() if key != "name"} for one in scores}
    of_sets = isinstance(scores, dict) and all(isinstance(row, dict) for row in scores.values())
    return {str(name): dict(row) for name, row in scores.items()} if of_sets else {}
