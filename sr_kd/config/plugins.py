"""A user's own losses, networks and metrics: Python files named in the option file, or with ``--plugin``."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import UsageError, in_words, nearest
from ..files import file_sha256, real_path


def load_plugins(files: Sequence[str], folder: Path) -> dict[str, str]:
    """Import each file and call its ``register()``, once per process.

    Args:
        files: relative to `folder`.
        folder: the option file's, or the current one for ``--plugin``.

    Returns:
        Each file's SHA-256, by the name given.

    Raises:
        UsageError: a file that is missing, fails on import, has no ``register``, or fails in it.
    """
    digests = {}
    for file in files:
        path = real_path(folder / file)
        if not path.is_file():
            siblings = [entry.name for entry in path.parent.glob("*.py")]
            raise UsageError(f"plug-in {file}: there is no file {path}{nearest(path.name, siblings)}")
        name = f"sr_kd_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        if name not in sys.modules:
            _load(file, path, name)
        digests[file] = file_sha256(path)
    return digests


def _load(file: str, path: Path, name: str) -> None:
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise UsageError(f"plug-in {file}: not a Python file (its name must end in .py)")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
        if not callable(getattr(module, "register", None)):
            raise UsageError("it defines no function register(), which hands its classes over (docs/losses.md)")
        module.register()
    except (Exception, SystemExit) as error:  # a user's file may fail in any way
        del sys.modules[name]
        problem = str(error) if isinstance(error, UsageError) else in_words(error)
        line = _line_in(path, error)
        raise UsageError(f"plug-in {file}{f', line {line}' if line else ''}: {problem}") from error


def _line_in(path: Path, error: BaseException) -> int | None:
    """The deepest line of the plug-in's own file in the traceback."""
    line, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == str(path):
            line = step.tb_lineno
        step = step.tb_next
    return error.lineno if isinstance(error, SyntaxError) else line
