"""Labels that people recognize: what they gave, what a network's file says of itself, or its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import UsageError
from ..networks.files import load_network

KNOWN_OF_A_RUN = ("recipe", "phase", "seed")


def label_models(names: Sequence[str]) -> dict[str, str]:
    """Short labels for tables -> the models' names.

    ``NAME=FILE`` gives a label. Otherwise a network that a run has written is called after its phase, with recipe, seed
    and "best" or "latest" where phases repeat; any other file after its stem, or all of its path where stems repeat.

    Raises:
        UsageError: two models of one label, or a label without a model.
    """
    given = [_split(name) for name in names]
    files = [file for _, file in given]
    automatic = _automatic([file for label, file in given if label is None])
    labels = [label if label is not None else automatic[file] for label, file in given]
    doubled = next((label for label in labels if labels.count(label) > 1), None)
    if doubled is not None:
        raise UsageError(f"two models are called '{doubled}'; give them names of their own: -n NAME=MODEL")
    return dict(zip(labels, files, strict=True))


def _split(name: str) -> tuple[str | None, str]:
    """(label, model) of ``NAME=MODEL``; a file whose name has a "=" is meant as it is."""
    label, sign, model = name.partition("=")
    if not sign or Path(name).exists():
        return None, name
    if not label.strip() or not model.strip():
        raise UsageError(f"'{name}' must be MODEL or NAME=MODEL")
    return label.strip(), model


def _automatic(files: Sequence[str]) -> dict[str, str]:
    """The first name of every file that no other file could have."""
    names = {file: _names(file) for file in files}
    counts = Counter(name for found in names.values() for name in set(found))
    return {file: next((name for name in found if counts[name] == 1), file) for file, found in names.items()}


def _names(file: str) -> list[str]:
    """From short to long: of what a run has written, phase; with recipe; seed; "best" or "latest". Else the stem."""
    path = Path(file)
    if path.is_file() and path.stem.startswith("net_"):
        metadata = load_network(path).metadata
        if all(key in metadata for key in KNOWN_OF_A_RUN):
            recipe, phase, seed = (metadata[key] for key in KNOWN_OF_A_RUN)
            of_seed = f"{recipe} {phase} seed {seed}"
            return [str(phase), f"{recipe} {phase}", of_seed, f"{of_seed} {path.stem.rsplit('_', 1)[-1]}"]
    return [path.stem if path.suffix else file]
