r"""Results as a LaTeX table: booktabs, the best of a column bold, the second best underlined."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..errors import printable
from .metrics import METRICS
from .scores import SetScore
from .statistics import ranked

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def latex_table(results: Mapping[str, Sequence[SetScore]], command: str | None = None) -> str:
    r"""A ``table`` environment, with PSNR and SSIM of every set in columns of their own.

    Needs ``\usepackage{booktabs}``.

    Args:
        results: label -> the scores of the same sets.
        command: the command line that made the results, as a comment.
    """
    sets = next(iter(results.values()))
    metrics = sets[0].metrics
    columns = [(index, metric) for index in range(len(sets)) for metric in metrics]
    cells = [_marked([scores[index].mean(metric) for scores in results.values()], metric) for index, metric in columns]
    heads = [
        METRICS.get(metric).title + (r" $\downarrow$" if not METRICS.get(metric).higher_is_better else "")
        for metric in metrics
    ]
    rows = [
        " & ".join([escape(label), *(column[number] for column in cells)]) + r" \\"
        for number, label in enumerate(results)
    ]
    ends = [1 + len(metrics) * (number + 1) for number in range(len(sets))]
    scale, protocol = sets[0].scale, sets[0].protocol
    lines = [
        *([f"% {printable(command)}"] if command else []),
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape(' / '.join(METRICS.get(metric).description for metric in metrics))} at $\times{scale}$, "
        rf"protocol \texttt{{{escape(protocol)}}}. Best in bold, second best underlined.}}",
        r"  \smallskip",
        rf"  \begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"    \toprule",
        "    & " + " & ".join(rf"\multicolumn{{{len(metrics)}}}{{c}}{{{escape(each.name)}}}" for each in sets) + r" \\",
        "    " + "".join(rf"\cmidrule(lr){{{end - len(metrics) + 1}-{end}}}" for end in ends),
        "    Model & " + " & ".join(heads * len(sets)) + r" \\",
        r"    \midrule",
        *(f"    {row}" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    r"""Text with every character that LaTeX would take for a command made harmless.

    >>> print(escape("50% of a_b"))
    50\% of a\_b
    """
    return "".join(SPECIAL.get(character, character) for character in printable(text))


def _marked(values: Sequence[float | None], metric: str) -> list[str]:
    """The cells of a column."""
    rule = METRICS.get(metric)
    styles = {"best": r"\textbf{%s}", "second": r"\underline{%s}", "": "%s"}
    places = ranked(values, rule.decimals, rule.higher_is_better)
    return [styles[place] % _text(value, rule.decimals) for value, place in zip(values, places, strict=True)]


def _text(value: float | None, digits: int) -> str:
    if value is None or math.isnan(value):
        return "--"
    return f"{value:.{digits}f}" if math.isfinite(value) else r"$\infty$"
