"""Build the package, install its wheel into a bare environment, and do the whole job there, outside the clone.

    python scripts/try_wheel.py FOLDER

FOLDER is filled with the distributions, the environment and what the commands make. Of the packages that run this
script only torch and what it requires are lent to the environment (several gigabytes); everything else is installed
from what the wheel declares. basicsr is not installed: nothing below may need it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import venv
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
FEW_STEPS = ["seeds=[0]", *(f"phases:{name}:total_iter=20" for name in ("taught", "teacher", "pisr"))]


def main() -> None:
    """Build, install, run; the first failure ends it."""
    folder = Path(sys.argv[1]).resolve()
    run(sys.executable, "-m", "build", "--outdir", folder / "dist", CLONE)  # the wheel is built from the sdist
    check_sdist(next((folder / "dist").glob("*.tar.gz")))
    python = bare_environment(folder / "environment")
    constraints = folder / "lent.txt"
    lent = lend_torch(python)
    constraints.write_text("".join(f"{each.name}=={each.version}\n" for each in lent))
    wheel = next((folder / "dist").glob("*.whl"))
    run(python, "-m", "pip", "install", "--quiet", "--constraint", constraints, f"{wheel}[tflite]")
    work = folder / "work"
    work.mkdir()
    image = run(python, "-c", "import skimage; print(skimage.__path__[0])", cwd=work).strip() + "/data/coffee.png"
    sr_kd = python.with_name("sr-kd")
    for arguments in (
        ["--version"],
        ["recipes"],
        ["check", "-opt", "quickstart"],
        ["train", "-opt", "quickstart", "--quiet", "--force_yml", *FEW_STEPS],
        ["upscale", "-i", image, "-o", "coffee.png", "-n", "experiments/quickstart/models/net_g_latest.pth"],
        ["evaluate", "-n", "bicubic", "-n", "fsrcnn_x2", "--hr", "scikit-image:held_out", "--scale", "2", "--quiet"],
        ["export", "-n", "fsrcnn_x2", "-o", "fsrcnn_x2.tflite", "--rgb"],
        ["export", "-n", "fsrcnn_x4_photo", "-o", "photo.tflite", "--input-size", "64x64"],
        ["recipes", "pisr/*", "-o", "mine"],
        ["check", "-opt", "mine/train/pisr/fsrcnn_x2_cpu.yml", "--no-data"],
    ):
        print(run(sr_kd, *arguments, cwd=work))
    made = ["coffee.png", "fsrcnn_x2.tflite", "results/quickstart/table.md", "results/quickstart/montage.png"]
    missing = [name for name in made if not (work / name).is_file()]
    if missing:
        sys.exit(f"the commands did not make {', '.join(missing)}")


def check_sdist(archive: Path) -> None:
    """The source distribution holds every tracked file."""
    with tarfile.open(archive) as sdist:
        packed = {name.partition("/")[2] for name in sdist.getnames()}
    tracked = set(run("git", "ls-files", cwd=CLONE).splitlines()) - {".gitignore"}
    missing = {name for name in tracked - packed if not name.startswith(".github/")}
    if missing:
        sys.exit(f"the sdist lacks {', '.join(sorted(missing))}: see MANIFEST.in")


def bare_environment(folder: Path) -> Path:
    """A new virtual environment with nothing but pip; its Python."""
    venv.create(folder, with_pip=True, symlinks=True)
    return folder / "bin" / "python"


def lend_torch(python: Path) -> list[Distribution]:
    """Link torch and its requirements, as they are installed here, into the environment."""
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    lent = closure("torch")
    del lent["typing-extensions"]  # litert-torch wants an older one
    for found in lent.values():
        for top in {file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            link = site / top
            if not link.exists():
                link.symlink_to(Path(str(found.locate_file(top))))
    return list(lent.values())


def closure(name: str) -> dict[str, Distribution]:
    """A distribution and what it requires here, directly or not."""
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        name = waiting.pop()
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:  # for another platform
            continue
        required = [line for line in found[name].requires or [] if "extra ==" not in line]
        names = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in required}
        waiting += names - set(found)
    return found


def run(*command: object, cwd: Path | None = None) -> str:
    """Standard output of a command that must succeed; standard error is shown."""
    print("$", *command, file=sys.stderr)
    finished = subprocess.run(list(map(str, command)), cwd=cwd, stdout=subprocess.PIPE, text=True, check=False)
    if finished.returncode:
        sys.exit(f"{finished.stdout}\nfailed with exit code {finished.returncode}: {' '.join(map(str, command))}")
    return finished.stdout


if __name__ == "__main__":
    main()
