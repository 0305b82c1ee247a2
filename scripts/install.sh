#!/usr/bin/env bash
# Installs sr_kd (editable) and prints the path of the Python that has it; everything else goes to standard error.
#
#   bash scripts/install.sh           what training, evaluating and upscaling need
#   bash scripts/install.sh basicsr   and BasicSR, where it can be installed (any extra of pyproject.toml may be named)
#   bash scripts/install.sh test      and all that the tests need
#
# Installs into the active virtual environment, else into .venv, which is made with $PYTHON or the first Python 3.11+
# found. A torch that is there already (a CPU build, say) is kept. A finished installation is recognized and left alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec 3>&2
extra="${1:-}"

fail() {
    echo "install: error: $*" >&2
    exit 1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.13 python3.14}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed${PYTHON:+, and PYTHON=$PYTHON is not one}; install it, or name it: PYTHON=/path/to/python3.12 bash $0"
}

# Runs pip with its progress and errors shown, and turns the commonest failures into a sentence.
run_pip() {
    local errors
    if ! errors="$("$python" -m pip "$@" 2>&1 >&3 | tee >(cat >&3))"; then
        case "$errors" in
            *"No space left on device"*) fail "the disk is full: torch and its libraries need about 6 GB" ;;
            *"(from versions: none)"* | *"NewConnectionError"* | *"NameResolutionError"* | *"Connection refused"* | *"timed out"*)
                fail "the package index could not be reached, or has nothing for $("$python" --version): check the network, or pip's index-url and proxy settings" ;;
            *) fail "pip could not install what is needed; its own words are above" ;;
        esac
    fi
}

if [ -n "${VIRTUAL_ENV:-}" ]; then
    environment="$VIRTUAL_ENV"
else
    environment="$PWD/.venv"
    if [ ! -x "$environment/bin/python" ]; then
        base="$(find_python)"
        echo "install: making .venv with $("$base" --version)" >&2
        "$base" -m venv "$environment" >&2 || {
            rm -rf "$environment"
            fail "$base could not make a virtual environment in $environment (Debian and Ubuntu: apt install python3-venv; or is the disk full?)"
        }
    fi
fi
python="$environment/bin/python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "$environment has no working Python 3.11 or newer; remove it, or leave it with 'deactivate', and run this again"

# The stamp is of everything that decides what gets installed, and of the place an editable installation points to.
stamp="$(cat setup.py pyproject.toml scripts/install.sh | cksum) $PWD"
if [ "$(cat "$environment/sr_kd-${extra:-base}.stamp" 2>/dev/null)" = "$stamp" ]; then
    echo "$python"
    exit 0
fi

installed_version() {
    "$python" -c 'import sys; from importlib.metadata import version; print(version(sys.argv[1]))' "$1" 2>/dev/null
}

# basicsr, without the tb-nightly that it asks for (which owns tensorboard's folder), built against the torch that is
# there. Nothing else needs it, so that its failure is a warning.
install_basicsr() {
    if ! "$python" -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then
        echo "install: basicsr does not build on Python 3.13 and later; everything else works without it" >&2
    elif ! "$python" -m pip install --constraint "$constraints" torchvision cython addict future requests scipy yapf >&2 ||
        ! "$python" -m pip install --no-build-isolation --no-deps "basicsr>=1.4.2" >&2; then
        echo "install: warning: basicsr could not be installed (pip's words are above); everything else works without it" >&2
    fi
}

echo "install: installing into $environment (a few minutes the first time)" >&2
run_pip install --quiet --upgrade pip setuptools wheel
constraints="$environment/sr_kd-constraints.txt"
: >"$constraints"
if version="$(installed_version torch)"; then
    # Without this pip would replace torch by the one that the newest torchvision asks for.
    echo "torch==$version" >"$constraints"
    echo "install: keeping the installed torch $version" >&2
fi
case "$extra" in
    "" | basicsr) run_pip install --constraint "$constraints" --editable . ;;
    *) run_pip install --constraint "$constraints" --editable ".[$extra]" ;;
esac
case "$extra" in basicsr | test) install_basicsr ;; esac
version="$("$python" -m sr_kd --version)" || fail "the installation finished, but sr-kd does not start; its words are above"
echo "install: $version is ready in $environment" >&2
echo "$stamp" | tee "$environment/sr_kd-base.stamp" >"$environment/sr_kd-${extra:-base}.stamp"
echo "$python"
