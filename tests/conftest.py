"""Fixtures that every test file may use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from command_server import CommandServer

REPOSITORY = Path(__file__).resolve().parent.parent
MAY_SKIP = ("hardware: ", "shared: ", "system: ")  # what a reason to skip a test must begin with
THREADS = min(os.cpu_count() or 1, int(os.environ.get("OMP_NUM_THREADS", "1")))


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--forbid-skips``: for continuous integration, where everything that a test needs is installed."""
    parser.addoption("--forbid-skips", action="store_true", help="fail where a test is skipped for want of a package")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With ``--forbid-skips``: a skip for any other reason than hardware, system and ../shared fails the run."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None or not session.config.getoption("--forbid-skips"):
        return
    for report in terminal.stats.get("skipped", []):
        reason = str(report.longrepr[-1]).removeprefix("Skipped: ")
        if not reason.startswith(MAY_SKIP) and not hasattr(report, "wasxfail"):
            terminal.write("\n")  # with several processes, the line of dots is not ended yet
            terminal.write_line(f"FORBIDDEN SKIP {report.nodeid}: {reason}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Every test draws the same numbers, whichever ran before it in its process."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _threads() -> None:
    """Small tensors gain nothing from many threads, and a machine with many cores would lose time to them."""
    import torch

    torch.set_num_threads(THREADS)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the working tree: options, scripts and documents."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public images and weights beside the repository, or a skip where there is none."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("shared: needs the public images and weights in ../shared")
    return folder


@pytest.fixture(scope="session")
def shared_images(shared: Path) -> Path:
    """The folder of real images: benchmark/{Set5,Set14,B100,Urban20}, train, val."""
    return shared / "data"


@pytest.fixture(scope="session")
def basicsr() -> ModuleType:
    """The package BasicSR, or a skip that says what is missing: installing may do without it."""
    from sr_kd.errors import SrKdError
    from sr_kd.interop.basicsr import import_basicsr

    if sys.version_info >= (3, 13):
        pytest.skip("system: BasicSR does not build on Python 3.13 and later")
    try:
        return import_basicsr()
    except SrKdError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def run_cli() -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """``run_cli("train", "-opt", path)`` runs the real command line in its own process.

    Returns the completed process (returncode, stdout, stderr). Options: `cwd`, `timeout` in seconds,
    `env` (added to the environment). Standard input is empty.
    """
    server = CommandServer(cli_environment())

    def run(
        *arguments: object, cwd: Path | str | None = None, timeout: float = 300, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = cli_environment(env)
        if server.may_run(environment):
            return server.run(list(map(str, arguments)), cwd, timeout)
        return subprocess.run(
            [sys.executable, "-m", "sr_kd", *map(str, arguments)],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    yield run
    server.close()


@pytest.fixture(scope="session")
def start_cli() -> Callable[..., subprocess.Popen[str]]:
    """As `run_cli`, but returns the running process (for tests that kill it)."""

    def start(
        *arguments: object, cwd: Path | str | None = None, env: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "sr_kd", *map(str, arguments)],
            cwd=cwd,
            env=cli_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def cli_environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """This environment with the repository importable and the thread count of the tests."""
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(THREADS), **(extra or {})}
