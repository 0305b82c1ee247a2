"""What commands have in common: messages above whatever progress bar is running, the command line, JSON."""

from __future__ import annotations

import json
import logging
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, printable, printable_lines
from ..files import check_target, real_path, write_text

if TYPE_CHECKING:
    from ..imaging.folder import Outcome


_NETWORKS = (".pth", ".pt", ".ckpt", ".safetensors", ".npz", ".onnx", ".tflite", ".param", ".bin", ".state")
_NO_TEXTS = (*_NETWORKS, ".yml", ".yaml", ".mdb", ".py")


class _AboveBars(logging.Handler):
    """Prints each message through tqdm, which moves its bars out of the way."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(printable_lines(self.format(record)), file=sys.stderr)


@contextmanager
def log_to_console(quiet: bool = False) -> Iterator[None]:
    """Show the package's messages while a command runs: from INFO on, from WARNING on when quiet."""
    logger = logging.getLogger("sr_kd")
    handler = _AboveBars(logging.WARNING if quiet else logging.INFO)
    handler.setFormatter(logging.Formatter("%(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


def print_failure(command: str, outcome: Outcome) -> None:
    """An image that failed, at once and above the bar."""
    if outcome.status == "failed":
        from tqdm import tqdm

        line = f"sr-kd {command}: {outcome.job.source}: failed: {outcome.error}"
        tqdm.write(printable(line), file=sys.stderr)


def command_line(command: str, option_file: str, overrides: Sequence[str]) -> str:
    """The command that made a result, for the foot of its table; it can be pasted into a shell."""
    forced = ["--force_yml", *overrides] if overrides else []
    return shlex.join(["sr-kd", command, "-opt", option_file, *forced])


def check_text(target: str, option: str) -> None:
    """As `check_target`, of a text, which is never meant to replace an image, a network or an option file."""
    from ..images import SUFFIXES

    check_target(target, option)
    path = Path(target)
    if path.exists() and path.suffix.lower() in {*SUFFIXES, *_NO_TEXTS}:
        raise UsageError(f"{option} {path} exists, and its name is not that of a text file: name another")


def check_json(target: str | None) -> None:
    """Refuse, with a UsageError, a ``--json`` file that could not be written once the work is done."""
    if target not in (None, "-"):
        check_text(str(target), "--json")


def check_no_input(path: Path | str, option: str, folders: Iterable[str]) -> None:
    """Refuse, with a UsageError, to write over an image that lies in a folder of images to read."""
    from ..images import SUFFIXES

    path = Path(path)
    for folder in folders:
        if path.exists() and path.suffix.lower() in SUFFIXES and real_path(path.parent) == real_path(folder):
            raise UsageError(f"{option} {path} is an image of {folder}, which is read: name another file")


def write_json(target: str, document: Any) -> None:
    """UTF-8; what other encodings of standard output might not hold is escaped."""
    utf8 = target != "-" or (sys.stdout.encoding or "utf-8").lower().replace("-", "") == "utf8"
    text = json.dumps(document, indent=2, ensure_ascii=not utf8, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        write_text(target, text)
