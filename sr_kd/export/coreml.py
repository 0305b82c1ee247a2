"""Networks for Core ML: a folder ``.mlpackage``, made by coremltools. Only macOS can run it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from torch.export import ExportedProgram

from ..errors import SrKdError, UsageError
from ..files import temporary_folder
from ..imaging.graph import GraphPrecision, quietly
from ..networks.state_files import DESCRIPTION_KEY


def check_coreml() -> None:
    """Raise a UsageError where coremltools is missing."""
    if find_spec("coremltools") is None:
        raise UsageError("exporting to Core ML needs coremltools; run: pip install 'sr_kd[coreml]'")


def write_coreml(
    program: ExportedProgram, path: Path, description: Mapping[str, Any], precision: GraphPrecision
) -> None:
    """A traced graph (in float32) as an ML program of iOS 16 and macOS 13; input ``lr``, output ``sr``, both float32.

    Args:
        path: appears when it is complete.
        precision: of the arithmetic inside.

    Raises:
        SrKdError: coremltools cannot convert the graph, or the folder cannot be written.
    """
    with redirect_stderr(io.StringIO()):  # where coremltools shows bars and what versions it was tested with
        import coremltools

    inner = coremltools.precision.FLOAT16 if precision == "fp16" else coremltools.precision.FLOAT32
    try:
        with quietly(), redirect_stderr(io.StringIO()):
            converted = coremltools.convert(
                program.run_decompositions({}),
                outputs=[coremltools.TensorType(name="sr", dtype=np.float32)],
                minimum_deployment_target=coremltools.target.iOS16,
                compute_precision=inner,
                skip_model_load=True,
            )
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise SrKdError(f"coremltools cannot convert this network: {str(error).splitlines()[0]}") from None
    specification = converted.get_spec()
    coremltools.utils.rename_feature(specification, specification.description.input[0].name, "lr")
    renamed = coremltools.models.MLModel(specification, weights_dir=converted.weights_dir, skip_model_load=True)
    renamed.user_defined_metadata[DESCRIPTION_KEY] = json.dumps(description)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path.parent) as folder:
            whole = folder / path.name
            renamed.save(str(whole))
            whole.rename(path)
    except OSError as error:
        raise SrKdError(f"cannot write {path}: {error.strerror or error}") from None
