"""Optional packages and files that a metric needs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from ...errors import UsageError


def optional_module(name: str, metric: str, extra: str = "metrics") -> ModuleType:
    """A module of an optional package. Raises UsageError with how to install it."""
    try:
        return import_module(name)
    except Exception as error:  # torchvision beside a torch that it does not fit fails in many ways
        reason = str(error).partition("\n")[0]
        raise UsageError(f"metric '{metric}' needs a package ({reason}): pip install 'sr_kd[{extra}]'") from None


def backbone_file(file: str, metric: str) -> Path:
    """The ImageNet weights of a perceptual metric's backbone, where PyTorch keeps its downloads.

    Raises:
        UsageError: the file is not there; the message says where it must lie and where it comes from.
    """
    from torch.hub import get_dir

    path = Path(get_dir()) / "checkpoints" / file
    if not path.is_file():
        source = f"https://download.pytorch.org/models/{file}"
        raise UsageError(f"metric '{metric}' needs the file {path}: put {source} there (nothing is downloaded here)")
    return path
