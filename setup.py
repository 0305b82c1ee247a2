"""Packaging of sr_kd."""

from __future__ import annotations

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "sr_kd" / "__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)

# basicsr 1.4.2 is the last release. It does not build on Python 3.13 and later, and it brings
# tb-nightly, which owns the same folder as tensorboard: installing both and removing one breaks the
# other. So below 3.13 basicsr's tb-nightly serves as tensorboard, and from 3.13 on there is
# tensorboard itself and no basicsr. It imports torchvision.transforms.functional_tensor, which
# torchvision no longer has; sr_kd.interop.basicsr supplies the alias. Its setup asks for torch at
# build time: scripts/install.sh builds it against the torch that is there.
REQUIREMENTS = [
    "torch>=2.6",
    "numpy>=1.26",
    "pillow>=10.3",
    "opencv-python>=4.12",
    "scikit-image>=0.23",
    "lmdb>=1.4",
    "safetensors>=0.4.3",
    "pydantic>=2.7",
    "PyYAML>=6.0",
    "tqdm>=4.66",
    'basicsr>=1.4.2; python_version < "3.13"',
    'tensorboard>=2.16; python_version >= "3.13"',
]

EXPORT = ["onnx>=1.16", "onnxscript>=0.1", "onnxruntime>=1.18"]
SPANDREL = ["spandrel>=0.4"]
TEST = ["pytest>=8", "pytest-xdist>=3.5", "hypothesis>=6.100", "ruff>=0.6", "mypy>=1.11", "types-PyYAML", "types-tqdm"]

setup(
    name="sr_kd",
    version=VERSION,
    description="Distil super-resolution networks: train, measure, ship and use small students",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["sr_kd", "sr_kd.*"]),
    package_data={"sr_kd": ["py.typed", "zoo/*.safetensors", "zoo/*.json"]},
    install_requires=REQUIREMENTS,
    extras_require={
        "test": [*TEST, *EXPORT, *SPANDREL],
        "export": EXPORT,
        "openvino": ["openvino>=2024.3"],
        "spandrel": SPANDREL,
        "classification": ["scikit-learn>=1.4"],
        "detection": ["torchvision>=0.19", "torchmetrics>=1.4", "pycocotools>=2.0.7"],
    },
    entry_points={"console_scripts": ["sr-kd = sr_kd.cli.main:main"]},
)
